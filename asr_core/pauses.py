"""Long pauses are left out of what a model hears, and put back into what it says.

Models learn from utterances that are cut close. In seconds of silence they hear words, and those
around it they hear worse. What is left out is much quieter than the loudest speech near it and
hardly louder than the quietest moments, as a voice is not, however far away.
"""

from __future__ import annotations

import numpy as np

PAUSE = 2.0  # seconds
MARGIN = 0.7  # of them, on the sides where something is said, that are heard
FAINT = 0.03  # of the loudest frame: a pause is below that (30 dB)
STEADY = 3.0  # times the quietest frames: below that it is hiss (10 dB)
SILENT = 3e-4  # root mean square (of 1.0, so -70 dBFS) that is silence in any case


def found(samples: np.ndarray, hop: int, rate: int) -> list[tuple[int, int]]:
    """What may be left out of `samples`, of shape (samples,): first frame and the one after it.

    Frames are of `hop` samples.
    """
    count = len(samples) // hop
    if count < (shortest := round(PAUSE * rate / hop)):
        return []
    frames = samples[: count * hop].reshape(count, hop)
    levels = np.sqrt(np.einsum("ij,ij->i", frames, frames) / hop)
    hiss = max(STEADY * np.quantile(levels, 0.05), SILENT)
    quiet = levels <= min(hiss, FAINT * levels.max())
    if quiet.all():  # there is no sound at all
        return []
    edges = np.flatnonzero(np.diff(quiet, prepend=False, append=False)).reshape(-1, 2)
    margin = round(MARGIN * rate / hop)
    return [
        (int(start) + margin * (start > 0), int(end) - margin * (end < count))
        for start, end in edges
        if end - start >= shortest
    ]


def without(samples: np.ndarray, pauses: list[tuple[int, int]], hop: int) -> np.ndarray:
    """`samples` less `pauses`."""
    kept = np.ones(len(samples), bool)
    for start, end in pauses:
        at_the_end = (end + 1) * hop > len(samples)
        kept[start * hop : None if at_the_end else end * hop] = False
    return samples[kept]


def restored(emissions: np.ndarray, pauses: list[tuple[int, int]], blank: int) -> np.ndarray:
    """The emissions, of shape (frames, columns), of what was `without`, with `pauses` of blanks."""
    nothing = np.full(emissions.shape[1], -np.inf, emissions.dtype)
    nothing[blank] = 0.0
    places, before = [], 0
    for start, end in pauses:
        places += [min(start - before, len(emissions))] * (end - start)
        before += end - start
    return np.insert(emissions, places, nothing, axis=0)
