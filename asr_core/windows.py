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

    samples: np.ndarray
    left: int
    right: int


def windows(
    blocks: Iterable[np.ndarray], length: int, overlap: int, whole: int
) -> Iterator[Window]:
    """Cut a stream into windows of `length` samples, `overlap` of context on each inner side.

    Their inner parts follow one another without gap. A recording of up to `whole` samples is left
    in one piece.
    """
    held = np.zeros(0, np.float32)
    left, limit = 0, whole
    for block in blocks:
        held = np.concatenate([held, block])
        # One sample more than the limit must be there, or the last window would be only context.
        while len(held) > limit:
            yield Window(held[:length], left, overlap)
            held = held[length - 2 * overlap :]
            left, limit = overlap, length
    yield Window(held, left, 0)
