"""Each change of the sound does what it is named after, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.signal import lfilter

from asr_core import augmentation

RATE = 16_000
PITCH = 120  # Hz


def vowel(resonance: float, seconds: float = 1.0) -> np.ndarray:
    """A voice of `PITCH` through a throat with one resonance, in Hz."""
    pulses = np.zeros(round(seconds * RATE))
    pulses[:: round(RATE / PITCH)] = 1.0
    pole = 0.97 * np.exp(2j * np.pi * resonance / RATE)
    sound = lfilter([1.0], [1.0, -2 * pole.real, abs(pole) ** 2], pulses)
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def strongest(samples: np.ndarray) -> float:
    """The frequency, in Hz, around which there is most sound."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    smooth = np.convolve(power, np.hanning(3 * PITCH), "same")
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[smooth.argmax()])


def pitch(samples: np.ndarray) -> float:
    """Of a steady voice, in Hz."""
    middle = samples[4_000:8_000]
    alike = np.correlate(middle, middle, "full")[len(middle) - 1 :]
    return RATE / (60 + alike[60:200].argmax())


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_another_voice_has_other_resonances_and_the_same_pitch(factor):
    said = vowel(1_500)
    changed = augmentation.change_voice(said, RATE, factor)
    assert strongest(changed) == pytest.approx(1_500 * factor, rel=0.08)
    assert pitch(changed) == pytest.approx(pitch(said), rel=0.02)
    assert (changed.shape, changed.dtype) == (said.shape, np.float32)


def test_a_voice_of_the_same_size_stays_as_it_is():
    said = vowel(1_500)
    np.testing.assert_allclose(augmentation.change_voice(said, RATE, 1.0), said, atol=1e-4)
    silence = np.zeros(RATE, np.float32)
    np.testing.assert_allclose(augmentation.change_voice(silence, RATE, 1.2), silence, atol=1e-4)


def test_voices_are_changed_where_nothing_may_be_written(tmp_path):
    program = """
import numba.core.caching

ensure = numba.core.caching._CacheLocator.ensure_cache_path

def refuse(self):
    if not numba.config.CACHE_DIR:
        raise OSError("read-only")
    ensure(self)

numba.core.caching._CacheLocator.ensure_cache_path = refuse
import numpy as np
from asr_core.augmentation import change_voice
print(len(change_voice(np.ones(16_000, np.float32), 16_000, 1.1)))
"""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment["TMPDIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "16000\n", done.stderr
    assert not list(tmp_path.iterdir())


def test_what_is_shorter_than_one_look_at_it_is_left():
    short = vowel(1_500)[:300]
    assert np.array_equal(augmentation.change_voice(short, RATE, 1.2), short)


def test_voices_alone_are_changed_now_and_then():
    said, change = vowel(1_500), augmentation.of("voice", RATE)
    changed = [change(said, np.random.default_rng(seed)) for seed in range(100)]
    assert all(len(one) == len(said) for one in changed)
    others = sum(not np.array_equal(one, said) for one in changed)
    assert 25 < others < 55


def test_a_tape_that_runs_faster_is_shorter_and_higher():
    said = vowel(1_500)
    changed = augmentation.change_speed(said, 1.25)
    assert len(changed) == pytest.approx(len(said) / 1.25, abs=2)
    assert pitch(changed) == pytest.approx(1.25 * pitch(said), rel=0.02)


def test_the_speed_is_another_each_time_and_never_an_odd_one():
    said, change = vowel(1_500), augmentation.of("speed", RATE)
    lengths = [len(change(said, np.random.default_rng(seed))) for seed in range(50)]
    assert len(set(lengths)) > 25
    assert all(len(said) / 1.16 < length < len(said) / 0.86 for length in lengths)


def test_changes_are_chosen_by_their_names():
    every = augmentation.of("all", RATE)
    assert every == augmentation.Augmentation(RATE)
    some = augmentation.of("speed, noise", RATE)
    assert (some.speed, some.noise) == (every.speed, every.noise)
    assert some.voice == some.microphone == some.reverberation == some.telephone == 0.0


@pytest.mark.parametrize("decibels", [0.0, 20.0])
def test_noise_is_as_loud_as_it_is_meant_to_be(decibels):
    said, noise = vowel(1_500), augmentation.pink(RATE, np.random.default_rng(0))
    added = augmentation.mix(said, noise, decibels) - said
    assert 10 * np.log10(np.mean(said**2) / np.mean(added**2)) == pytest.approx(decibels, abs=0.1)


def test_a_telephone_passes_the_middle_only():
    rng = np.random.default_rng(0)
    times = np.arange(RATE) / RATE
    for frequency, passes in ((60, False), (1_000, True), (5_000, False)):
        tone = np.sin(2 * np.pi * frequency * times).astype(np.float32)
        heard = np.abs(augmentation.telephone(tone, RATE, rng)[2_000:-2_000]).max()
        assert heard > 0.9 if passes else heard < 0.1
