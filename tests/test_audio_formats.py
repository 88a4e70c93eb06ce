"""Whatever people bring is heard: every format, rate, depth and number of channels."""

from __future__ import annotations

import errno
import io
import mmap
import struct
import subprocess
import sys
import wave
import zlib
from fractions import Fraction

import numpy as np
import pytest
import torch
from sounds import encode, loudest_pitch, tone

from asr_core.audio import Recording, load
from asr_core.errors import AudioError

FORMATS = {
    "wav 8 bit": ("wav", "pcm_u8"),
    "wav 16 bit": ("wav", "pcm_s16le"),
    "wav 24 bit": ("wav", "pcm_s24le"),
    "wav 32 bit": ("wav", "pcm_s32le"),
    "wav float": ("wav", "pcm_f32le"),
    "wav double": ("wav", "pcm_f64le"),
    "wav telephone": ("wav", "pcm_mulaw"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "ogg opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
}
OPUS_RATES = {8_000, 16_000, 48_000}


def cases() -> list:
    found = []
    for name, (format, codec) in FORMATS.items():
        for rate in (8_000, 16_000, 44_100, 48_000):
            if codec != "libopus" or rate in OPUS_RATES:
                found.append(pytest.param(format, codec, rate, id=f"{name} {rate}"))
    return found


@pytest.mark.parametrize(("format", "codec", "rate"), cases())
def test_every_format_at_every_rate(format, codec, rate):
    file = encode(tone(1.0, rate), rate, format, codec)
    recording = Recording(file)
    heard = np.concatenate(list(recording.blocks(16_000)))
    assert heard.dtype == np.float32
    assert recording.warnings == []
    assert len(heard) / 16_000 == pytest.approx(1.0, abs=0.2)  # AAC pads whole frames
    assert loudest_pitch(heard, 16_000) == pytest.approx(440, abs=3)
    assert np.std(heard[4000:12000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("channels", [2, 6, 8])
@pytest.mark.parametrize("format", ["wav 16 bit", "wav 24 bit", "flac"])
def test_channels_are_mixed_to_one(channels, format):
    voices = np.stack([tone(pitch=300 + 100 * i) for i in range(channels)], axis=1)
    heard = load(encode(voices, 16_000, *FORMATS[format]), 16_000)
    assert heard == pytest.approx(voices.mean(axis=1), abs=1e-3)


def test_channels_of_which_one_is_turned_over_do_not_cancel_out():
    sound = tone()
    quieter = np.stack([-0.95 * sound, sound], axis=1)  # no two cables are alike
    heard = load(encode(quieter, 16_000, *FORMATS["flac"]), 16_000)
    assert heard == pytest.approx(sound, abs=1e-3)


@pytest.mark.parametrize("format", ["m4a", "ogg opus", "webm"])
def test_channels_are_all_heard_in_compressed_files(format):
    voices = np.zeros((48_000, 8), np.float32)
    voices[:, 7] = tone(rate=48_000)
    heard = load(encode(voices, 48_000, *FORMATS[format]), 16_000)
    assert loudest_pitch(heard, 16_000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("rate", [11_025, 96_000, 192_000])
def test_unusual_rates(rate):
    heard = load(encode(tone(1.0, rate), rate, "wav", "pcm_s24le"), 16_000)
    assert len(heard) == pytest.approx(16_000, abs=2)
    assert loudest_pitch(heard, 16_000) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"]
)
@pytest.mark.parametrize("channels", [None, 1, 2])
def test_arrays_of_every_type(dtype, channels):
    sound = tone(0.5)
    samples = sound if channels is None else np.stack([sound] * channels, axis=1)
    if (kind := np.dtype(dtype)).kind in "iu":
        info = np.iinfo(kind)
        middle = (info.max + info.min + 1) / 2
        samples = (samples * (info.max - middle) + middle).astype(kind)
    heard = load((16_000, samples.astype(dtype)), 16_000)
    assert heard == pytest.approx(sound, abs=0.02 if kind.itemsize == 1 else 1e-3)


def test_a_path_bytes_and_a_file_object_are_heard_alike(tmp_path):
    path = tmp_path / "voice.wav"
    path.write_bytes(encode(tone(), 16_000, "wav", "pcm_s16le"))
    expected = load(path, 16_000)
    assert np.array_equal(load(str(path), 16_000), expected)
    assert np.array_equal(load(path.read_bytes(), 16_000), expected)
    with path.open("rb") as file:
        assert np.array_equal(load(file, 16_000), expected)
    assert np.array_equal(load(io.BytesIO(path.read_bytes()), 16_000), expected)


class Download:
    """As HTTP clients have it: it tells where it is, cannot go back, and has errors of its own."""

    def __init__(self, contents: bytes, breaks_at: int = 1 << 30) -> None:
        self.file, self.breaks_at = io.BytesIO(contents), breaks_at

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, *_) -> None:
        raise io.UnsupportedOperation("seek")

    def read(self, count: int = -1) -> bytes:
        if self.file.tell() + count > self.breaks_at:
            raise RuntimeError("the connection was reset")
        return self.file.read(count)


@pytest.mark.parametrize(("format", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame")])
def test_what_cannot_be_rewound_is_heard_from_its_beginning(format, codec):
    file = encode(tone(60.0), 16_000, format, codec)
    assert len(load(Download(file), 16_000)) == pytest.approx(60 * 16_000, abs=2500)
    recording = Recording(Download(file, breaks_at=len(file) // 2))
    assert sum(map(len, recording.blocks(16_000))) > 2 * 16_000
    assert "the connection was reset" in recording.warnings[0]


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe+empty_moov"}])
def test_an_m4a_is_heard_through_a_pipe_wherever_it_tells_where_its_sound_is(options):
    file = encode(tone(5.0), 16_000, "ipod", "aac", **options)
    assert load(Download(file), 16_000) == pytest.approx(load(file, 16_000))


@pytest.mark.parametrize("format", ["wav 16 bit", "flac", "mp3", "m4a", "ogg opus"])
def test_a_recording_inside_another_file_is_heard_from_where_that_is(format):
    file = encode(tone(20.0), 16_000, *FORMATS[format])
    inside = io.BytesIO(b"\0" * 1000 + file)
    inside.seek(1000)
    recording = Recording(inside)
    assert np.concatenate(list(recording.blocks(16_000))) == pytest.approx(load(file, 16_000))
    assert not recording.warnings


def test_a_disk_that_fails_makes_no_half_transcript(tmp_path, monkeypatch):
    path = tmp_path / "voice.wav"
    path.write_bytes(encode(tone(60.0), 16_000, "wav", "pcm_s16le"))

    class Failing(io.FileIO):
        def read(self, count: int = -1) -> bytes:
            if self.tell() > 1_000_000:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(count)

    monkeypatch.setattr("pathlib.Path.open", lambda path, mode: Failing(path))
    with pytest.raises(AudioError, match=r"voice.wav cannot be read to its end .input/output"):
        load(path, 16_000)


@pytest.mark.parametrize("longest", [1.0, 5.0, 8.5])
def test_what_comes_after_the_longest_is_left_out_and_told(longest):
    recording = Recording((16_000, tone(9.0)), longest=longest)
    assert sum(map(len, recording.blocks(16_000))) == longest * 16_000
    (warning,) = recording.warnings
    assert "divide it to have the rest heard" in warning
    whole = Recording((16_000, tone(longest)), longest=longest)
    assert sum(map(len, whole.blocks(16_000))) == longest * 16_000
    assert not whole.warnings


def test_a_file_that_is_mapped_into_memory_is_heard(tmp_path):
    path = tmp_path / "voice.wav"
    path.write_bytes(encode(tone(), 16_000, "wav", "pcm_s16le"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert np.array_equal(load(mapped, 16_000), load(path, 16_000))


def test_tensors_of_torch_are_heard():
    sound = tone(1.0)
    tensor = torch.tensor(sound)
    for samples in (tensor, tensor.clone().requires_grad_(), tensor[:, None].bfloat16()):
        assert load((16_000, samples), 16_000) == pytest.approx(sound, abs=0.01)
    integers = (tensor * 32_000).to(torch.int16)
    assert load((16_000, integers), 16_000) == pytest.approx(sound * 32_000 / 32_768, abs=1e-3)


def test_the_wave_module_of_python_agrees(tmp_path):
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        pcm = (tone() * 32767).astype("<i2")
        file.writeframes(pcm.tobytes())
    assert np.array_equal(load(tmp_path / "voice.wav", 16_000), pcm / np.float32(32768))


@pytest.mark.parametrize("channels", [1, 3, 4, 8, 12])
def test_channels_without_names(tmp_path, channels):
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        pcm = (tone() * 32767).astype("<i2")
        file.writeframes(np.repeat(pcm, channels).tobytes())
    assert load(tmp_path / "voice.wav", 16_000) == pytest.approx(tone(), abs=1e-3)


def test_recordings_of_two_rates_joined_in_one_file():
    parts = [encode(tone(1.0, rate), rate, "adts", "aac") for rate in (16_000, 48_000)]
    heard = load(b"".join(parts), 16_000)
    assert len(heard) == pytest.approx(32_000, abs=4_000)
    assert loudest_pitch(heard[:12_000], 16_000) == pytest.approx(440, abs=3)
    assert loudest_pitch(heard[-12_000:], 16_000) == pytest.approx(440, abs=3)


def test_a_recording_comes_in_blocks_and_not_at_once():
    file = encode(tone(60), 16_000, "flac", "flac")
    blocks = [len(block) for block in Recording(file).blocks(16_000)]
    assert max(blocks) <= 80_000
    assert sum(blocks) == 960_000


def test_no_duration_is_promised_by_a_guess():
    # Without a Xing header, ffmpeg guesses the length of an MP3 from its first frames' bit rate.
    file = encode(tone(20), 16_000, "mp3", "libmp3lame", write_xing="0")
    recording = Recording(file)
    list(recording.blocks(16_000))
    assert not recording.exact
    assert recording.warnings == []


def film(format: str, codec: str, begins: float, pause: float = 0.0) -> bytes:
    """6 s of picture; a tone of 2 s from `begins` on, with a pause after the first second."""
    import av

    rate, file = 48_000, io.BytesIO()
    with av.open(file, "w", format=format) as container:
        coding = {"webm": "libvpx", "flv": "flv"}.get(format, "mpeg4")
        picture = container.add_stream(coding, rate=10)
        picture.width = picture.height = 32
        sound = container.add_stream(codec, rate=rate)
        sound.layout = "mono"
        size = sound.codec_context.frame_size or 1024
        for _ in range(60):
            blank = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
            container.mux(picture.encode(blank))
        container.mux(picture.encode(None))
        whole = np.resize(tone(1.0, rate), size * (2 * rate // size))
        for first in range(0, len(whole), size):
            frame = av.AudioFrame.from_ndarray(whole[None, first : first + size], "flt", "mono")
            frame.sample_rate = rate
            frame = av.AudioResampler(sound.codec_context.format, "mono", rate).resample(frame)[0]
            late = begins + (pause if first >= rate else 0.0)
            frame.pts, frame.time_base = first + round(late * rate), Fraction(1, rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        *(("matroska", "libopus"), ("mp4", "aac"), ("webm", "libopus")),
        *(("mpegts", "aac"), ("flv", "aac"), ("asf", "aac")),
    ],
)
@pytest.mark.parametrize(("begins", "pause"), [(3.0, 0.0), (0.0, 2.0)])
def test_sound_is_where_its_file_says(format, codec, begins, pause):
    recording = Recording(film(format, codec, begins, pause))
    heard = np.concatenate(list(recording.blocks(16_000)))
    loud = np.flatnonzero(np.abs(heard) > 0.1) / 16_000
    assert loud[0] == pytest.approx(begins, abs=0.15)
    assert loud[-1] == pytest.approx(begins + pause + 2.0, abs=0.15)
    assert np.diff(loud).max() == pytest.approx(max(pause, 0.0), abs=0.15)
    assert recording.warnings == []  # that the picture goes on is no damage


def test_times_that_cannot_be_are_not_filled(monkeypatch):
    monkeypatch.setattr("asr_core.audio.GAPS", (0.5, 2.5))
    heard = load(film("matroska", "libopus", 3.0), 16_000)
    assert len(heard) / 16_000 == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("format", "codec"), [("matroska", "libopus"), ("mp4", "aac")])
def test_of_several_tracks_the_one_that_players_play_is_heard(format, codec):
    import av

    rate, file = 48_000, io.BytesIO()
    with av.open(file, "w", format=format) as container:
        sounds = (np.zeros(3 * rate, np.float32), tone(3.0, rate))
        tracks = [container.add_stream(codec, rate=rate, layout="mono") for _ in sounds]
        tracks[1].disposition = av.stream.Disposition.default
        for track, sound in zip(tracks, sounds, strict=True):
            frame = av.AudioFrame.from_ndarray(sound[None], "flt", "mono")
            frame.sample_rate = rate
            size = track.codec_context.frame_size or 1024
            packer = av.AudioResampler(track.codec_context.format, "mono", rate, size)
            for part in (*packer.resample(frame), *packer.resample(None)):
                container.mux(track.encode(part))
            container.mux(track.encode(None))
    assert np.abs(load(file.getvalue(), 16_000)).max() > 0.3


def picture(side: int) -> bytes:
    """A PNG of nothing, small as a file and of 8 bytes a pixel where it is unpacked."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side * 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*each) for each in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    )


def with_covers(sound: bytes, cover: bytes, count: int) -> bytes:
    """An MP3 with pictures before its sound."""

    def size(number: int) -> bytes:
        return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))

    def frame(kind: int) -> bytes:
        content = b"\0image/png\0" + bytes([kind]) + b"\0" + cover
        return b"APIC" + size(len(content)) + b"\0\0" + content

    frames = b"".join(map(frame, range(count)))
    return b"ID3\x04\0\0" + size(len(frames)) + frames + sound


def claiming(samples: int, tracks: int) -> bytes:
    """A MOV of 64 kB that says that it holds so many samples."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        content = b"".join(parts)
        return struct.pack(">I", 8 + len(content)) + kind + content

    def full(kind: bytes, *parts: bytes | int) -> bytes:
        return box(
            kind, bytes(4), *(struct.pack(">I", p) if isinstance(p, int) else p for p in parts)
        )

    begin = box(b"ftyp", b"qt  \0\0\0\0qt  ")
    coding = struct.pack(">HHHHI", 1, 16, 0, 0, 16_000 << 16)
    sowt = box(b"sowt", bytes(6) + b"\0\1" + bytes(8) + coding)
    table = box(
        b"stbl",
        full(b"stsd", 1, sowt),
        full(b"stts", 1, samples, 2),
        full(b"stsc", 1, 1, samples, 1),
        full(b"stsz", 2, samples),
        full(b"stco", 1, len(begin) + 8),
    )
    media = box(
        b"mdia",
        full(b"mdhd", 0, 0, 32_000, samples, 0),
        full(b"hdlr", b"mhlrsoun" + bytes(13)),
        box(b"minf", full(b"smhd", 0), table),
    )
    track = box(b"trak", full(b"tkhd", 0, 0, 1, 0, samples, bytes(60)), media)
    head = full(b"mvhd", 0, 0, 1000, 1000, bytes(80))
    return begin + box(b"mdat", bytes(64_000)) + box(b"moov", head, track * tracks)


def megabytes_to_hear(file: bytes, path) -> tuple[str, int]:
    """What is said of a file, and the memory that reading it takes beyond what is there before."""
    path.write_bytes(file)
    script = """
import re, sys
from pathlib import Path
import av
from asr_core.audio import AudioError, load

def peak():  # not `getrusage`, which counts the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1000

before = peak()
try:
    said = len(load(sys.argv[1], 16_000))
except AudioError as error:
    said = error
print(peak() - before, said)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    megabytes, said = done.stdout.strip().split(" ", 1)
    return said, int(megabytes)


def test_covers_are_not_unpacked(tmp_path):
    sound = encode(tone(1.0), 16_000, "mp3", "libmp3lame")
    file = with_covers(sound, picture(6000), 3)
    said, megabytes = megabytes_to_hear(file, tmp_path / "song.mp3")
    assert int(said) == pytest.approx(16_000, abs=2500)
    assert len(file) < 1 << 20
    assert megabytes < 200  # one of them unpacked is 288


def test_what_a_file_claims_to_hold_takes_no_memory(tmp_path):
    said, megabytes = megabytes_to_hear(claiming(20_000_000, tracks=2), tmp_path / "claim.mov")
    assert said.startswith("claim.mov ")
    assert megabytes < 200  # 20 million samples of one track are 480


def test_twelve_hours_are_within_what_a_file_may_claim():
    pieces = 12 * 3600 * 96_000 // 1024  # as AAC at the highest rate that is usual
    assert len(load(claiming(pieces, tracks=1), 16_000)) > 16_000  # the samples that are there


def test_a_song_with_a_cover_of_every_kind_is_heard():
    sound = encode(tone(1.0), 16_000, "mp3", "libmp3lame")
    heard = load(with_covers(sound, picture(2), 21), 16_000)
    assert loudest_pitch(heard, 16_000) == pytest.approx(440, abs=3)
