"""Emissions -> words with a language model, hotwords or both: the beam search as a decoder.

Unknown words can come out: a word outside the language model's vocabulary is spelt as it is heard,
at a price (`Weights.unknown`). Times and confidence come from the best alignment of what is said.
"""

from __future__ import annotations

import copy

import numpy as np

from asr_core import search
from asr_core.decoding import Speller
from asr_core.lexicon import Vocabulary
from asr_core.transcript import Word

CHUNK = 256  # frames between two looks at what can no longer change
MOST_OPEN = 2000  # columns that may still change, so that memory is bounded


class BeamDecoder:
    """Prefix beam search over a `Vocabulary`; memory grows with the words only.

    `frame` is the time from one frame to the next, in seconds.
    """

    def __init__(self, vocabulary: Vocabulary, frame: float) -> None:
        self.vocabulary = vocabulary
        alphabet, weights = vocabulary.alphabet, vocabulary.weights
        needed = (getattr(weights, name) for name in search.Weights._fields)
        self._known = search.Known(
            vocabulary.ngrams,
            vocabulary.lexicon,
            vocabulary.columns,
            search.Weights(*map(float, needed)),  # one type, or numba compiles again
        )
        self._beams = np.zeros(weights.width, search.HYPOTHESIS)
        self._spare = np.zeros(weights.width * (len(alphabet.tokens) + 1), search.HYPOTHESIS)
        self._slots = 1 << (2 * len(self._spare)).bit_length()
        self._history = np.zeros(1 + (weights.width + 1) * CHUNK, search.HISTORY)
        self._count = self._used = 1
        self._frames = 0
        first = self._beams[0]
        first["last"], first["spelt"] = alphabet.blank, search.NEVER
        first["state"] = vocabulary.begin
        self._history[0] = (-1, alphabet.blank, 0, 0, 0.0)
        self._speller = Speller(alphabet, frame, vocabulary.write)  # of what can no longer change

    def feed(self, emissions: np.ndarray) -> None:
        emissions = np.maximum(np.ascontiguousarray(emissions, np.float32), -1e4)
        for start in range(0, len(emissions), CHUNK):
            self._advance(emissions[start : start + CHUNK])

    def settled(self) -> tuple[Word, ...]:
        return tuple(self._speller.done)

    def words(self) -> tuple[Word, ...]:
        return self._read(self._beams[0])

    def fork(self) -> BeamDecoder:
        twin = copy.copy(self)
        twin._beams, twin._history = self._beams.copy(), self._history.copy()
        twin._speller = self._speller.copy()
        return twin

    def finish(self) -> tuple[Word, ...]:
        """All words, each hypothesis judged as a sentence that ends here."""
        index = search.best_ending(self._known, self._beams[: self._count])
        best = self._beams[index].copy()
        self._beams[0], self._count = best, 1
        return self._read(best)

    def _advance(self, emissions: np.ndarray) -> None:
        needed = self._used + len(self._beams) * len(emissions)
        if needed > len(self._history):
            self._history = np.concatenate([self._history, np.zeros(needed, search.HISTORY)])
        self._count, self._used = search.advance(
            self._known,
            emissions,
            self._frames,
            self._beams,
            self._count,
            self._history,
            self._used,
            self._spare,
            np.zeros((self._slots, 2), np.int32),
        )
        self._frames += len(emissions)
        self._settle()

    def _settle(self) -> None:
        """Turn what all hypotheses agree on into words, and forget how it came about."""
        root = search.agreed(self._history, self._used, self._beams, self._count)
        self._spell(root, self._speller)
        self._used = search.shorten(self._history, self._used, self._beams, self._count, root)
        if self._used > MOST_OPEN:
            self._count = 1
            root = int(self._beams[0]["history"])
            self._spell(root, self._speller)
            self._used = search.shorten(self._history, self._used, self._beams, 1, root)

    def _read(self, beam: np.void) -> tuple[Word, ...]:
        speller, entry = self._speller.copy(), int(beam["history"])
        self._spell(entry, speller)
        column, start = int(self._history["column"][entry]), int(self._history["start"][entry])
        speller.add(column, start, int(beam["end"]), float(beam["peak"]))
        return speller.words()

    def _spell(self, entry: int, speller: Speller) -> None:
        """Spell the columns that lead to `entry`, without its own, whose end is not known yet."""
        path = []
        while entry > 0:
            _, _, _, end, peak = self._history[entry]
            entry = int(self._history["parent"][entry])
            column, start = int(self._history["column"][entry]), int(self._history["start"][entry])
            path.append((column, start, int(end), float(peak)))
        for step in reversed(path):
            speller.add(*step)
