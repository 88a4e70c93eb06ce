"""How right is it? What was heard beside what was said, word by word."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from asr_core.errors import DataError
from asr_core.text import Spelling, normalize

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
    """Align two texts, whatever their case and punctuation. Raises DataError without a text."""
    import jiwer

    reference, hypothesis = _words(said), _words(heard)
    if not reference:
        raise DataError("There is nothing to compare with: write down what was really said.")
    aligned = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    pairs = []
    for chunk in aligned.alignments[0]:
        left = reference[chunk.ref_start_idx : chunk.ref_end_idx]
        right = hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx]
        count = max(len(left), len(right))
        left, right = left or [""] * count, right or [""] * count
        pairs += [(KINDS[chunk.type], *pair) for pair in zip(left, right, strict=True)]
    letters = jiwer.process_characters(" ".join(reference), " ".join(hypothesis))
    return Comparison(aligned.wer, letters.cer, tuple(pairs))


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
    return f'<div class="pairs">{" ".join(cells)}</div>'


def _words(text: str) -> list[str]:
    return normalize(text.casefold(), Spelling()).split()
