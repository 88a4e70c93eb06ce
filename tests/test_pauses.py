"""Pauses are not given to the model; what is said before and after them is, at its time."""

from __future__ import annotations

import numpy as np
import pytest

from asr_core import Recognizer, page, pauses
from asr_core.audio import load

RATE, HOP = 16_000, 320


def hiss(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (level * noise).astype(np.float32)


def voice(seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
    """As loud and as quiet as syllables are."""
    time = np.arange(round(seconds * RATE)) / RATE
    swell = 0.05 + np.abs(np.sin(2 * np.pi * 3 * time))
    return (hiss(seconds, level, seed) * swell).astype(np.float32)


def seconds(found: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(start * HOP / RATE, end * HOP / RATE) for start, end in found]


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3])
def test_long_pauses_are_found_but_for_their_margins(level):
    still, short = hiss(3.0, level, 1), hiss(1.0, level, 2)
    sound = np.concatenate([still, voice(2.0), short, voice(2.0), still, voice(1.0), still])
    expected = [(0, 2.3), (8.7, 10.3), (12.7, 15)]
    found = seconds(pauses.found(sound + hiss(len(sound) / RATE, level, 3), HOP, RATE))
    assert np.array(found) == pytest.approx(np.array(expected), abs=0.1)


@pytest.mark.parametrize(
    "sound",
    [
        hiss(8.0, 0.05),  # nobody speaks, and nothing tells what is noise
        np.concatenate([voice(3.0, 0.3), voice(4.0, 0.3 * 0.02, 1) + hiss(4.0, 3e-4)]),  # far away
        np.concatenate([hiss(4.0, 0.02), hiss(2.0, 0.16), hiss(4.0, 0.02)]),  # low, loud, low
        np.concatenate([voice(3.0, 0.3), hiss(1.9, 1e-4), voice(3.0, 0.3)]),
        np.zeros(5 * RATE, np.float32),
        hiss(0.01, 0.1),
        np.zeros(0, np.float32),
    ],
)
def test_all_else_is_heard(sound):
    assert pauses.found(sound, HOP, RATE) == []


def test_a_little_hiss_that_a_microphone_lets_through_parts_no_pause():
    still = np.concatenate([hiss(1.5, 0.0), hiss(1.0, 1e-4), hiss(1.5, 0.0)])
    assert (
        len(pauses.found(np.concatenate([hiss(2.0, 0.1), still, hiss(2.0, 0.1)]), HOP, RATE)) == 1
    )


@pytest.mark.parametrize("rest", [0, 1, HOP - 1])
def test_frames_stand_where_they_were(rest):
    sound = np.arange(100 * HOP + rest)
    left_out = [(0, 10), (30, 50), (90, 100)]
    heard = pauses.without(sound, left_out, HOP)
    frames = heard[::HOP] // HOP  # a model that says when each frame was
    emissions = np.stack([frames, frames], axis=1).astype(np.float32)
    full = pauses.restored(emissions, left_out, blank=1)
    for start, end in left_out:
        assert (full[start:end] == [-np.inf, 0.0]).all()
        full[start:end] = np.arange(start, end)[:, None]
    assert full[:, 0].tolist() == list(range(100))


@pytest.mark.parametrize("language_model", [False, True])
def test_who_waits_before_speaking_and_after_is_heard_as_well(tmp_path, language_model):
    embedded = Recognizer(dtype="float32").using(language_model)  # bfloat16 may be a frame off
    short, long = (np.zeros(embedded.in_frames(each), np.float32) for each in (0.7, 4.0))
    for clip in page.samples(tmp_path, 4):
        sound = load(clip.path, RATE)
        soon = embedded.transcribe((RATE, np.concatenate([short, sound, short])))
        late = embedded.transcribe((RATE, np.concatenate([long, sound, long])))
        assert late.text == soon.text
        starts = [word.start - (len(long) - len(short)) / RATE for word in late.words]
        assert starts == pytest.approx([word.start for word in soon.words], abs=0.002)


def test_what_is_said_after_a_pause_is_written_at_its_time(tmp_path):
    embedded = Recognizer()
    first, second = (load(clip.path, RATE) for clip in page.samples(tmp_path, 2))
    pause = np.zeros(15 * RATE, np.float32)
    said = embedded.transcribe((RATE, np.concatenate([first, pause, second])))
    begun = len(first) / RATE + 15
    after = [word for word in said.words if word.start > begun - 7]
    assert len(after) >= 5
    assert begun - 0.1 < after[0].start < begun + 1
