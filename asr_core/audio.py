"""Anything that holds sound -> blocks of mono float32 at the rate a model wants, lazily.

PyAV brings its own ffmpeg, so WAV, FLAC, MP3, OGG/Opus, M4A, WebM, MP4 and more are read alike on
every machine; soxr resamples (the library and quality that librosa uses by default).
"""

from __future__ import annotations

import ctypes
import io
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np

from asr_core import streams
from asr_core.errors import AudioError, printable, reason
from asr_core.resampling import Resampler

if TYPE_CHECKING:
    import av

Source: TypeAlias = str | os.PathLike | bytes | BinaryIO | tuple[int, np.ndarray]

SHORTEST = 0.025  # seconds: the receptive field of wav2vec2's first frame, 400 samples at 16 kHz
SILENCE = 1e-3  # loudest sample (of 1.0, so -60 dBFS) of a recording in which nobody can be heard
LOUDEST = 1e10  # of any sample: whole numbers of 32 bits, which some keep as floats, end below it
BLOCK = 1 << 16  # samples decoded before they are resampled and handed on
CHANNELS = 64
CANCELLED = 0.01  # of the power of two channels: what is left where they are opposites, about
# Formats that tell when sound was sent: pauses are part of some (MKV, WebM; MP4, M4A; television),
# and damage in the others.
PAUSING, STEADY = ("matroska", "mov", "mpegts", "mpeg", "flv", "asf"), ("flac", "ogg")
GAPS = (0.5, 3600.0)  # seconds without sound that are more than rounding, and all that is filled
RETRIES = 100  # places in a row that cannot be read, after which nothing is expected to come
STREAMED_WAV = 0x7F00_0000  # bytes promised by headers that were written before the end was known

# ffmpeg's demuxers that read one file of sound. Playlists (hls, concat, dash) are left out: they
# name other files and addresses, and a visitor's upload must not make us open those.
FORMATS = (
    "wav,w64,rf64,aiff,au,caf,flac,mp3,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,amr,amrnb,"
    "amrwb,asf,avi,flv,mpeg,mpegts,ac3,eac3,ape,wv,tta,voc,sph,nist"
)
STREAMS = 24  # of a file, at most: its sound, all kinds of covers, or subtitles; each has tables
# Bytes that ffmpeg may get at once. The largest of those tables has 24 for each piece of an MP4 or
# M4A, whatever its size: 128 MiB are 36 hours of AAC at 44.1 kHz, or 12 of it at 96 kHz.
TABLE = 1 << 27


