"""Recordings that cannot be used: one clear sentence each, never a traceback."""

from __future__ import annotations

import io
import os
import re
import struct
import wave

import av
import numpy as np
import pytest
from sounds import encode, silent_film, tone

from asr_core import audio
from asr_core.audio import Recording, load
from asr_core.errors import AudioError


def read(source) -> Recording:
    recording = Recording(source)
    for _ in recording.blocks(16_000):
        pass
    return recording


@pytest.fixture(scope="module")
def wav() -> bytes:
    return encode(tone(4.0), 16_000, "wav", "pcm_s16le")


def riff(coding: int = 1, channels: int = 1, title: bytes = b"") -> bytes:
    """A WAV of a second whose header is as odd as one likes."""
    form = struct.pack("<HHIIHH", coding, channels, 16_000, 32_000 * channels, 2 * channels, 16)
    named = title + b"\0" * (2 - len(title) % 2)
    info = b"INFOINAM" + struct.pack("<I", len(named)) + named
    sound = np.full(16_000 * channels, 999, "<i2").tobytes()
    parts = [(b"fmt ", form), (b"LIST", info), (b"data", sound)]
    body = b"".join(name + struct.pack("<I", len(part)) + part for name, part in parts)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


CLOSED = io.BytesIO(b"RIFF")
CLOSED.close()

BROKEN = {
    "closed file": (CLOSED, "closed file"),
    "unknown coding": (riff(coding=0x1234)[:-999], "is in a coding that cannot be read"),
    "too many channels": (riff(channels=65), "has 65 channels: at most 64 can be read"),
    "nothing recorded": (None, "There is no recording yet"),
    "missing file": ("missing.wav", r"missing\.wav does not exist: check the path"),
    "name with a null": ("a\0b.wav", "cannot be opened|does not exist"),
    "address": ("http://localhost:9/a.wav", r"a\.wav is an address.*: download it first"),
    "no path": ("", "^The path of the recording is empty"),
    "empty file": (b"", "is empty"),
    "text": (b"once upon a time " * 99, "cut short or not audio"),
    "picture": (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(999),
        "not audio|no sound track|holds no audio",
    ),
    "text stream": (io.StringIO("a" * 999), "not audio"),
    "number": (5, "cannot be read from int"),
    "zero samples": ((16_000, np.zeros(0, np.float32)), "holds no audio"),
    "too short": ((16_000, np.zeros(399, np.float32)), "only 24.9 ms long.*25 ms are needed"),
    "not a number": ((16_000, np.full(800, np.nan)), "are no sound .NaN, "),
    "infinite": ((16_000, np.full(800, np.inf)), "are no sound"),
    "absurd": ((16_000, np.full(800, -1e20)), "are no sound .*beyond 1e10"),
    "words for samples": ((16_000, np.array(["a"])), "is not .sample rate, samples."),
    "no samples": ((16_000, None), "is not .sample rate, samples."),
    "the other way round": ((np.zeros(999), 16_000), "is not .sample rate, samples."),
    "channels first": ((16_000, np.zeros((2, 999))), r"shape \(2, 999\).*\(samples, channels\)"),
    "no channels": ((16_000, np.zeros((999, 0))), r"shape \(999, 0\)"),
    "integers of eight bytes": ((16_000, np.zeros(999, np.int64)), "int64.*give int16, or floats"),
    "three of them": ((16_000, np.zeros(999), 1), "is not .sample rate, samples."),
    "rows of several lengths": ((16_000, [[0.0], [0.0, 0.1]]), "is not .sample rate, samples."),
    "no rate": ((0, np.zeros(999)), "0 samples a second"),
    "absurd rate": ((10**9, np.zeros(999)), "1000000000 samples a second"),
}


@pytest.mark.parametrize(("source", "sentence"), BROKEN.values(), ids=BROKEN)
def test_one_clear_sentence(source, sentence):
    with pytest.raises(AudioError, match=sentence) as caught:
        read(source)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_a_folder(tmp_path):
    with pytest.raises(AudioError, match=f"{tmp_path.name} is a folder"):
        read(tmp_path)


def test_a_file_without_samples():
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(AudioError, match="holds no audio"):
        read(file.getvalue())


def test_a_film_without_sound():
    with pytest.raises(AudioError, match="no sound track"):
        read(silent_film())


