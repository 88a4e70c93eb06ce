"""What `augmentation` and `Batches` do to one recording, done to a whole batch where it lies.

A GPU that learns 13,000 seconds of speech a second is not fed by its machine's cores, of which one
changes 200, so the sound stays in the GPU's memory and is changed there. Everything is drawn on the
device and nothing of it depends on a value that the CPU would have to wait for, so all of it can be
recorded in a CUDA graph. Sound is float32 of shape (rows, samples), with zeros behind the `counts`
of each row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from asr_core.augmentation import THROAT
from asr_core.recipe.batches import FACTORS, HISS, LOW, SAMPLE_RATE

TAPS = 8  # samples of which one between them is made
SIZE, HOP = 512, 128  # samples of which `change_voices` looks at the spectrum, and from one to next
ECHO = 8192  # samples: what rings longer is cut
BANDS = 16  # of a microphone
KNOTS = 6  # frequencies between which `change_voices` goes from one factor to the next
OWN = (0.92, 1.09)  # of factors, apart from those of size
SHARPNESS = (0.75, 1.3)


@dataclass(frozen=True)
class Noises:
    """Recordings one behind the other, in 16 bits, with where each begins and its samples."""

    samples: torch.Tensor
    starts: torch.Tensor
    counts: torch.Tensor


def spoken(
    store: torch.Tensor,
    ends: torch.Tensor,
    shifts: torch.Tensor,
    factors: torch.Tensor,
    counts: torch.Tensor,
    length: int,
) -> torch.Tensor:
    """Rows of `length` samples out of `store`, all recordings one behind the other in 16 bits.

    A row is made of pieces, played `factors` (rows,) times as fast as a tape would be: sample `i`
    of it, at the old speed, is in the first piece of which `ends` (rows, pieces) is above `i`, at
    `i + shifts` of that piece in the store. What lies above half the new rate is not taken out
    before: it is folded back, above 6.8 kHz.
    """
    places = torch.arange(length, device=store.device) * factors[:, None].double()
    before = places.floor()
    part = (places - before).float()
    before = before.long()
    piece = torch.searchsorted(ends, before, right=True).clamp_(max=ends.shape[1] - 1)
    before += shifts.gather(1, piece)
    heard = torch.zeros_like(part)
    for tap in range(1 - TAPS // 2, TAPS // 2 + 1):
        away = part - tap
        weight = torch.sinc(away) * torch.cos(away * (math.pi / TAPS)) ** 2
        heard += weight * store[(before + tap).clamp_(0, len(store) - 1)]
    return blank(heard / 32767, counts)


def blank(sound: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Zeros behind the `counts` (rows,) of each row."""
    inside = torch.arange(sound.shape[1], device=sound.device) < counts[:, None]
    return torch.where(inside, sound, 0.0)


