"""The same words by other people and elsewhere: speed, voice, microphone, room, noise, telephone.

All of it is drawn at random, works on mono float32 samples and costs less than decoding them, but
for other voices, which cost more. audiomentations was considered: it changes no speed as a
tape would, and its rooms need recorded impulse responses.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr

from asr_core.errors import OptionError

SMOOTH = 2048  # samples: sound is filtered in multiples of it
FRAME = 0.032  # seconds of which `change_voice` looks at the spectrum
THROAT = 0.002  # seconds: what comes back later than that is the pitch, and no resonance
KINDS = ("speed", "voice", "microphone", "reverberation", "noise", "telephone")


@dataclass(frozen=True)
class Augmentation:
    """How often each change is made, and within what range.

    `noises` are recordings to mix in, at `rate`; without any, noise is pink.
    """

    rate: int  # Hz
    speed: float = 0.8
    voice: float = 0.4
    factors: tuple[float, float] = (0.87, 1.15)  # of speed, and of the vocal tract's length
    microphone: float = 0.3
    reverberation: float = 0.25
    noise: float = 0.4
    decibels: tuple[float, float] = (5.0, 25.0)  # of speech above noise
    telephone: float = 0.3
    noises: Sequence[np.ndarray] = field(default=(), repr=False)

    def __call__(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A changed copy of `samples`, of another length when its speed is changed."""
        if rng.random() < self.speed:
            samples = change_speed(samples, rng.uniform(*self.factors))
        # Without this kind nothing is drawn for it: what was measured before it can be made again.
        if self.voice and rng.random() < self.voice:
            samples = change_voice(samples, self.rate, rng.uniform(*self.factors))
        if rng.random() < self.microphone:
            samples = equalize(samples, self.rate, rng)
        if rng.random() < self.reverberation:
            samples = reverberate(samples, self.rate, rng)
        if rng.random() < self.noise:
            noise = self._noise(len(samples), rng)
            samples = mix(samples, noise, rng.uniform(*self.decibels))
        if rng.random() < self.telephone:
            samples = telephone(samples, self.rate, rng)
        return samples

    def _noise(self, count: int, rng: np.random.Generator) -> np.ndarray:
        if not self.noises:
            return pink(count, rng)
        noise = self.noises[rng.integers(len(self.noises))]
        return np.resize(np.roll(noise, rng.integers(len(noise))), count)


def of(kinds: str, rate: int) -> Callable[[np.ndarray, np.random.Generator], np.ndarray] | None:
    """The augmentation for a list such as "speed,noise"; None for "none".

    Raises OptionError for a kind that is not one of `KINDS`.
    """
    chosen = {kind.strip() for kind in kinds.split(",")} - {"", "none"}
    if wrong := sorted(chosen - {*KINDS, "all"}):
        raise OptionError(f"--augment {wrong[0]} is not one of none, all, {', '.join(KINDS)}.")
    if not chosen:
        return None
    off = {kind: 0.0 for kind in KINDS if kind not in chosen and "all" not in chosen}
    return Augmentation(rate, **off)


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Faster and higher by `factor`, as a tape would be (Ko et al., 2015)."""
    return soxr.resample(samples, factor, 1.0, quality="LQ").astype(np.float32, copy=False)


def change_voice(samples: np.ndarray, rate: int, factor: float) -> np.ndarray:
    """As of a person whose vocal tract is shorter by `factor`, at the same pitch and speed.

    The resonances, which the lower part of the cepstrum holds, are moved up by that factor: vocal
    tract length perturbation (Jaitly and Hinton, 2013), but of the sound instead of its features.
    """
    stft, istft = _transforms()
    size = 2 ** round(np.log2(FRAME * rate))
    if len(samples) < size:  # nobody is heard in that
        return samples
    spectrum = stft(samples, n_fft=size, hop_length=size // 4)
    cepstrum = np.fft.irfft(np.log(np.abs(spectrum) + 1e-5), axis=0)
    late = round(THROAT * rate)
    cepstrum[late : size - late + 1] = 0
    envelope = np.fft.rfft(cepstrum, axis=0).real
    # What was at bin / factor is now at bin; beyond the end it goes on as it was there.
    bins = np.minimum(np.arange(len(envelope)) / factor, len(envelope) - 1)
    below = np.minimum(bins.astype(int), len(envelope) - 2)
    part = (bins - below)[:, None]
    moved = (1 - part) * envelope[below] + part * envelope[below + 1]
    changed = istft(spectrum * np.exp(moved - envelope), hop_length=size // 4, length=len(samples))
    return changed.astype(np.float32, copy=False)


@functools.cache
def _transforms() -> tuple[Callable, Callable]:
    """librosa's, which cannot be imported where numba may write nowhere (librosa #1156)."""
    try:
        from librosa import istft, stft
    except RuntimeError as error:
        if "no locator" not in str(error):
            raise
        import numba

        # Nobody else may write there: what numba finds, it runs.
        numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="asr-numba-")
        atexit.register(shutil.rmtree, numba.config.CACHE_DIR, ignore_errors=True)
        from librosa import istft, stft
    return stft, istft


def equalize(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Through a microphone that likes some bands and not others, and now and then misses one.

    The missing band is SpecAugment's (Park et al., 2019), held for the whole utterance.
    """
    decibels = rng.normal(0, 4, size=16)
    if rng.random() < 0.5:
        band = rng.integers(len(decibels) - 1)
        decibels[band : band + 2] = -30
    bands = np.linspace(0, np.log1p(rate / 2 / 700), len(decibels))  # even on the mel scale

    def gain(frequencies: np.ndarray) -> np.ndarray:
        return 10 ** (np.interp(np.log1p(frequencies / 700), bands, decibels) / 20)

    return _filtered(samples, rate, gain)


def reverberate(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """A room of 0.1 to 0.5 s: noise that decays by 60 dB, behind the direct sound."""
    from scipy.signal import fftconvolve  # a second to import

    count = int(rng.uniform(0.1, 0.5) * rate)
    tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return fftconvolve(samples, tail.astype(np.float32))[: len(samples)].astype(np.float32)


def mix(samples: np.ndarray, noise: np.ndarray, decibels: float) -> np.ndarray:
    """`noise` added so that the speech is `decibels` above it."""
    speech, level = np.mean(samples**2), np.mean(noise**2) + 1e-10
    return (samples + noise * np.sqrt(speech / level) * 10 ** (-decibels / 20)).astype(np.float32)


def pink(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of equal power in every octave, as rooms have it."""
    white = rng.standard_normal(count).astype(np.float32)
    return _filtered(white, 1, lambda frequencies: (frequencies * count + 1) ** -0.5)


def telephone(samples: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz, more or less."""
    low, high = rng.uniform(100, 350), rng.uniform(3200, 3900)
    return _filtered(samples, rate, lambda f: np.where((f < low) | (f > high), 0.003, 1.0))


def _filtered(
    samples: np.ndarray, rate: int, gain: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """`samples` with each frequency, in Hz, made louder by its `gain`."""
    # To a length of small prime factors: others take ten times as long.
    count = len(samples) + -len(samples) % SMOOTH
    curve = gain(np.fft.rfftfreq(count, 1 / rate)).astype(np.float32)
    spectrum = np.fft.rfft(samples, count) * curve
    return np.fft.irfft(spectrum, count)[: len(samples)].astype(np.float32)
