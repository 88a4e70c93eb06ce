"""Emissions -> words: log-probabilities over characters in, text with times and confidence out.

A decoder takes the emissions of one recording piece by piece, as the windows come, and carries
what it must remember from one piece to the next.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from asr_core.text import compose, is_seam
from asr_core.transcript import Word

SILENCE = 1.0  # seconds: nobody is silent for so long within a word


@dataclass(frozen=True)
class Alphabet:
    """What each column of the emissions stands for.

    `tokens[i]` is the text of column i: "" for the blank and for special tokens, and with a space
    before it where a word begins. `blank` is CTC's own column.
    """

    tokens: tuple[str, ...]
    blank: int

    @classmethod
    def of(cls, tokenizer: Any, size: int) -> Alphabet:
        """The alphabet of a tokenizer of transformers, for a model with `size` columns."""
        special = set(tokenizer.all_special_ids)
        delimiter = getattr(tokenizer, "word_delimiter_token", None)
        tokens = [""] * size
        for token, index in tokenizer.get_vocab().items():
            if index < size and token == delimiter:
                tokens[index] = " "
            elif index < size and index not in special:
                # SentencePiece marks where a word starts.
                tokens[index] = token.replace("\u2581", " ")
        return cls(tuple(tokens), tokenizer.pad_token_id)


def end_words(emissions: np.ndarray, alphabet: Alphabet, frame: float) -> None:
    """Let a word end wherever nothing is said for `SILENCE`, as not every model says so by itself.

    `emissions`, (frames, columns), are changed: in the middle of such a pause stands the sign
    between words, if `alphabet` has one. `frame` is in seconds.
    """
    if " " not in alphabet.tokens:
        return
    nothing = emissions.argmax(axis=1) == alphabet.blank
    edges = np.flatnonzero(np.diff(nothing, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2):
        if (end - start) * frame >= SILENCE:
            emissions[(start + end) // 2] = -np.inf
            emissions[(start + end) // 2, alphabet.tokens.index(" ")] = 0.0


class Decoder(Protocol):
    """Takes the emissions of one recording in order and answers with the words so far."""

    def feed(self, emissions: np.ndarray) -> None:
        """Natural log-probabilities of shape (frames, columns), following those fed before."""

    def settled(self) -> tuple[Word, ...]:
        """The words so far that nothing which follows will change."""

    def words(self) -> tuple[Word, ...]:
        """All words so far; those after the settled ones may still change."""

    def fork(self) -> Decoder:
        """A twin in the same state, to look ahead with."""

    def finish(self) -> tuple[Word, ...]:
        """All words, now that nothing follows."""


class Speller:
    """Columns in order, with where each is heard and how surely -> words.

    `frame` is the time from one frame to the next, in seconds; `write` turns a word as it is spelt
    into how it is written.
    """

    def __init__(self, alphabet: Alphabet, frame: float, write: Callable[[str], str] = str) -> None:
        self.alphabet, self.frame, self.write = alphabet, frame, write
        self.done: list[Word] = []
        # The word being spelt: its text, whether a space stands before it, its frames, the best
        # log-probability of each character.
        self._text, self._space = "", True
        self._start = self._end = 0
        self._peaks: list[float] = []

    def add(self, column: int, start: int, end: int, peak: float) -> None:
        """Spell a column that is heard from frame `start` to `end`, `peak` at best."""
        token = self.alphabet.tokens[column]
        if token.startswith(" "):
            self._close()
        if text := token.strip():
            if self._text and is_seam(self._text[-1], text[0]):
                self._close(space=False)
            if not self._text:
                self._start = start
            self._text += text
            self._end = end
            self._peaks.append(peak)
        if token.endswith(" "):
            self._close()

    def prolong(self, column: int, end: int, peak: float) -> None:
        """The column that was added last goes on."""
        if self._text and self.alphabet.tokens[column]:
            self._end, self._peaks[-1] = end, max(self._peaks[-1], peak)

    def words(self) -> tuple[Word, ...]:
        """Those that are done and the one being spelt."""
        return (*self.done, *self._open())

    def copy(self) -> Speller:
        twin = copy.copy(self)
        twin.done, twin._peaks = self.done.copy(), self._peaks.copy()
        return twin

    def _open(self) -> list[Word]:
        if not self._text:
            return []
        confidence = math.exp(min(0.0, sum(self._peaks) / len(self._peaks)))
        start, end = self._start * self.frame, self._end * self.frame
        text = self.write(compose(self._text))  # of a Korean model that spells jamo
        return [Word(text, round(start, 3), round(end, 3), round(confidence, 4), self._space)]

    def _close(self, space: bool = True) -> None:
        """End the word, if there is one, and begin the next, which stands behind a `space`."""
        self.done += self._open()
        self._text, self._space, self._peaks = "", space, []


class GreedyDecoder:
    """The best column of every frame, repeats merged, blanks dropped (Graves et al., 2006).

    `frame` is the time from one frame to the next, in seconds. Memory grows with the words only.
    """

    def __init__(self, alphabet: Alphabet, frame: float) -> None:
        self._speller = Speller(alphabet, frame)
        self._last = alphabet.blank  # column of the frame before
        self._frames = 0  # decoded so far

    def feed(self, emissions: np.ndarray) -> None:
        if not len(emissions):
            return
        best = emissions.argmax(axis=1)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(best)) + 1])
        peaks = np.maximum.reduceat(emissions.max(axis=1), starts)
        ends = np.append(starts[1:], len(best)) + self._frames
        runs = (best[starts], starts + self._frames, ends, peaks)
        for column, start, end, peak in zip(*(each.tolist() for each in runs), strict=True):
            if column != self._last:
                self._speller.add(column, start, end, peak)
            else:  # that of the piece before
                self._speller.prolong(column, end, peak)
            self._last = column
        self._frames += len(best)

    def settled(self) -> tuple[Word, ...]:
        return tuple(self._speller.done)

    def words(self) -> tuple[Word, ...]:
        return self._speller.words()

    def fork(self) -> GreedyDecoder:
        twin = copy.copy(self)
        twin._speller = self._speller.copy()
        return twin

    def finish(self) -> tuple[Word, ...]:
        return self._speller.words()