@pytest.mark.parametrize("samples", [400, 500, 799])
def test_the_shortest_that_can_be_heard(samples):
    assert len(load((16_000, tone()[:samples]), 16_000)) == samples


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("wav", "pcm_mulaw"),
        ("wav", "pcm_f64le"),
        ("flac", "flac"),
        ("mp3", "libmp3lame"),
        ("webm", "libopus"),
        ("au", "pcm_s16be"),
    ],
)
def test_a_truncated_file_is_read_as_far_as_it_goes_and_said_to_be_cut_short(format, codec):
    rate = 8_000 if codec == "pcm_mulaw" else 16_000
    file = encode(tone(4.0, rate), rate, format, codec)
    recording = read(file[: len(file) // 2])
    assert 0.5 < recording.read < 3.0
    assert len(recording.warnings) == 1
    assert "is cut short: only" in recording.warnings[0]
    assert "of its 4.0 seconds" in recording.warnings[0]


def test_a_truncated_file_without_its_index_cannot_be_read():
    file = encode(tone(4.0), 16_000, "ipod", "aac")
    with pytest.raises(AudioError, match="cut short"):
        read(file[: len(file) // 2])


def test_a_wav_that_was_streamed_promises_nothing(wav):
    streamed = wav[:4] + b"\xff\xff\xff\xff" + wav[8:]
    assert read(streamed).warnings == []


def test_damage_in_the_middle_loses_only_what_is_damaged():
    file = bytearray(encode(tone(20.0), 16_000, "mp3", "libmp3lame"))
    middle = len(file) // 2
    file[middle : middle + 1000] = b"Z" * 1000
    recording = read(bytes(file))
    assert recording.read > 15
    assert "is damaged" in recording.warnings[0]


@pytest.mark.parametrize(
    ("format", "codec", "rate"), [("flac", "flac", 16_000), ("ogg", "libopus", 48_000)]
)
@pytest.mark.parametrize("filling", [b"\0", b"Z"])
def test_what_comes_after_damage_keeps_its_time(format, codec, rate, filling):
    """A bad place on a disk, in formats that say where in the recording each piece belongs."""
    noise = np.random.default_rng(0).normal(0, 0.1, 30 * 16_000).astype(np.float32)
    beep = 20.0  # seconds
    noise[round(beep * 16_000) : round((beep + 1) * 16_000)] += tone(1.0)
    sound = noise if rate == 16_000 else np.repeat(noise, rate // 16_000)
    file = bytearray(encode(sound, rate, format, codec))
    assert read(bytes(file)).warnings == []
    start = len(file) // 2
    file[start : start + len(file) // 20] = filling * (len(file) // 20)
    recording = Recording(bytes(file))
    heard = np.concatenate(list(recording.blocks(16_000)))
    assert len(heard) / 16_000 == pytest.approx(30.0, abs=0.1)
    loud = np.flatnonzero(np.abs(heard) > 0.5) / 16_000
    assert np.median(loud) == pytest.approx(beep + 0.5, abs=0.2)
    (said,) = recording.warnings
    assert re.search(
        r"is damaged: \d\.\d seconds in it could not be read and are taken for s", said
    )


def test_two_seconds_that_are_missing_from_an_hour_are_told():
    recording = Recording((8_000, np.zeros(8_000)), "talk.wav", duration=3600.0)
    recording.read = 3597.0
    recording.close()
    assert "is cut short: only 3597.0 of its 3600.0 seconds" in recording.warnings[0]
    recording = Recording((8_000, np.zeros(8_000)), "talk.wav", duration=3600.0, read=3599.0)
    recording.close()
    assert recording.warnings == []


def test_the_name_in_a_sentence_is_the_file_not_the_folder(tmp_path):
    path = tmp_path / "voice.wav"
    path.write_bytes(b"no sound at all")
    with pytest.raises(AudioError, match=r"^voice\.wav is") as caught:
        read(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {path}\n",
        "<?xml version='1.0'?><MPD><Period><BaseURL>{path}</BaseURL></Period></MPD>",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
    ],
)
@pytest.mark.parametrize("ending", [".wav", ".m3u8", ".ffconcat", ".sdp"])
@pytest.mark.parametrize("folder", ["{here}/", ""], ids=["absolute", "beside it"])
def test_a_playlist_cannot_make_us_read_other_files(
    tmp_path, monkeypatch, wav, playlist, ending, folder
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.wav").write_bytes(wav)
    upload = tmp_path / f"upload{ending}"
    upload.write_text(playlist.format(path=folder.format(here=tmp_path) + "secret.wav"))
    for source in (upload, upload.name, upload.read_bytes()):
        with pytest.raises(AudioError):
            read(source)


def test_a_name_that_is_not_in_utf_8_can_be_told():
    with pytest.raises(AudioError, match=r"^a\ufffdb[.]wav does not exist"):
        audio.load(os.fsdecode(b"/nowhere/a\xffb.wav"), 16_000)


def test_a_file_of_which_nothing_more_can_be_read_is_given_up():
    class Broken:
        asked = 0

        def demux(self, stream):
            self.asked += 1
            if self.asked > 10 * audio.RETRIES:
                pytest.fail("It would go on for ever.")
            raise av.error.InvalidDataError(1, "Invalid data found when processing input")

    with pytest.raises(av.error.InvalidDataError):
        list(audio._packets(Broken(), None))


def test_silence_is_read_and_known_as_such():
    assert read((16_000, np.zeros(16_000, np.int16))).silent
    assert not read((16_000, tone() * 0.01)).silent
    assert not read((16_000, -np.abs(tone()))).silent  # as some microphones have it


def test_whole_numbers_of_32_bits_may_come_as_floats():
    assert read((16_000, tone() * 2**32)).peak == pytest.approx(2**31, rel=0.01)


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_a_title_in_another_encoding_is_no_reason_to_refuse(encoding):
    assert read(riff(title="회의".encode(encoding))).read == 1.0
