"""As on a GPU, where windows of several recordings meet in one batch: the words stay the same."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny import Ear, babble, processor, wav2vec2

from asr_core import Recognizer, data, models
from asr_core.emissions import EmissionPipeline
from asr_core.errors import AudioError
from asr_core.recognizer import LONG_ABREAST, MULTIPLE
from asr_core.together import Together
from asr_core.transcript import Transcript

SECONDS = (3.0, 0.06, 1.2, 2.5, 25.0, 0.7, 1.2, 4.1)


@pytest.fixture
def cpu_batches(monkeypatch) -> list[list[int]]:
    """Holds the lengths in samples of all that is heard at once."""
    heard: list[list[int]] = []

    def hear(self, batch):
        heard.append([len(each) for each in batch])
        return plain(self, batch)

    plain = EmissionPipeline.hear
    monkeypatch.setattr(EmissionPipeline, "hear", hear)
    return heard


@pytest.fixture
def batches(cpu_batches, monkeypatch) -> list[list[int]]:
    """The same, and a CPU does as a GPU does."""
    monkeypatch.setattr(models.Hardware, "together", True)
    return cpu_batches


def load(folder) -> Recognizer:
    return Recognizer(str(folder), dtype="float32", language_model="none")


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)


def sounds() -> list[tuple[int, np.ndarray]]:
    return [(16_000, noise(seconds, seed)) for seed, seconds in enumerate(SECONDS)]


def test_emissions_are_those_of_each_alone(tiny, batches, monkeypatch):
    together = load(tiny)
    monkeypatch.setattr(models.Hardware, "together", False)
    alone = load(tiny)
    windows = [sound for _, sound in sounds() if len(sound) < 100_000]
    for one, sound in zip(together.forward(windows), windows, strict=True):
        np.testing.assert_allclose(one, alone.forward([sound])[0], rtol=1e-3, atol=1e-3)
    assert sorted(batches[0]) == sorted(map(len, windows))


def test_words_of_many_are_those_of_each_alone_and_come_in_order(tiny, batches):
    recognizer = load(tiny)
    alone = [recognizer.transcribe(sound).text for sound in sounds()]
    batches.clear()
    assert [said.text for said in recognizer.transcribe_many(sounds())] == alone
    assert any(len(set(batch)) > 1 for batch in batches)


def test_the_embedded_model_hears_sentences_together_as_it_hears_each(batches):
    recognizer = load("embedded")
    files = [data.row_source(row) for row in data.load(data.SAMPLE, split="test[:6]")]
    alone = [recognizer.transcribe(file).text for file in files]
    batches.clear()
    assert [said.text for said in recognizer.transcribe_many(files)] == alone
    assert len(batches) < len(files)


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_a_small_model_hears_like_lengths_together_on_a_cpu_as_it_hears_each(cpu_batches, dtype):
    recognizer = Recognizer("embedded", dtype=dtype, language_model="none")
    files = [data.row_source(row) for row in data.load(data.SAMPLE, split="test[:30]")]
    alone = [recognizer.transcribe(file) for file in files]
    assert {len(batch) for batch in cpu_batches} == {1}
    cpu_batches.clear()
    assert [said.text for said in recognizer.transcribe_many(files)] == [a.text for a in alone]
    assert len(cpu_batches) < len(files)
    frames = recognizer.frames
    for batch in cpu_batches:
        assert len({-(-frames(length) // MULTIPLE) for length in batch}) == 1


def test_a_long_recording_fills_batches_by_itself(tiny, batches):
    recognizer = load(tiny)
    said = recognizer.transcribe((16_000, noise(130.0, 0)))
    assert max(map(len, batches)) > 1
    assert said.duration == 130.0


def test_a_model_that_lets_padding_in_hears_windows_of_one_length_together(tmp_path, batches):
    from transformers import Data2VecAudioConfig, Data2VecAudioForCTC

    processor(tmp_path)
    config = Data2VecAudioConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, conv_dim=(16,) * 7, num_conv_pos_embedding_groups=4,
        conv_pos_kernel_size=3, pad_token_id=0,
    )  # fmt: skip
    Data2VecAudioForCTC(config).save_pretrained(tmp_path)
    recognizer = load(tmp_path)
    alone = [recognizer.transcribe(sound).text for sound in sounds()]
    assert [said.text for said in recognizer.transcribe_many(sounds())] == alone
    assert all(len(set(batch)) == 1 for batch in batches)


def test_a_model_that_was_trained_with_padding_before_is_heard_together(tmp_path, batches):
    from transformers import Wav2Vec2Processor

    saved = Wav2Vec2Processor.from_pretrained(wav2vec2(tmp_path, norm="layer"))
    saved.feature_extractor.padding_side = "left"
    saved.save_pretrained(tmp_path)
    heard = load(tmp_path).pipeline
    windows = [heard.prepare(noise(seconds, 0)) for seconds in (1.0, 0.5, 0.8)]
    for together, window in zip(heard.hear(windows), windows, strict=True):
        (alone,) = heard.hear([window])
        np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3)


def test_one_bad_source_among_many_fails_alone(tiny, batches):
    recognizer = load(tiny)
    sources = [*sounds()[:3], "missing.wav", *sounds()[3:]]
    results = list(recognizer.transcribe_many(sources, return_errors=True))
    assert [isinstance(result, AudioError) for result in results] == [
        source == "missing.wav" for source in sources
    ]


def test_a_window_that_cannot_be_heard_fails_alone(tmp_path, batches, monkeypatch):
    recognizer = load(wav2vec2(tmp_path))
    unlucky = round(0.7 * 16_000)

    def forward(inputs, **options):
        if inputs["input_values"].shape[1] == unlucky:
            raise RuntimeError("out of memory")
        return whole(inputs, **options)

    whole = recognizer.pipeline.forward
    monkeypatch.setattr(recognizer.pipeline, "forward", forward)
    with ThreadPoolExecutor(len(SECONDS)) as visitors:
        asked = [visitors.submit(recognizer.transcribe, sound) for sound in sounds()]
        for seconds, each in zip(SECONDS, asked, strict=True):
            # It may have been padded beside a longer one, and then it could be heard.
            if seconds != 0.7 or not each.exception():
                assert each.result().complete


def test_visitors_and_a_microphone_meet(embedded, batches):
    recognizer = load("embedded")
    speech = [(16_000, babble(5.0, seed)) for seed in range(6)]
    alone = [recognizer.transcribe(sound).text for sound in speech]

    def speak(sound) -> str:
        session = recognizer.live()
        session.feed(sound[1], sound[0])
        return session.finish().text

    with ThreadPoolExecutor(12) as visitors:
        spoken, heard = visitors.map(speak, speech), visitors.map(recognizer.transcribe, speech)
        assert [said.text for said in heard] == alone
        assert list(spoken) == alone


def test_of_long_recordings_few_are_worked_on_at_once_and_short_ones_pass_them():
    news, begun, within, most = threading.Condition(), 0, 0, 0

    class Slow(Ear):
        def stream(self, source: str):
            nonlocal begun, within, most
            with news:
                begun += 1
            if source == "short":
                with news:  # it ends when the long ones have come so far that they wait
                    assert news.wait_for(lambda: begun > 12 and within >= LONG_ABREAST, 10)
                    begun = 99
                    news.notify_all()
            else:
                yield Transcript((), 21.0, complete=False)
                with news:
                    within += 1
                    most = max(most, within)
                    news.notify_all()
                    assert news.wait_for(lambda: begun == 99, 10)
                    within -= 1
            yield Transcript((), 0.0, source)

    ear = Slow()
    ear._turns = Together(1, padded=True)
    sources = ["long"] * 12 + ["short"]
    assert [said.source for said in ear.transcribe_many(sources)] == sources
    assert most == LONG_ABREAST


def test_what_is_ready_does_not_wait_for_what_was_begun_before_it():
    may_end, come = threading.Event(), {}

    class Slow(Ear):
        def stream(self, source: int):
            if source == 0:
                assert may_end.wait(10)
            elif source == 1:
                raise AudioError("It is bad.")
            yield Transcript((), 0.0, str(source))

    def sources():
        for number in range(200):
            assert number - len(come) <= ear._turns.callers + 1  # no more are read before
            yield number

    ear = Slow()
    ear._turns = Together(1, padded=True)
    for number, result in ear.transcribe_as_ready(sources()):
        come[number] = result
        if len(come) == 199:
            assert 0 not in come
            may_end.set()
    assert str(come.pop(1)) == "It is bad."
    assert {number: int(said.source) for number, said in come.items()} == {
        number: number for number in range(200) if number != 1
    }


def test_many_are_not_read_before_they_are_wanted_and_who_gives_up_is_let_go(tiny, batches):
    recognizer = load(tiny)
    endless = ((16_000, noise(0.3, seed)) for seed in itertools.count())
    results = recognizer.transcribe_many(endless)
    assert len(list(itertools.islice(results, 3))) == 3
    results.close()
    assert recognizer.transcribe((16_000, noise(0.3, 0))).complete


def test_who_gives_up_does_not_wait_for_a_source_that_is_still_open():
    reads, may_end, ended = threading.Event(), threading.Event(), []

    class Slow(Ear):
        def stream(self, source: str):
            if source == "file":
                assert reads.wait(10)
            else:
                reads.set()
                may_end.wait(10)
                ended.append(source)
            yield Transcript((), 0.0, source)

    ear = Slow()
    ear._turns = Together(1, padded=True)
    results = ear.transcribe_many(itertools.chain(["file"], itertools.repeat("pipe")))
    assert next(results).source == "file"
    results.close()
    assert not ended
    may_end.set()
