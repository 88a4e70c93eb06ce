"""How right is it? What was heard beside what was said, word by word."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from asr_core.errors import DataError
from asr_core.phrases import say
from asr_core.text import Spelling, normalize

DOTTED = "i\u0307"  # small letter of İ in languages that have no other i
ERRORS = ("substitute", "delete", "insert")  # as jiwer names them
MOST_CHARACTERS = 200_000  # of both texts: the time it takes grows with their square


@dataclass(frozen=True)
class Comparison:
    """Error rates, 0.0 for a perfect transcript, and the two texts as (kind, said, heard).

    `kind` is equal, substitute, delete or insert; the word that is missing is "".
    """

    wer: float
    cer: float
    pairs: tuple[tuple[str, str, str], ...]

    def count(self, kind: str) -> int:
        return sum(pair[0] == kind for pair in self.pairs)


def compare(said: str, heard: str) -> Comparison:
    """Align two texts, whatever their case and punctuation.

    Raises DataError without a text, or with more than `MOST_CHARACTERS`.
    """
    import jiwer

    from asr_core import mistakes

    _check_length(said, heard)
    said, heard = normalize(said, Spelling()), normalize(heard, Spelling())
    _check_length(said, heard)  # a sign such as ﷺ is written out, in up to 18 characters
    if not said:
        raise DataError("There is nothing to compare with: write down what was really said.")
    folded = _folded(said), _folded(heard)
    spoken, written = iter(said.split()), iter(heard.split())  # to be shown as they were
    pairs = tuple(
        (word.kind, next(spoken) if word.said else "", next(written) if word.heard else "")
        for word in mistakes.align(*folded)
    )
    return Comparison(jiwer.wer(*folded), jiwer.cer(*folded), pairs)


def markup(comparison: Comparison, language: str = "en") -> str:
    """HTML of the two texts, one above the other."""
    cells = []
    empty = '<{0} aria-hidden="true">&nbsp;</{0}>'
    for kind, said, heard in comparison.pairs:
        if kind == "equal":
            cells.append(f'<span class="pair">{escape(said)}</span>')
            continue
        between = say("heard_as" if kind == "substitute" else kind, language)
        cells.append(
            f'<span class="pair {kind}" title="{escape(say(kind, language))}">'
            + (f"<del>{escape(said)}</del>" if said else empty.format("del"))
            + f'<span class="aloud"> {escape(between)} </span>'
            + (f"<ins>{escape(heard)}</ins>" if heard else empty.format("ins"))
            + "</span>"
        )
    html = f'<div class="pairs" dir="auto">{" ".join(cells)}</div>'
    if all(pair[0] == "equal" for pair in comparison.pairs):
        return html
    return html + f'<p class="notice">{escape(say("legend", language))}</p>'


def _check_length(said: str, heard: str) -> None:
    if (count := len(said) + len(heard)) > MOST_CHARACTERS:
        raise DataError(
            f"{count:,} characters are too many to compare: at most {MOST_CHARACTERS:,} are "
            "possible, said and heard together."
        )


def _folded(text: str) -> str:
    """Without case; as nobody says whether a text is Turkish, all its letters i are one."""
    return text.casefold().replace("ı", "i").replace(DOTTED, "i")
