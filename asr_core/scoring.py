"""Errors counted: one hypothesis against its reference, rates of many, and how sure we can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jiwer
import numpy as np

DRAWS = 1_000  # of the bootstrap


@dataclass(frozen=True)
class Utterance:
    """One row: what was said, what was heard, and the counts that error rates are made of."""

    index: int  # of the row in its dataset
    name: str
    reference: str
    hypothesis: str
    duration: float  # seconds
    speaker: str
    word_errors: int
    words: int
    character_errors: int
    characters: int


def score(
    index: int,
    name: str,
    reference: str,
    hypothesis: str,
    duration: float = 0.0,
    speaker: str = "",
) -> Utterance:
    """Count the errors of one hypothesis. `reference` must not be empty."""
    words = jiwer.process_words(reference, hypothesis)
    characters = jiwer.process_characters(reference, hypothesis)
    return Utterance(
        index,
        name,
        reference,
        hypothesis,
        duration,
        speaker,
        words.substitutions + words.deletions + words.insertions,
        words.substitutions + words.deletions + words.hits,
        characters.substitutions + characters.deletions + characters.insertions,
        characters.substitutions + characters.deletions + characters.hits,
    )


def rate(counts: Sequence[tuple[int, int]]) -> float:
    """Errors per word (or character) of (errors, length) pairs taken together."""
    errors, lengths = np.sum(counts, axis=0)
    return float(errors / lengths)


def bootstrap(counts: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """The interval that holds 95 % of the rates of redrawn test sets (Bisani and Ney, 2004)."""
    sums = redrawn(np.asarray(counts))
    return interval(sums[:, 0] / sums[:, 1])


def redrawn(counts: np.ndarray) -> np.ndarray:
    """Sums over `DRAWS` test sets of the same size, drawn with replacement: (draws, columns)."""
    generator = np.random.default_rng(0)
    size = len(counts)
    # One draw after another: all at once, a set of 100,000 rows would fill the memory.
    draw = (counts[generator.integers(size, size=size)].sum(axis=0) for _ in range(DRAWS))
    return np.stack(list(draw))


def interval(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def word_counts(rows: Iterable[Utterance]) -> list[tuple[int, int]]:
    return [(row.word_errors, row.words) for row in rows]


def character_counts(rows: Iterable[Utterance]) -> list[tuple[int, int]]:
    return [(row.character_errors, row.characters) for row in rows]
