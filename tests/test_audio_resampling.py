"""Another rate, the same sound: no worse than librosa's default, and without seams."""

from __future__ import annotations

import numpy as np
import pytest
from sounds import tone

from asr_core.audio import load
from asr_core.resampling import Resampler

librosa = pytest.importorskip("librosa", reason="librosa is what resampling is compared with")


def error(heard: np.ndarray, pitch: float, rate: int) -> float:
    """Root mean square distance from the tone as it should be, away from the edges."""
    inner = slice(rate // 10, -rate // 10)
    right = tone(2.0, rate, pitch)[: len(heard)]
    return float(np.sqrt(np.mean((heard - right)[inner] ** 2)))


@pytest.mark.parametrize("source", [8_000, 11_025, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("pitch", [200.0, 1000.0, 3000.0])
def test_no_worse_than_librosa(source, pitch):
    sound = tone(2.0, source, pitch)
    ours = error(load((source, sound), 16_000), pitch, 16_000)
    theirs = error(librosa.resample(sound, orig_sr=source, target_sr=16_000), pitch, 16_000)
    assert ours <= 1.05 * theirs + 1e-7
    assert ours < 1e-4


@pytest.mark.parametrize("piece", [37, 160, 5000])
def test_pieces_have_no_seams(piece):
    sound = np.random.default_rng(0).normal(size=48_000).astype(np.float32)
    whole = load((48_000, sound), 16_000)
    resampler = Resampler(16_000)
    parts = [resampler.feed(sound[i : i + piece], 48_000) for i in range(0, len(sound), piece)]
    assert np.concatenate([*parts, resampler.finish()]) == pytest.approx(whole, abs=1e-6)


def test_what_a_lower_rate_cannot_hold_does_not_fold_back():
    hiss = tone(1.0, 48_000, pitch=11_000)
    assert np.abs(load((48_000, hiss), 16_000)[1600:-1600]).max() < 1e-3


def test_the_rate_may_change_midway():
    resampler = Resampler(16_000)
    heard = [resampler.feed(tone(1.0, rate), rate) for rate in (8_000, 48_000, 16_000)]
    assert sum(map(len, [*heard, resampler.finish()])) == pytest.approx(48_000, abs=3)