@dataclass
class Recording:
    """A source opened for reading, once, from beginning to end.

    `duration` is in seconds as the file declares it, None where it does not, and not `exact` where
    it is only guessed from the size; `read` is what has been decoded so far and `peak` the loudest
    sample of it. What comes after `longest` seconds is left out. `warnings` fills while reading.
    """

    source: Source | None
    name: str = ""
    duration: float | None = None
    exact: bool = True
    longest: float = math.inf
    read: float = 0.0
    peak: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = self.name or name_of(self.source)

    def blocks(self, rate: int) -> Iterator[np.ndarray]:
        """Mono float32 blocks of shape (samples,) at `rate` Hz.

        Raises AudioError when the source is missing, is not audio, holds none, holds numbers beyond
        `LOUDEST`, or is shorter than `SHORTEST`.
        """
        for block in _resample(self._decode(), rate, self.name):
            beyond = len(block) / rate > (left := self.longest - self.read) + 1e-6
            if beyond:
                self.warnings.append(
                    f"{self.name} is longer than the {self.longest / 3600:g} hours that are heard "
                    "here: divide it to have the rest heard, too."
                )
                block = block[: round(left * rate)]
            self.note(block, rate)
            yield block
            if beyond:
                break
        self.close()

    def note(self, block: np.ndarray, rate: int) -> None:
        """Take account of a block that has come. Raises AudioError when it can be no sound."""
        self.peak = max(self.peak, self.loudest(block))
        self.read += len(block) / rate

    def loudest(self, block: np.ndarray) -> float:
        """The loudest sample of a block. Raises AudioError when it holds what can be no sound."""
        low, high = (block.min(), block.max()) if len(block) else (0.0, 0.0)
        if not -LOUDEST < low <= high < LOUDEST:  # NaN is neither
            raise AudioError(
                f"{self.name} holds samples that are no sound (NaN, infinity or beyond 1e10): "
                "export it again from the program that made it."
            )
        return max(float(high), -float(low))

    def close(self) -> None:
        """Judge the whole, now that all of it has come. Raises AudioError when it is too little."""
        if self.read == 0:
            raise AudioError(f"{self.name} holds no audio: record or choose it again.")
        if self.read < SHORTEST:
            raise AudioError(
                f"{self.name} is only {self.read * 1000:.3g} ms long: "
                f"at least {SHORTEST * 1000:.0f} ms are needed."
            )
        declared = self.duration or 0.0
        missing = declared - self.read - 0.1
        if self.exact and missing > min(0.02 * declared, 2.0) and not self.warnings:
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
            rate, samples = self.source if len(self.source) == 2 else (None, None)
            samples = checked(rate, samples, self.name)
            for start in range(0, len(samples), BLOCK):
                yield rate, mono(samples[start : start + BLOCK])
        elif isinstance(self.source, bytes | bytearray | memoryview):
            yield from self._decode_file(io.BytesIO(self.source))
        elif hasattr(self.source, "read"):
            yield from self._decode_file(self.source)
        elif isinstance(self.source, str | os.PathLike):
            if self.source == "":
                raise AudioError("The path of the recording is empty: give that of a file.")
            path = Path(self.source)
            try:
                file = path.open("rb")
            except FileNotFoundError:
                if str(self.source).startswith(("http://", "https://")):
                    raise AudioError(
                        f"{self.name} is an address, and none is fetched here: download it first."
                    ) from None
                raise AudioError(f"{self.name} does not exist: check the path.") from None
            except IsADirectoryError:
                raise AudioError(
                    f"{self.name} is a folder: choose a recording inside it."
                ) from None
            except (OSError, ValueError) as error:
                raise AudioError(f"{self.name} cannot be opened: {reason(error)}.") from error
            with file:
                yield from self._decode_file(file)
        else:
            raise AudioError(
                f"A recording cannot be read from {type(self.source).__name__}: give a path, "
                "bytes, a file object or (sample rate, samples)."
            )

    def _decode_file(self, file: BinaryIO) -> Iterator[tuple[int, np.ndarray]]:
        # The file object and not its path goes to ffmpeg, which would take "http://" for a wish.
        import av

        head, size = streams.look_into(file)
        if size == 0:
            raise AudioError(f"{self.name} is empty: record or choose it again.")
        try:
            container = av.open(
                streams.for_ffmpeg(file, rewinds=size is not None),
                mode="r",
                container_options=_limits(),
                metadata_errors="replace",  # titles in CP949 or Latin-1 are no reason to refuse
            )
        except (av.FFmpegError, OSError, ValueError, TypeError) as error:
            raise AudioError(
                f"{self.name} is cut short or not audio that can be read ({reason(error)}): WAV, "
                "FLAC, MP3, OGG, M4A, WebM and MP4 are."
            ) from error
        with container:
            if not container.streams.audio:
                raise AudioError(f"{self.name} has no sound track.")
            # Of several that which players play: the one marked so, if any.
            stream = container.streams.best("audio") or container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError(
                    f"{self.name} is in a coding that cannot be read: convert it first."
                )
            if (channels := stream.codec_context.channels) > CHANNELS:
                raise AudioError(
                    f"{self.name} has {channels} channels: at most {CHANNELS} can be read."
                )
            stream.thread_type = "AUTO"
            if stream.duration and container.format.name != "asf":  # there, the whole file's
                self.duration = float(stream.duration * stream.time_base)
            elif container.duration:
                self.duration = container.duration / av.time_base
                self.exact = len(container.streams) == 1  # else it may be the picture's
            if container.format.name == "wav":
                # ffmpeg trusts the file's size more than its header, which tells what is missing.
                promised = int.from_bytes(head[4:8], "little") + 8
                if size and size < promised < STREAMED_WAV and stream.bit_rate:
                    self.duration = promised * 8 / stream.bit_rate
            elif container.format.name in ("mp3", "aac"):
                # Guessed from the bit rate, unless an encoder's tag counts the frames.
                self.exact = b"Xing" in head or b"Info" in head
            yield from self._decode_stream(container, stream)

    def _decode_stream(self, container, stream) -> Iterator[tuple[int, np.ndarray]]:
        import av

        lost, filled, shape, packer = 0, 0.0, None, None
        start = (container.start_time or 0) / av.time_base
        steady = container.format.name.startswith(STEADY)
        timed = steady or container.format.name.startswith(PAUSING)
        heard, (least, left) = 0.0, GAPS  # seconds
        try:
            for packet in _packets(container, stream):
                try:
                    frames = packet.decode() if packet else []
                    lost += packet is None
                except av.FFmpegError:
                    lost += 1  # a broken packet between good ones
                    continue
                for frame in frames:
                    gap = (frame.time - start if frame.time is not None else 0.0) - heard
                    if timed and least < gap < left:
                        # The picture began earlier, or nothing was sent for a while: the times of
                        # words count from the beginning.
                        yield from _unpacked(packer, None)
                        yield from _silence(gap, frame.rate)
                        packer, shape = None, None
                        heard, left = heard + gap, left - gap
                        filled += gap if steady else 0.0
                    heard += frame.samples / frame.rate
                    if shape != (shape := (frame.format.name, frame.layout.name, frame.rate)):
                        yield from _unpacked(packer, None)
                        # Float32, channels side by side: where they come one after the other,
                        # PyAV 18 reads beyond the eighth of them and crashes. Many of a codec's
                        # frames of 20 ms become one: far less work each.
                        packer = av.AudioResampler("flt", frame_size=BLOCK)
                    yield from _unpacked(packer, frame)
        except (av.FFmpegError, OSError) as error:
            if isinstance(self.source, str | os.PathLike) and not isinstance(error, av.FFmpegError):
                raise AudioError(  # of the disk or network, and gone the next time
                    f"{self.name} cannot be read to its end ({reason(error)}): try again, or copy "
                    "it elsewhere first."
                ) from error
            # What came before the damage is worth keeping; `close` complains if it is nothing.
            self.warnings.append(f"{self.name} is damaged ({reason(error)}) and ends there.")
        with suppress(av.FFmpegError):  # as above, if the packer was it
            yield from _unpacked(packer, None)
        if filled:
            self.warnings.append(
                f"{self.name} is damaged: {filled:.1f} seconds in it could not be read and are "
                "taken for silence."
            )
        elif lost:
            self.warnings.append(
                f"{self.name} is damaged: what could not be read is left out ({lost} packets)."
            )


