"""Captions while somebody speaks: words appear at once, and settle a moment later.

    session = recognizer.live()
    for rate, samples in microphone:
        caption = session.feed(samples, rate)     # caption.settled, caption.tentative
    transcript = session.finish()

Words settle in the very windows in which a file is read, so in the end they are the file's. (What
ends within `WHOLE` is then heard once more in one piece, as such a file is: some words may change.)
Until a window is complete, what there is of it is looked at every `STEP`: a second of speech costs
the same in the first minute and in the sixtieth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asr_core.audio import Recording, checked, mono
from asr_core.errors import AudioError
from asr_core.recognizer import OVERLAP, WHOLE, WINDOW, summary
from asr_core.resampling import Resampler
from asr_core.transcript import Transcript, Word, joined
from asr_core.windows import Cutter, Window

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

STEP = 0.5  # seconds of new sound between two looks


@dataclass(frozen=True)
class Caption:
    """The words so far: the `settled` ones stay as they are, the `tentative` ones may change."""

    settled: tuple[Word, ...] = ()
    tentative: tuple[Word, ...] = ()

    @property
    def text(self) -> str:
        return joined((*self.settled, *self.tentative))


class LiveSession:
    """One speaker, from `Recognizer.live()`. Not to be shared between threads."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.caption = Caption()
        self._recognizer = recognizer
        self._decoder = recognizer.decoder()
        self._recording = Recording(None, name="The recording")
        self._resampler = Resampler(recognizer.rate)
        self._step, self._whole, length, overlap = (
            recognizer.in_frames(seconds) for seconds in (STEP, WHOLE, WINDOW, OVERLAP)
        )
        self._cutter = Cutter(length, overlap, whole=length)
        self._heard = 0  # samples
        # A file this short is heard in one piece, and so is this recording if it ends so soon.
        self._short: list[np.ndarray] = []
        self._new = np.zeros(0, np.float32)  # less than a step
        self._ended = False

    def feed(self, samples: np.ndarray, rate: int) -> Caption:
        """Hear what comes next and say what is known so far.

        `samples` are PCM of any type, of shape (samples,) or (samples, channels), in pieces of any
        length. Raises AudioError when they are not finite numbers, or `rate` is out of range:
        they are left out then, and the next ones may be fed.
        """
        self._new = np.concatenate([self._new, self._hear(samples, rate)])
        # Whole steps only: what is heard must not depend on how the sound was cut into pieces.
        whole = len(self._new) // self._step * self._step
        if whole:
            self._settle(self._new[:whole])
            self._new = self._new[whole:]
            self._look()
        return self.caption

    def finish(self) -> Transcript:
        """The whole, when the speaker has stopped. Raises AudioError when it is too little."""
        self._go_on()
        self._ended = True
        rest = self._resampler.finish()
        self._note(rest)
        self._recording.close()
        if self._heard <= self._whole:
            self._decoder = self._recognizer.decoder()
            self._decode(Window(np.concatenate(self._short), 0, 0))
        else:
            self._settle(np.concatenate([self._new, rest]))
            self._decode(self._cutter.rest())
        return summary(self._decoder.finish(), self._recording, complete=True)

    def _hear(self, samples: np.ndarray, rate: int) -> np.ndarray:
        self._go_on()
        block = mono(checked(rate, samples))
        self._recording.loudest(block)  # now: the resampler would give all that follows what is NaN
        block = self._resampler.feed(block, rate)
        self._note(block)
        return block

    def _go_on(self) -> None:
        if self._ended:
            raise AudioError("This session has ended: begin another.")

    def _note(self, block: np.ndarray) -> None:
        self._recording.note(block, self._recognizer.rate)
        self._heard += len(block)
        if self._heard <= self._whole:
            self._short.append(block.copy())  # a microphone may use its buffer again
        else:
            self._short.clear()

    def _settle(self, block: np.ndarray) -> None:
        """Decode for good the windows that are complete with `block`."""
        for window in self._cutter.feed(block):
            self._decode(window)

    def _decode(self, window: Window) -> None:
        (emissions,) = self._recognizer.forward([window.samples])
        self._decoder.feed(self._recognizer.inner(window, emissions))

    def _look(self) -> None:
        """Decode what is held of the next window, to show it, and forget that again."""
        window = self._cutter.rest()
        (emissions,) = self._recognizer.forward([window.samples])
        settled = self._decoder.settled()
        ahead = self._decoder.fork()
        ahead.feed(self._recognizer.inner(window, emissions))
        self.caption = Caption(settled, ahead.finish()[len(settled) :])
