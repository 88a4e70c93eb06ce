"""Captions while somebody speaks: words appear at once, and settle a moment later.

    session = recognizer.live()
    for rate, samples in microphone:
        caption = session.feed(samples, rate)     # caption.settled, caption.tentative
    transcript = session.finish()

The model looks again at the last few seconds every `STEP`. What lies further back than `RIGHT` has
been heard with all the context it needs: it is decoded for good and soon forgotten, so a second of
speech costs the same in the first minute and in the sixtieth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from asr_core.audio import Recording, mono
from asr_core.recognizer import summary
from asr_core.resampling import Resampler
from asr_core.transcript import Transcript, Word

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

STEP = 0.5  # seconds of new sound between two looks
LEFT = 8.0  # seconds of settled sound that are looked at again, as context
RIGHT = 2.0  # seconds of sound after a word before it settles
CATCH_UP = 10.0  # seconds of new sound in one look at most, when much has come at once


@dataclass(frozen=True)
class Caption:
    """The words so far: the `settled` ones stay as they are, the `tentative` ones may change."""

    settled: tuple[Word, ...] = ()
    tentative: tuple[Word, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(word.text for word in (*self.settled, *self.tentative))


class LiveSession:
    """One speaker, from `Recognizer.live()`. Not to be shared between threads."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.caption = Caption()
        self._recognizer = recognizer
        self._decoder = recognizer.decoder()
        self._recording = Recording(None, name="The recording")
        self._resampler = Resampler(recognizer.rate)
        self._step, self._left, self._right, self._catch_up = (
            recognizer.in_frames(seconds) for seconds in (STEP, LEFT, RIGHT, CATCH_UP)
        )
        self._held = np.zeros(0, np.float32)  # context, what was looked at, what is new
        self._context = 0  # samples of `_held` that are decoded for good
        self._seen = 0  # samples of `_held` that were looked at

    def feed(self, samples: np.ndarray, rate: int) -> Caption:
        """Hear what comes next and say what is known so far.

        `samples` are PCM of any type, of shape (samples,) or (samples, channels), in pieces of any
        length. Raises AudioError when they are not finite numbers, or `rate` is out of range.
        """
        self._hear(self._resampler.feed(mono(np.asarray(samples)), rate))
        # Whole steps only: what is heard must not depend on how the sound was cut into pieces.
        while steps := (len(self._held) - self._seen) // self._step:
            self._look(self._seen + min(steps * self._step, self._catch_up))
        return self.caption

    def finish(self) -> Transcript:
        """The whole, when the speaker has stopped. Raises AudioError when it is too little."""
        self._hear(self._resampler.finish())
        self._recording.close()
        self._look(len(self._held), final=True)
        return summary(self._decoder.finish(), self._recording, complete=True)

    def _hear(self, block: np.ndarray) -> None:
        self._recording.note(block, self._recognizer.rate)
        self._held = np.concatenate([self._held, block])

    def _look(self, end: int, final: bool = False) -> None:
        """Run the model on `_held` up to `end`, and settle what has enough context after it."""
        hop = self._recognizer.hop
        (emissions,) = self._recognizer.forward([self._held[:end]])
        fresh = emissions[self._context // hop :]
        ready = len(fresh) if final else max(0, (end - self._context - self._right) // hop)
        self._decoder.feed(fresh[:ready])
        ahead = self._decoder.fork()
        ahead.feed(fresh[ready:])
        settled = self._decoder.settled()
        self.caption = Caption(settled, ahead.finish()[len(settled) :])

        self._context += ready * hop
        forget = max(0, self._context - self._left)
        self._held = self._held[forget:]
        self._context -= forget
        self._seen = end - forget
