"""Training on a GPU: its batches and its model are those of the CPU, made otherwise."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2ForCTC

from asr_core import augmentation, models
from asr_core.errors import OptionError
from asr_core.recipe import batches, graphs, plans, pretrain, waves
from asr_core.recipe.settings import Recipe

RATE = 16_000


def sentence(seconds: float, seed: int = 0) -> np.ndarray:
    """Something with a pitch and resonances that move, as speech has."""
    draw, time = np.random.default_rng(seed), np.arange(round(seconds * RATE)) / RATE
    pitch = 120 + 30 * np.sin(3 * time + seed)
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / RATE))
    resonance = 1 + np.sin(2 * np.pi * np.cumsum(700 + 300 * np.sin(5 * time)) / RATE)
    sound = buzz * resonance + 0.05 * draw.standard_normal(len(time))
    return (0.2 * sound).astype(np.float32)


def stored(*seconds: float) -> tuple[list[batches.Utterance], torch.Tensor]:
    """Utterances, and a store that holds them one behind the other."""
    start, utterances = 0, []
    for seed, length in enumerate(seconds):
        samples = (sentence(length, seed) * 32767).astype(np.int16)
        utterances.append(batches.Utterance(samples, "AS SAID", start))
        start += len(samples)
    return utterances, torch.from_numpy(np.concatenate([one.samples for one in utterances]))


def loudness(difference: np.ndarray, of: np.ndarray) -> float:
    """Decibels."""
    return 10 * np.log10(np.mean(np.square(difference)) / np.mean(np.square(of)))


def plan(speed: float, length: int, *utterances: batches.Utterance) -> list[torch.Tensor]:
    """A row of `utterances`, as `waves.spoken` takes it."""
    ends = np.cumsum([len(one) for one in utterances])
    shifts = np.array([one.start for one in utterances]) - ends + [len(one) for one in utterances]
    counts = torch.tensor([int(ends[-1] / speed)])
    return [
        *torch.from_numpy(np.stack([ends, shifts]))[:, None],
        torch.tensor([speed]),
        counts,
        length,
    ]


def test_utterances_follow_one_another_in_a_row_and_nothing_follows_them():
    (first, _, third), store = stored(0.5, 0.3, 0.7)
    (row,) = waves.spoken(store, *plan(1.0, 20_000, third, first)).numpy()
    expected = np.concatenate([third.samples, first.samples]) / 32767
    np.testing.assert_allclose(row[: len(expected)], expected, atol=1e-5)
    assert not row[len(expected) :].any()


@pytest.mark.parametrize("speed", [0.85, 1.18])
def test_speed_is_changed_as_by_the_resampler(speed):
    (only,), store = stored(1.0)
    low = augmentation.telephone(only.samples / 32767, RATE, np.random.default_rng(0))
    store = torch.from_numpy((low * 32767).astype(np.int16))
    (row,) = waves.spoken(store, *plan(speed, 20_000, only)).numpy()
    expected = augmentation.change_speed(low, speed)
    count = int(len(low) / speed)
    assert loudness(row[:count] - expected[:count], expected) < -30


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.18])
def test_voices_are_changed_as_one_by_one(factor):
    sound, factors = sentence(1.0), torch.full((1, waves.KNOTS), factor)
    (row,) = waves.change_voices(torch.from_numpy(sound)[None], factors).numpy()
    expected = augmentation.change_voice(sound, RATE, factor)
    assert loudness(row - expected, expected) < -60
    assert (loudness(row - sound, sound) < -60) == (factor == 1.0)


def test_some_rows_are_by_other_people_of_whom_no_two_are_alike():
    torch.manual_seed(0)
    sound = torch.from_numpy(sentence(1.0)).expand(10, -1)
    changed = waves.voices(sound, 0.7)
    others = [loudness((row - sound[0]).numpy(), sound[0].numpy()) > -30 for row in changed]
    assert others == 7 * [True] + 3 * [False]
    assert loudness((changed[0] - changed[1]).numpy(), sound[0].numpy()) > -30
    torch.testing.assert_close(waves.voices(sound, 0.0), sound)


def test_formants_stand_out_more_or_less():
    sound, factors = torch.from_numpy(sentence(1.0))[None], torch.ones(1, waves.KNOTS)

    def height(sharpness: float) -> torch.Tensor:
        made = waves.change_voices(sound, factors, torch.full((1, 1, 1), sharpness))[0]
        spectrum = torch.stft(made, 512, window=torch.hann_window(512), return_complex=True)
        decibels = 20 * torch.log10(spectrum.abs().mean(1) + 1e-6)
        return decibels.max() - decibels.median()

    assert height(0.7) + 2 < height(1.0) < height(1.3) - 2


def test_every_second_row_hisses_as_far_below_speech_as_it_shall():
    torch.manual_seed(0)
    counts = torch.full((400,), 8000)
    sound = waves.blank(0.1 * torch.randn(400, 10_000), counts)
    added = waves.hissing(sound, counts) - sound
    assert not added[1::2].any()
    decibels = -10 * torch.log10(added[::2].square().mean(1) / 0.01)
    assert 9.5 < decibels.min() < 13 and 47 < decibels.max() < 50.5
    assert (added[::2, 8000:].std(1) > 0).all()  # in pauses too
    power = torch.fft.rfft(added[::2]).abs().square()
    low = power[:, 100:1000].sum(1) / power[:, 100:].sum(1)  # below 1.6 kHz, of 8
    assert low.min() < 0.25 and low.max() > 0.6  # white, and pink


def test_the_hiss_of_a_cpu_is_the_same():
    low = []
    for seed in range(20):
        noise = batches.hiss(10_000, np.random.default_rng(seed))
        power = np.abs(np.fft.rfft(noise)) ** 2
        low.append(power[100:1000].sum() / power[100:].sum())
        assert np.square(noise).mean() == pytest.approx(1, rel=1e-3)
    assert min(low) < 0.3 and max(low) > 0.55


def test_microphones_like_some_bands_and_telephones_are_narrow():
    torch.manual_seed(0)
    frequencies = torch.linspace(0, RATE / 2, 801)
    gains = waves.microphones(400, frequencies, 1.0)
    decibels = 20 * gains.log10()
    missing = (decibels < -25).any(1)
    assert 0.4 < missing.float().mean() < 0.6
    assert 2.5 < decibels[~missing].std() < 4.5  # 4 at the bands' middles, less between them
    narrow = waves.telephones(400, frequencies, 1.0)
    assert narrow[:, (frequencies < 100) | (frequencies > 3900)].max() < 0.01
    assert narrow[:, (frequencies > 350) & (frequencies < 3200)].min() == 1
    for made in (waves.microphones, waves.telephones):
        assert (made(50, frequencies, 0.0) == 1).all()
        assert 0.3 < (made(400, frequencies, 0.4) != 1).any(1).float().mean() < 0.5


def test_a_room_answers_after_the_sound_and_more_and_more_softly():
    torch.manual_seed(0)
    rooms = waves.rooms(200, 1.0, torch.device("cpu"))
    assert (rooms[:, 0] == 1).all()
    tails = rooms[:, 1:].norm(dim=1)
    assert 0.05 < tails.min() < tails.max() < 0.65
    assert (rooms[:, 1:1000].norm(dim=1) > 10 * rooms[:, 7000:].norm(dim=1)).all()
    assert waves.rooms(9, 0.0, torch.device("cpu"))[:, 1:].abs().max() == 0


def test_noise_is_as_far_below_speech_as_it_shall_be():
    torch.manual_seed(0)
    counts = torch.full((200,), 8000)
    sound = waves.blank(torch.randn(200, 10_000), counts)
    kinds = (torch.cat([torch.full((4000,), 500.0), 3000 * torch.randn(3000)])).short()
    noises = waves.Noises(kinds, torch.tensor([0, 4000]), torch.tensor([4000, 3000]))
    added = waves.noisy(sound, counts, noises, 1.0) - sound
    decibels = 10 * torch.log10(sound.square().sum(1) / counts / added.square().mean(1))
    assert 4.8 < decibels.min() < 7
    assert 23 < decibels.max() < 25.2
    steady = added.std(1) < 1e-3
    assert 60 < steady.sum() < 140  # by either of them
    torch.testing.assert_close(waves.noisy(sound, counts, noises, 0.0), sound)


def test_rows_are_normalized_as_by_the_processor(tmp_path):
    sounds, counts = [sentence(0.4) + 0.1, 3 * sentence(0.6)], torch.tensor([6400, 9600])
    padded = torch.zeros(2, 10_000)
    for row, sound in zip(padded, sounds, strict=True):
        row[: len(sound)] = torch.from_numpy(sound)
        row[len(sound) :] = 9.0  # what a filter may have left there
    heard = pretrain.processor(tmp_path)(sounds, sampling_rate=RATE, padding=True)
    expected = torch.zeros(2, 10_000)
    expected[:, :9600] = torch.tensor(np.stack(heard["input_values"]))
    torch.testing.assert_close(waves.normalized(padded, counts), expected, rtol=1e-3, atol=1e-4)


def test_words_elsewhere_are_as_long_and_still_there():
    torch.manual_seed(0)
    counts = torch.tensor([16_000, 9000])
    sound = waves.blank(torch.from_numpy(np.stack([sentence(1.5), sentence(1.5, 1)])), counts)
    noises = waves.Noises(torch.ones(100).short(), torch.tensor([0]), torch.tensor([100]))
    never = dict.fromkeys(("microphone", "reverberation", "noise", "telephone"), 0.0)
    torch.testing.assert_close(
        waves.elsewhere(sound, counts, noises, never), sound, rtol=1e-4, atol=1e-4
    )
    changed = waves.elsewhere(sound, counts, noises, dict.fromkeys(never, 1.0))
    assert changed.shape == sound.shape
    assert loudness((changed - sound).numpy(), sound.numpy()) > -20


@pytest.fixture(scope="module")
def embedded() -> Wav2Vec2ForCTC:
    return Wav2Vec2ForCTC.from_pretrained(models.EMBEDDED_FOLDER, dtype=torch.float32).eval()


def test_the_model_gives_what_transformers_gives(embedded):
    counts = torch.tensor([24_000, 14_000])
    sound = waves.normalized(torch.from_numpy(np.stack([sentence(1.5), sentence(1.5, 1)])), counts)
    mask = (torch.arange(24_000) < counts[:, None]).long()
    with torch.inference_mode():
        expected = embedded(sound, attention_mask=mask).logits
        given = graphs.emissions(embedded, sound, counts, None)
        hidden = torch.zeros(given.shape[:2], dtype=torch.bool)
        hidden[:, 10:20] = True
        masked = graphs.emissions(embedded, sound, counts, hidden)
    for one, other, changed, count in zip(
        given, expected, masked, graphs.frames(counts), strict=True
    ):
        torch.testing.assert_close(one[:count], other[:count], rtol=1e-3, atol=1e-3)
        assert (changed[:count] - other[:count]).abs().max() > 0.1


def test_so_many_frames_are_hidden_some_at_a_time():
    torch.manual_seed(0)
    hidden = graphs.hidden_frames(50, 1000, torch.tensor(0.1))
    assert 0.08 < hidden.float().mean() < 0.11
    begun = (hidden[:, 1:] & ~hidden[:, :-1]).sum()
    assert hidden.sum() / begun > 0.9 * graphs.MASK
    assert not graphs.hidden_frames(50, 1000, torch.tensor(0.0)).any()


class Spoken:
    """Batches that know what is said, without their files."""

    def __init__(self, utterances: list[batches.Utterance]) -> None:
        self.utterances = utterances

    def draw_length(self, rng) -> int:
        return int(rng.uniform(1, 9) * RATE)

    def draw(self, rng, length) -> list[batches.Utterance]:
        drawn = []
        while sum(map(len, drawn)) < length:
            drawn.append(self.utterances[rng.integers(len(self.utterances))])
        return drawn

    def letters(self, transcript: str) -> list[int]:
        return [len(word) for word in transcript.split()]


def test_plans_fit_their_rows_and_say_what_is_in_them():
    utterances, store = stored(0.6, 0.9, 1.3, 1.7)
    for one, word in zip(utterances, ("A", "BB", "CCC", "DDDD"), strict=True):
        one.transcript = word
    planned = plans.Plans(Spoken(utterances), Recipe(batch_seconds=20))
    heard = set()
    for index in range(12):
        made = planned[index]
        again = planned[index]
        assert again.labels == made.labels and (again.pieces == made.pieces).all()
        rows = made.length * len(made.labels) / RATE
        assert made.length in plans.LENGTHS and 20 - made.length / RATE < rows <= 20
        assert (made.counts <= made.length).all() and (made.counts > 0.3 * made.length).all()
        sound = waves.spoken(
            store,
            *torch.from_numpy(made.pieces),
            torch.from_numpy(made.speeds),
            torch.from_numpy(made.counts),
            made.length,
        ).numpy()
        for row, labels, speed, count in zip(
            sound, made.labels, made.speeds, made.counts, strict=True
        ):
            said = np.concatenate([utterances[label - 1].samples for label in labels]) / 32767
            assert int(len(said) / speed) == count
            if speed == 1:
                np.testing.assert_allclose(row[:count], said, atol=1e-5)
            heard.add(speed == 1)
    assert heard == {True, False}


def test_plans_come_in_order_from_any_of_them_on():
    utterances, _ = stored(0.6, 0.9, 1.3)
    planned = plans.Plans(Spoken(utterances), Recipe(batch_seconds=20))
    for number, made in zip(range(7, 12), plans.coming(planned, 7), strict=False):
        assert made.labels == planned[number].labels
        assert (made.pieces == planned[number].pieces).all()


def test_the_rate_rises_stays_and_falls_to_nothing():
    recipe = Recipe(steps=1000, warmup_steps=100, decay_steps=500, learning_rate=1.0)
    rates = [graphs.rate(step / 1000, step, recipe) for step in range(1001)]
    assert rates[0] == 0
    assert rates[50] == 0.5
    assert rates[100] == rates[499] == 1
    assert rates[750] == 0.5
    assert rates[1000] == 0


def test_weights_in_one_piece_are_still_those_of_the_model(embedded, tmp_path):
    layers = len(embedded.wav2vec2.encoder.layers)
    model = Wav2Vec2ForCTC(pretrain.config(layers=layers)).eval()
    model.load_state_dict(embedded.state_dict())
    sound, counts = torch.randn(1, 16_000), torch.tensor([16_000])
    before = graphs.emissions(model, sound, counts, None)
    whole = graphs.joined(list(model.parameters()))
    torch.testing.assert_close(graphs.emissions(model, sound, counts, None), before)
    with torch.no_grad():
        whole.zero_()
    assert all((weight == 0).all() for weight in model.parameters())


def test_too_much_for_the_gpu_is_told_in_a_sentence(monkeypatch, tmp_path):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(graphs, "Training", full)
    spoken = SimpleNamespace(corpora=[SimpleNamespace(hours=900.0)])
    with pytest.raises(OptionError, match=r"900 h of speech .* smaller --batch_seconds"):
        graphs.train(None, spoken, Recipe(), tmp_path)