def change_voices(
    sound: torch.Tensor, factors: torch.Tensor, sharpness: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """As of people whose vocal tracts are shorter by `factors`: see `augmentation.change_voice`.

    These, of shape (rows, KNOTS), lie evenly on the mel scale, as no two people's vowels differ by
    one factor alone. Formants stand out `sharpness` (rows, 1, 1) times as much, in decibels.
    """
    window = torch.hann_window(SIZE, device=sound.device)
    frames = F.pad(sound, (SIZE, SIZE)).unfold(1, SIZE, HOP) * window
    spectrum = torch.fft.rfft(frames)
    cepstrum = torch.fft.irfft(torch.log(spectrum.abs() + 1e-5))
    late = round(THROAT * SAMPLE_RATE)
    cepstrum[..., late : SIZE - late + 1] = 0
    envelope = torch.fft.rfft(cepstrum).real
    last = SIZE // 2
    bins = torch.arange(last + 1, device=sound.device)
    bins = bins / (factors @ _between(bins * (SAMPLE_RATE / SIZE), KNOTS))
    below = bins.clamp(max=last).floor().clamp(max=last - 1)
    part = (bins.clamp(max=last) - below)[:, None]
    below = below.long()[:, None].expand_as(envelope)
    moved = (1 - part) * envelope.gather(2, below) + part * envelope.gather(2, below + 1)
    level = moved.mean(2, keepdim=True)
    moved = level + sharpness * (moved - level)
    frames = torch.fft.irfft(spectrum * torch.exp(moved - envelope)) * window
    length = SIZE + HOP * (frames.shape[1] - 1)
    made = F.fold(frames.transpose(1, 2), (1, length), (1, SIZE), stride=(1, HOP)).flatten(1)
    # The squared windows add up to one and a half.
    return made[:, SIZE : SIZE + sound.shape[1]] / 1.5


def microphones(rows: int, frequencies: torch.Tensor, share: float) -> torch.Tensor:
    """Gains of shape (rows, frequencies): see `augmentation.equalize`."""
    device = frequencies.device
    decibels = 4 * torch.randn(rows, BANDS, device=device)
    missing = torch.randint(BANDS - 1, (rows, 1), device=device)
    band = torch.arange(BANDS, device=device) - missing
    is_missing = (band == 0) | (band == 1)
    decibels = torch.where(is_missing & _some(rows, 0.5, device), -30.0, decibels)
    decibels = decibels @ _between(frequencies, BANDS)
    return torch.where(_some(rows, share, device), 10 ** (decibels / 20), 1.0)


def _between(frequencies: torch.Tensor, count: int) -> torch.Tensor:
    """How much of each of `count` values, even on the mel scale, there is at `frequencies`."""
    mel = torch.log1p(frequencies / 700) / math.log1p(SAMPLE_RATE / 2 / 700)
    places = torch.arange(count, device=frequencies.device)[:, None]
    return (1 - (mel * (count - 1) - places).abs()).clamp(min=0)


def rooms(rows: int, share: float, device: torch.device) -> torch.Tensor:
    """Impulse responses of shape (rows, ECHO): see `augmentation.reverberate`."""
    count = torch.empty(rows, 1, device=device).uniform_(0.1, 0.5) * SAMPLE_RATE
    time = torch.arange(ECHO, device=device)
    tail = torch.randn(rows, ECHO, device=device) * 10 ** (-3 * time / count) * (time < count)
    strength = torch.empty(rows, 1, device=device).uniform_(0.1, 0.6)
    tail = tail * strength / tail.norm(dim=1, keepdim=True)
    tail = torch.where(_some(rows, share, device), tail, 0.0)
    tail[:, 0] = 1.0
    return tail


def telephones(rows: int, frequencies: torch.Tensor, share: float) -> torch.Tensor:
    """Gains of shape (rows, frequencies): see `augmentation.telephone`."""
    device = frequencies.device
    low = torch.empty(rows, 1, device=device).uniform_(100, 350)
    high = torch.empty(rows, 1, device=device).uniform_(3200, 3900)
    inside = (frequencies >= low) & (frequencies <= high)
    return torch.where(inside | ~_some(rows, share, device), 1.0, 0.003)


def noisy(sound: torch.Tensor, counts: torch.Tensor, noises: Noises, share: float) -> torch.Tensor:
    """Some rows with one of `noises`, 5 to 25 dB below what is said."""
    rows, device = len(sound), sound.device
    chosen = torch.randint(len(noises.counts), (rows,), device=device)
    lengths = noises.counts[chosen][:, None]
    offset = (torch.rand(rows, 1, device=device) * lengths).long()
    time = torch.arange(sound.shape[1], device=device)
    noise = noises.samples[noises.starts[chosen][:, None] + (offset + time) % lengths].float()
    speech = sound.square().sum(1, keepdim=True) / counts[:, None]
    level = noise.square().mean(1, keepdim=True) + 1e-6
    gain = 10 ** (-torch.empty(rows, 1, device=device).uniform_(5, 25) / 20)
    gain = torch.where(_some(rows, share, device), gain, 0.0)
    return sound + noise * torch.sqrt(speech / level) * gain


def elsewhere(
    sound: torch.Tensor, counts: torch.Tensor, noises: Noises, shares: dict[str, float]
) -> torch.Tensor:
    """The same words elsewhere, as `augmentation.Augmentation`; `shares` are its settings."""
    rows, device, length = len(sound), sound.device, sound.shape[1] + ECHO
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, length // 2 + 1, device=device)
    spectrum = torch.fft.rfft(sound, length) * microphones(rows, frequencies, shares["microphone"])
    spectrum *= torch.fft.rfft(rooms(rows, shares["reverberation"], device), length)
    heard = blank(torch.fft.irfft(spectrum)[:, : sound.shape[1]], counts)
    heard = noisy(heard, counts, noises, shares["noise"])
    spectrum = torch.fft.rfft(heard, length) * telephones(rows, frequencies, shares["telephone"])
    return torch.fft.irfft(spectrum)[:, : sound.shape[1]]


def voices(sound: torch.Tensor, share: float) -> torch.Tensor:
    """The first rows, which are any, by other people."""
    device, count = sound.device, round(share * len(sound))
    size = torch.empty(count, 1, device=device).uniform_(*FACTORS)
    own = torch.empty(count, KNOTS, device=device).uniform_(*OWN)
    sharpness = torch.empty(count, 1, 1, device=device).uniform_(*SHARPNESS)
    changed = change_voices(sound[:count], size * own, sharpness) if count else sound[:0]
    return torch.cat([changed, sound[count:]])


def hissing(sound: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Every second row with what microphone and line add, in pauses too: see `batches.hiss`."""
    heard, some = sound.clone(), sound[::2]
    decibels = torch.empty(len(some), 1, device=sound.device).uniform_(*HISS)
    speech = torch.sqrt(some.square().sum(1, keepdim=True) / counts[::2, None])
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, sound.shape[1] // 2 + 1, device=sound.device)
    slope = torch.rand(len(some), 1, device=sound.device)
    gains = torch.clamp(frequencies, min=LOW) ** -slope
    noise = torch.fft.irfft(torch.fft.rfft(torch.randn_like(some)) * gains, sound.shape[1])
    noise /= noise.square().mean(1, keepdim=True).sqrt()
    heard[::2] += noise * speech * 10 ** (-decibels / 20)
    return heard


def normalized(sound: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance within the `counts`, as the processor makes it of each row."""
    inside = blank(sound, counts)
    mean = inside.sum(1, keepdim=True) / counts[:, None]
    apart = blank(inside - mean, counts)
    variance = apart.square().sum(1, keepdim=True) / counts[:, None]
    return apart / torch.sqrt(variance + 1e-7)


def _some(rows: int, share: float, device: torch.device) -> torch.Tensor:
    return torch.rand(rows, 1, device=device) < share