@cache
def _limits() -> dict[str, str]:
    """What ffmpeg is told to open a file with, or a small one may claim gigabytes."""
    import av

    # For the whole process: no file has a limit of its own. Windows does not look for the function
    # in the libraries that this one needs, and where it is not found there is no limit.
    with suppress(AttributeError, OSError):
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(TABLE))
    # No pictures: to find out what is in a file, ffmpeg would unpack its covers.
    return {
        "format_whitelist": FORMATS,
        "codec_whitelist": ",".join(filter(_hears, sorted(av.codecs_available))),
        "max_streams": str(STREAMS),
    }


def _hears(codec: str) -> bool:
    """Whether it is a codec of sound that can be read."""
    import av

    try:
        return av.Codec(codec, "r").type == "audio"
    except av.codec.codec.UnknownCodecError:  # it can only be written
        return False


def _packets(container, stream) -> Iterator[av.Packet | None]:
    """The packets of a stream, with None where there is damage between them."""
    import av

    failed = 0
    while True:
        try:
            for packet in container.demux(stream):
                failed = 0
                yield packet
            return
        except av.error.InvalidDataError:  # asked once more, ffmpeg looks for what comes next
            failed += 1
            if failed == RETRIES:
                raise
            yield None


def _unpacked(packer, frame) -> Iterator[tuple[int, np.ndarray]]:
    """(rate, mono float32 block) pairs that are complete with `frame`; None ends the last one."""
    for packed in packer.resample(frame) if packer else ():
        samples = packed.to_ndarray().reshape(-1, packed.layout.nb_channels)
        yield packed.sample_rate, mono(samples)


