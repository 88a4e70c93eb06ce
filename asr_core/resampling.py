"""Sound at one rate -> sound at another, block by block.

By soxr at its high quality, the library and quality that librosa uses by default.
"""

from __future__ import annotations

import numpy as np

from asr_core.errors import AudioError

RATES = range(1_000, 768_001)  # Hz


class Resampler:
    """Blocks at any rate in, blocks at the rate `target` out, without seams between them."""

    def __init__(self, target: int, name: str = "The recording") -> None:
        self.target = target
        self.name = name
        self._rate: int | None = None
        self._stream = None

    def feed(self, block: np.ndarray, rate: int) -> np.ndarray:
        """What can be known of the output so far; the rate may change from block to block."""
        ended = np.zeros(0, np.float32)
        if rate != self._rate:
            if rate not in RATES:
                raise AudioError(
                    f"{self.name} says it has {rate} samples a second: "
                    f"{RATES.start} to {RATES.stop - 1} can be read."
                )
            ended = self.finish()
            self._rate = rate
            if rate != self.target:
                import soxr

                self._stream = soxr.ResampleStream(rate, self.target, 1, quality="HQ")
        block = self._stream.resample_chunk(block) if self._stream else block
        return np.concatenate([ended, block]) if len(ended) else block

    def finish(self) -> np.ndarray:
        """What was held back, as nothing follows."""
        held = np.zeros(0, np.float32)
        if self._stream:
            held = self._stream.resample_chunk(held, last=True)
        self._rate = self._stream = None
        return held
