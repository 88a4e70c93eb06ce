"""Anything that holds sound -> blocks of mono float32 at the rate a model wants, lazily.

PyAV brings its own ffmpeg, so WAV, FLAC, MP3, OGG/Opus, M4A, WebM, MP4 and more are read alike on
every machine; soxr resamples (the library and quality that librosa uses by default).
"""

from __future__ import annotations

import io
import itertools
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
        for block in _resample(self._decode(), rate, self.name):
            self.note(block, rate)
            yield block
        self.close()

    def note(self, block: np.ndarray, rate: int) -> None:
        """Take account of a block that has come. Raises AudioError when it holds no numbers."""
        if not np.isfinite(block).all():
            raise AudioError(
                f"{self.name} holds samples that are not numbers (NaN or infinity): "
                "export it again from the program that made it."
            )
        self.read += len(block) / rate
        self.peak = max(self.peak, float(np.abs(block).max(initial=0)))

    def close(self) -> None:
        """Judge the whole, now that all of it has come. Raises AudioError when it is too little."""
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
                yield rate, mono(samples[start : start + BLOCK])
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
                    yield frame.sample_rate, mono(samples)
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


def _resample(
    blocks: Iterable[tuple[int, np.ndarray]], target: int, name: str
) -> Iterator[np.ndarray]:
    resampler = Resampler(target, name)
    for rate, block in _joined(blocks):
        yield resampler.feed(block, rate)
    yield resampler.finish()


def _joined(blocks: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of a codec, 20 ms each, as blocks of about `BLOCK` samples: far less work each."""
    for rate, frames in itertools.groupby(blocks, key=lambda pair: pair[0]):
        waiting: list[np.ndarray] = []
        for _, frame in frames:
            waiting.append(frame)
            if sum(map(len, waiting)) >= BLOCK:
                yield rate, np.concatenate(waiting)
                waiting = []
        if waiting:
            yield rate, np.concatenate(waiting)


def mono(samples: np.ndarray) -> np.ndarray:
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
