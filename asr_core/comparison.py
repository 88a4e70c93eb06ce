"""How right is it? What was heard beside what was said, word by word."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from asr_core.errors import DataError
from asr_core.text import Spelling, normalize

DOTTED = "i\u0307"  # small letter of İ in languages that have no other i
MOST = 200_000  # characters of both texts: the time it takes grows with their square
KINDS = {
    "equal": "equal",
    "substitute": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}


@dataclass(frozen=True)
class Comparison:
    """Error rates, 0.0 for a perfect transcript, and the two texts as (kind, said, heard).

    `kind` is equal, substitution, deletion or insertion; the word that is missing is "".
    """

    wer: float
    cer: float
    pairs: tuple[tuple[str, str, str], ...]

    def count(self, kind: str) -> int:
        return sum(pair[0] == kind for pair in self.pairs)


def compare(said: str, heard: str) -> Comparison:
    """Align two texts, whatever their case and punctuation.

    Raises DataError without a text, or with more than `MOST` characters.
    """
    from asr_core import mistakes, scoring

    if (count := len(said) + len(heard)) > MOST:
        raise DataError(
            f"{count:,} characters are too many to compare: at most {MOST:,} are possible, said "
            "and heard together."
        )
    said, heard = normalize(said, Spelling()), normalize(heard, Spelling())
    if not said:
        raise DataError("There is nothing to compare with: write down what was really said.")
    counted = scoring.compare(0, "", _folded(said), _folded(heard))
    spoken, written = iter(said.split()), iter(heard.split())  # to be shown as they were
    pairs = tuple(
        (KINDS[word.kind], next(spoken) if word.said else "", next(written) if word.heard else "")
        for word in mistakes.align(counted.reference, counted.hypothesis)
    )
    wer = counted.word_errors / counted.words
    return Comparison(wer, counted.character_errors / counted.characters, pairs)


def markup(comparison: Comparison, titles: dict[str, str]) -> str:
    """HTML of the two texts, one above the other; `titles` name each kind for people."""
    cells = []
    for kind, said, heard in comparison.pairs:
        if kind == "equal":
            cells.append(f'<span class="pair">{escape(said)}</span>')
            continue
        title = escape(titles[kind])
        cells.append(
            f'<span class="pair {kind}" title="{title}">'
            f"<del>{escape(said) or '&nbsp;'}</del><ins>{escape(heard) or '&nbsp;'}</ins></span>"
        )
    return f'<div class="pairs" dir="auto">{" ".join(cells)}</div>'


def _folded(text: str) -> str:
    """Without case; as nobody says whether a text is Turkish, all its letters i are one."""
    return text.casefold().replace("ı", "i").replace(DOTTED, "i")
