"""A stream of sound -> windows that a model can hold, with context where they meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A stretch of a recording with what its neighbours hold of it.

    The first `left` and the last `right` of its `samples` belong to the windows before and after
    it; here they are only context.
    """

    samples: np.ndarray  # (samples,) float32
    left: int
    right: int


class Cutter:
    """Cuts what it is fed, blocks of shape (samples,), into windows of `length` samples, `overlap`
    of which are context on each inner side.

    Their inner parts follow one another without gap. A recording of up to `whole` samples is left
    in one piece.
    """

    def __init__(self, length: int, overlap: int, whole: int) -> None:
        self.held = np.zeros(0, np.float32)
        self.left = 0  # samples of `held` that are context
        self._length, self._overlap, self._limit = length, overlap, whole

    def feed(self, block: np.ndarray) -> Iterator[Window]:
        """The windows that are complete with `block`."""
        self.held = np.concatenate([self.held, block])
        # One sample more than the limit must be there, or the last window would be only context.
        while len(self.held) > self._limit:
            window = Window(self.held[: self._length], self.left, self._overlap)
            self.held = self.held[self._length - 2 * self._overlap :]
            self.left, self._limit = self._overlap, self._length
            yield window

    def rest(self) -> Window:
        """What is held, as if nothing followed."""
        return Window(self.held, self.left, 0)


def windows(
    blocks: Iterable[np.ndarray], length: int, overlap: int, whole: int
) -> Iterator[Window]:
    """The windows of a whole stream, as `Cutter` cuts it."""
    cutter = Cutter(length, overlap, whole)
    for block in blocks:
        yield from cutter.feed(block)
    yield cutter.rest()