def _silence(seconds: float, rate: int) -> Iterator[tuple[int, np.ndarray]]:
    for start in range(0, count := round(seconds * rate), BLOCK):
        yield rate, np.zeros(min(BLOCK, count - start), np.float32)


def load(source: Source | None, rate: int) -> np.ndarray:
    """All of `source` as one mono float32 array of shape (samples,) at `rate` Hz."""
    return np.concatenate(list(Recording(source).blocks(rate)))


def _resample(
    blocks: Iterable[tuple[int, np.ndarray]], target: int, name: str
) -> Iterator[np.ndarray]:
    resampler = Resampler(target, name)
    for rate, block in blocks:
        yield resampler.feed(block, rate)
    yield resampler.finish()


def checked(rate: object, samples: object, name: str = "The recording") -> np.ndarray:
    """PCM of any type, of shape (samples,) or (samples, channels), from numpy, torch or a list.

    Raises AudioError when these are not samples at a rate, calling them `name`.
    """
    if hasattr(samples, "detach"):  # torch's: numpy knows neither a GPU nor bfloat16
        samples = samples.detach().cpu()
        samples = samples.float() if samples.is_floating_point() else samples
    try:
        samples = np.asarray(samples)
    except (ValueError, TypeError):  # rows of several lengths
        samples = np.asarray(None)
    if not np.isscalar(rate) or samples.dtype.kind not in "iuf":
        raise AudioError(f"{name} is not (sample rate, samples): check what they are.")
    if samples.dtype.kind in "iu" and samples.dtype.itemsize > 4:
        raise AudioError(
            f"{name} has samples of {samples.dtype}, which do not say what is loudest: "
            "give int16, or floats from -1 to 1."
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= CHANNELS):
        raise AudioError(
            f"{name} has samples of shape {samples.shape}: (samples,) or (samples, channels) with "
            f"at most {CHANNELS} channels can be read."
        )
    return samples


def mono(samples: np.ndarray) -> np.ndarray:
    """(samples,) or (samples, channels) of any PCM type -> float32 of shape (samples,)."""
    if samples.dtype.kind in "iu":
        half = 2.0 ** (8 * samples.dtype.itemsize - 1)
        middle = half if samples.dtype.kind == "u" else 0.0
        samples = (samples.astype(np.float32) - np.float32(middle)) / np.float32(half)
    samples = samples.astype(np.float32, copy=False)
    if samples.ndim == 1:
        return samples
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0]
    # As a product it takes a tenth of the time of numpy's mean.
    mixed = samples @ np.full(channels, 1 / channels, np.float32)
    if channels == 2 and np.vdot(mixed, mixed) < CANCELLED * np.vdot(samples, samples):
        return samples[:, np.square(samples).sum(0).argmax()]  # one was wired the wrong way round
    return mixed


def name_of(source: Source | None) -> str:
    """How a recording is named to a person."""
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    if not isinstance(name, str | os.PathLike):
        return "The recording"
    return printable(Path(name).name or name) or "The recording"
