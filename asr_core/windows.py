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


def windows(blocks: Iterable[np.ndarray], length: int, overlap: int) -> Iterator[Window]:
    """Cut a stream into windows of `length` samples, `overlap` of context on each inner side.

    Their inner parts follow one another without gap. A recording that fits is one window.
    """
    held = np.zeros(0, np.float32)
    left = 0
    for block in blocks:
        held = np.concatenate([held, block])
        # One sample more than a window must be there, or the last window would be only context.
        while len(held) > length:
            yield Window(held[:length], left, overlap)
            held = held[length - 2 * overlap :]
            left = overlap
    yield Window(held, left, 0)
