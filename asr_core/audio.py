"""Anything that holds sound -> blocks of mono float32 at the rate a model wants, lazily.

PyAV brings its own ffmpeg, so WAV, FLAC, MP3, OGG/Opus, M4A, WebM, MP4 and more are read alike on
every machine; soxr resamples (the library and quality that librosa uses by default).
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np

from asr_core.errors import AudioError

log = logging.getLogger(__name__)

Source: TypeAlias = str | os.PathLike | bytes | BinaryIO | tuple[int, np.ndarray]

SHORTEST = 0.025  # seconds: the receptive field of wav2vec2's first frame, 400 samples at 16 kHz
SILENCE = 1e-3  # loudest sample (of 1.0, so -60 dBFS) of a recording in which nobody can be heard
BLOCK = 1 << 16  # samples decoded before they are resampled and handed on
RATES = range(1_000, 768_001)  # Hz

# ffmpeg's demuxers that read one file of sound. Playlists (hls, concat, dash) are left out: they
# name other files and addresses, and a visitor's upload must not make us open those.
FORMATS = (
    "wav,w64,rf64,aiff,au,caf,flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,amr,amrnb,"
    "amrwb,asf,avi,flv,mpeg,mpegts,ac3,eac3,ape,wv,tta,voc,sph,nist"
)


@dataclass
class Recording:
    """A source opened for reading, once, from beginning to end.

    `duration` is in seconds as the file declares it, None where it does not; `read` is what has
    been decoded so far and `peak` the loudest sample of it. `warnings` fills while reading.
    """

    source: Source | None
    name: str = ""
    duration: float | None = None
    read: float = 0.0
    peak: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or _name(self.source)

    def blocks(self, rate: int) -> Iterator[np.ndarray]:
        """Mono float32 blocks of shape (samples,) at `rate` Hz.

        Raises AudioError when the source is missing, is not audio, holds none, holds numbers that
        are not finite, or is shorter than `SHORTEST`.
        """
        samples = 0
        for block in _resample(self._decode(), rate, self.name):
            if not np.isfinite(block).all():
                raise AudioError(
                    f"{self.name} holds samples that are not numbers (NaN or infinity): "
                    "export it again from the program that made it."
                )
            samples += len(block)
            self.read = samples / rate
            self.peak = max(self.peak, float(np.abs(block).max(initial=0)))
            yield block
        if self.read == 0:
            raise AudioError(f"{self.name} holds no audio: record or choose it again.")
        if self.read < SHORTEST:
            raise AudioError(
                f"{self.name} is only {self.read * 1000:.0f} ms long: "
                f"at least {SHORTEST * 1000:.0f} ms are needed."
            )
        if self.duration and self.read < 0.98 * self.duration - 0.1:
            self.warnings.append(
                f"{self.name} is cut short: only {self.read:.1f} of its {self.duration:.1f} "
                "seconds could be read."
            )

    @property
    def silent(self) -> bool:
        return self.peak < SILENCE

    def _decode(self) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, mono float32 block) pairs at the source's own rate."""
        if self.source is None:
            raise AudioError("There is no recording yet: record or choose one, then try again.")
        if isinstance(self.source, tuple):
            rate, samples = self.source
            self.duration = len(samples) / rate if rate else None
            samples = np.asarray(samples)
            for start in range(0, len(samples), BLOCK):
                yield rate, _mono(samples[start : start + BLOCK])
        elif isinstance(self.source, bytes | bytearray | memoryview):
            yield from self._decode_file(io.BytesIO(self.source))
        elif hasattr(self.source, "read"):
            yield from self._decode_file(self.source)
        else:
            path = Path(self.source)
            if path.is_dir():
                raise AudioError(f"{self.name} is a folder: choose a recording inside it.")
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise AudioError(f"{self.name} does not exist: check the path.") from None
            except (OSError, ValueError) as error:
                raise AudioError(f"{self.name} cannot be opened: {error}.") from error
            with file:
                yield from self._decode_file(file)

    def _decode_file(self, file: BinaryIO) -> Iterator[tuple[int, np.ndarray]]:
        # The file object and not its path goes to ffmpeg, which would take "http://" for a wish.
        import av

        try:
            container = av.open(file, mode="r", container_options={"format_whitelist": FORMATS})
        except (av.FFmpegError, OSError, ValueError) as error:
            raise AudioError(
                f"{self.name} is not audio that can be read ({_reason(error)}): WAV, FLAC, MP3, "
                "OGG, M4A, WebM and MP4 are."
            ) from error
        with container:
            if not container.streams.audio:
                raise AudioError(f"{self.name} has no sound track.")
            stream = container.streams.audio[0]
            stream.thread_type = "AUTO"
            if stream.duration:
                self.duration = float(stream.duration * stream.time_base)
            elif container.duration:
                self.duration = container.duration / av.time_base
            try:
                for frame in container.decode(stream):
                    samples = frame.to_ndarray()
                    if frame.format.is_planar:
                        samples = samples.T
                    else:
                        samples = samples.reshape(-1, frame.layout.nb_channels)
                    yield frame.sample_rate, _mono(samples)
            except (av.FFmpegError, OSError) as error:
                # What came before the damage is worth keeping; `blocks` complains if it is nothing.
                self.warnings.append(f"{self.name} is damaged ({_reason(error)}) and ends there.")


def load(source: Source | None, rate: int) -> np.ndarray:
    """All of `source` as one mono float32 array of shape (samples,) at `rate` Hz."""
    return np.concatenate(list(Recording(source).blocks(rate)))


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


def _resample(
    blocks: Iterable[tuple[int, np.ndarray]], target: int, name: str
) -> Iterator[np.ndarray]:
    """Join small blocks, and bring them to `target` Hz, whatever rate each of them has."""
    import soxr

    resampler, current = None, None
    waiting: list[np.ndarray] = []

    def flush(last: bool) -> Iterator[np.ndarray]:
        joined = np.concatenate(waiting) if waiting else np.zeros(0, np.float32)
        waiting.clear()
        if resampler is not None:
            joined = resampler.resample_chunk(joined, last=last)
        if len(joined):
            yield joined

    for rate, block in blocks:
        if rate != current:  # at the beginning, and where a stream changes its rate midway
            if rate not in RATES:
                raise AudioError(
                    f"{name} says it has {rate} samples a second: "
                    f"{RATES.start} to {RATES.stop - 1} can be read."
                )
            if current is not None:
                yield from flush(last=True)
            current = rate
            resampler = None
            if rate != target:
                resampler = soxr.ResampleStream(rate, target, 1, dtype="float32", quality="HQ")
        waiting.append(block)
        if sum(map(len, waiting)) >= BLOCK:
            yield from flush(last=False)
    yield from flush(last=True)


def _mono(samples: np.ndarray) -> np.ndarray:
    """(samples,) or (samples, channels) of any PCM type -> float32 of shape (samples,)."""
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128) / 128
    elif np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float32) / -float(np.iinfo(samples.dtype).min)
    samples = samples.astype(np.float32, copy=False)
    return samples.mean(axis=1) if samples.ndim == 2 else samples


def _name(source: Source | None) -> str:
    if isinstance(source, str | os.PathLike):
        return Path(source).name or str(source)
    name = getattr(source, "name", None)
    return Path(name).name if isinstance(name, str) else "The recording"


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
