"""The recogniser says what the plain way says, for a word and for an afternoon."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import threading
import time
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from sounds import encode
from tiny import Ear, babble, ctc, processor

from asr_core import Recognizer, models, page
from asr_core.audio import load
from asr_core.errors import AsrError, AudioError, ModelError
from asr_core.models import EMBEDDED_FOLDER
from asr_core.turns import Turns


@pytest.fixture(scope="session")
def recognizer(tiny):
    return Recognizer(str(tiny), dtype="float32", language_model="none")


def test_a_transcript_that_is_ready_does_not_wait_for_all_that_could_be_begun(
    recognizer, monkeypatch
):
    monkeypatch.setattr(recognizer, "_turns", Turns(abreast=4, cores=4))
    ready, come = threading.Event(), []
    attempt = recognizer._attempt

    def attempted(*arguments):
        result = attempt(*arguments)
        ready.set()
        return result

    monkeypatch.setattr(recognizer, "_attempt", attempted)

    def queue():
        yield 16_000, noise(0.5)
        assert ready.wait(60)
        time.sleep(0.1)  # until the pool knows, too
        yield 16_000, noise(0.5)
        assert len(come) == 1
        yield 16_000, noise(0.5)

    for transcript in recognizer.transcribe_many(queue()):
        come.append(transcript)
    assert len(come) == 3


@pytest.fixture
def two_threads():
    """Of torch for this one, also where the machine would have it be alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Random sound whose loudness changes, at 16 kHz: random models write much about it."""
    hiss = np.random.default_rng(seed).normal(size=round(seconds * 16_000))
    return (0.1 * hiss * (0.2 + np.abs(np.sin(np.arange(len(hiss)) / 3000)))).astype(np.float32)


def test_no_more_cores_are_taken_than_a_container_may_use(two_cores_of_four, tiny, caplog):
    with caplog.at_level("INFO"):
        Recognizer(str(tiny), language_model="none").transcribe((16_000, noise(1)))
    assert torch.get_num_threads() == 2
    assert "This process may use 2 of 4 cores." in caplog.messages


def by_hand(folder, sound: np.ndarray) -> str:
    """The guide's last step: processor, model, argmax, batch_decode."""
    from transformers import AutoModelForCTC, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForCTC.from_pretrained(folder, dtype=torch.float32)
    inputs = processor(sound, sampling_rate=16_000, return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits
    return processor.batch_decode(torch.argmax(logits, dim=-1))[0]


def words(text: str) -> str:
    """With one space between words: two delimiters in a row are one for us."""
    return " ".join(text.split())


@pytest.mark.parametrize("seconds", [0.06, 1.0, 7.3, 15.0])
def test_the_text_is_that_of_the_model_run_by_hand(recognizer, tiny, seconds):
    sound = noise(seconds)
    said = recognizer.transcribe((16_000, sound))
    assert said.text == words(by_hand(tiny, sound))
    assert said.text or seconds < 1


@pytest.mark.parametrize("seconds", [1.0, 7.3])
def test_the_text_is_that_of_the_stock_pipeline(recognizer, tiny, seconds):
    from transformers import pipeline

    stock = pipeline("automatic-speech-recognition", model=str(tiny))
    sound = noise(seconds)
    said = stock({"raw": sound.copy(), "sampling_rate": 16_000})["text"]
    assert recognizer.transcribe((16_000, sound)).text == words(said)


def test_the_embedded_model_says_what_it_says_by_hand():
    sound = noise(3.0)
    said = Recognizer("embedded", dtype="float32", language_model="none").transcribe(
        (16_000, sound)
    )
    assert said.text == words(by_hand(EMBEDDED_FOLDER, sound))


def test_words_lie_within_the_recording_in_order_and_with_confidence(recognizer, embedded):
    sound = noise(50.0)
    for one in (recognizer, embedded):
        said = one.transcribe((16_000, sound))
        assert said.complete
        assert said.duration == 50.0
        assert all(0 <= w.start < w.end <= said.duration for w in said.words)
        assert all(a.end <= b.start for a, b in pairwise(said.words))
        assert all(0 <= w.confidence <= 1 for w in said.words)


@pytest.mark.parametrize("samples", [400, 401, 776, 1600, 1760])
def test_the_shortest_recordings(recognizer, embedded, samples):
    sound = noise(1.0)[:samples]
    for one in (recognizer, embedded):
        said = one.transcribe((16_000, sound))
        assert all(0 <= w.start < w.end <= said.duration for w in said.words)


@pytest.mark.parametrize("seconds", [0.1, 19.99, 20.0, 20.01, 36.0, 100.0])
def test_windows_are_without_seams(seconds):
    ear = Ear()
    sound = babble(seconds + 1)[: round(seconds * 16_000)]
    decoder = ear.decoder()
    decoder.feed(ear.forward([sound])[0])
    assert ear.transcribe((16_000, sound)).words == decoder.finish()


def test_a_stream_grows_and_its_last_is_the_whole(recognizer):
    sound = noise(70.0)
    partial = list(recognizer.stream((16_000, sound)))
    assert [p.complete for p in partial[-2:]] == [False, True]
    assert all(a.duration <= b.duration for a, b in pairwise(partial))
    assert all(b.text.startswith(a.text) for a, b in pairwise(partial))
    again = recognizer.transcribe((16_000, sound))
    assert nearly(partial[-1].words) == nearly(again.words)
    assert partial[-1].duration == again.duration


def nearly(words):
    """With another number of threads, sums differ in their last digits."""
    return [(w.text, w.start, w.end, pytest.approx(w.confidence, abs=0.01)) for w in words]


class Counted(io.BytesIO):
    """A file that knows how far it was read."""

    furthest = 0

    def read(self, size=-1):
        got = super().read(size)
        self.furthest = max(self.furthest, self.tell())
        return got


def test_the_first_words_come_before_the_whole_file_is_read():
    file = Counted(encode(babble(600), 16_000, "wav", "pcm_s16le"))
    first = next(Ear().stream(file))
    assert first.text
    assert file.furthest < 0.1 * len(file.getvalue())


def test_memory_does_not_grow_with_the_recording():
    def peak(minutes: int) -> int:
        # A long steady letter: many seconds, few words.
        sound = np.full(minutes * 60 * 16_000, 0.35, np.float32)
        file = io.BytesIO(encode(sound, 16_000, "flac", "flac"))
        del sound
        tracemalloc.start()
        Ear().transcribe(file)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(8) < 1.1 * peak(1)


def grown_by_new_lengths() -> float:
    """MB that many recordings of other lengths than before take, beyond what some took."""
    recognizer = Recognizer("embedded", language_model="none")
    random = np.random.default_rng(0)
    sound = random.normal(scale=0.05, size=7 * 16_000).astype(np.float32)
    lengths = random.permutation(np.arange(16_000, len(sound), 640))

    def held_after(some: np.ndarray) -> float:
        for _ in recognizer.transcribe_many((16_000, sound[:length]) for length in some):
            pass
        return psutil.Process().memory_info().rss / 1e6

    held_after(np.sort(lengths[:40]))
    before = held_after(lengths[:40])
    return held_after(lengths[40:]) - before


@pytest.mark.slow
def test_memory_does_not_grow_with_every_length_of_a_recording():
    spawn = multiprocessing.get_context("spawn")  # where no layer has run yet
    with ProcessPoolExecutor(1, mp_context=spawn) as fresh:
        assert fresh.submit(grown_by_new_lengths).result() < 150


def test_many_sources_come_back_in_their_order(recognizer):
    sounds = [noise(seconds, seed) for seed, seconds in enumerate([3.0, 1.0, 2.0])]
    alone = [recognizer.transcribe((16_000, sound)).text for sound in sounds]
    together = recognizer.transcribe_many((16_000, sound) for sound in sounds)
    assert [said.text for said in together] == alone


@pytest.mark.parametrize("one", ["a.wav", b"RIFF", Path("a.wav"), io.BytesIO(b"RIFF")])
def test_one_recording_is_not_taken_apart_into_many(one):
    for many in Ear().transcribe_many(one, return_errors=True), Ear().transcribe_as_ready(one):
        with pytest.raises(AudioError, match="is one recording: give a list"):
            next(many)


def test_many_sources_are_not_read_before_they_are_wanted(recognizer):
    endless = ((16_000, noise(1.0, seed)) for seed in itertools.count())
    first = list(itertools.islice(recognizer.transcribe_many(endless), 3))
    assert len(first) == 3


def test_who_gives_up_on_many_does_not_wait_for_the_rest(recognizer):
    sound = encode(np.tile(noise(60.0), 20), 16_000, "wav", "pcm_s16le")
    short = encode(noise(1.0), 16_000, "wav", "pcm_s16le")
    long = Counted(sound)
    results = recognizer.transcribe_many([io.BytesIO(short), long, io.BytesIO(short)])
    next(results)
    results.close()
    assert long.furthest < len(sound) / 2


@pytest.mark.parametrize("before", [0, 1, 3])
def test_what_was_there_before_the_sources_fail_is_transcribed(recognizer, before):
    def sources():
        for _ in range(before):
            yield 16_000, noise(1.0)
        raise OSError("the disk is gone")

    heard = 0
    with pytest.raises(OSError, match="the disk is gone"):
        for _ in recognizer.transcribe_many(sources()):
            heard += 1
    assert heard == before


def test_one_bad_source_among_many_fails_alone_if_wished(recognizer):
    sources = [(16_000, noise(1.0)), "missing.wav", (16_000, noise(1.0))]
    good, bad, again = recognizer.transcribe_many(sources, return_errors=True)
    assert isinstance(bad, AudioError)
    assert good.text == again.text
    with pytest.raises(AudioError, match=r"missing\.wav"):
        list(recognizer.transcribe_many(sources))


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (torch.OutOfMemoryError("no room"), "1 seconds of sound are too much for the memory"),
        (ZeroDivisionError("what nobody foresaw"), "what nobody foresaw"),
    ],
)
def test_what_a_library_fails_at_is_told_and_the_rest_goes_on(
    recognizer, monkeypatch, failure, said
):
    forward = recognizer.pipeline.forward

    def sometimes(inputs, **options):
        if inputs["input_values"].shape[-1] < 32_000:  # one second, with what it is padded by
            raise failure
        return forward(inputs, **options)

    monkeypatch.setattr(recognizer.pipeline, "forward", sometimes)
    sources = [(16_000, noise(seconds)) for seconds in (2.0, 1.0, 2.0)]
    good, bad, again = recognizer.transcribe_many(sources, return_errors=True)
    assert good.text == again.text
    assert said in str(bad)
    with pytest.raises(AsrError, match=said):
        list(recognizer.transcribe_many(sources))


def test_recordings_of_all_lengths_are_few_lengths_for_the_model(recognizer, monkeypatch):
    """To compile kernels for a new one takes a small model as long as to hear a second."""
    lengths: set[int] = set()
    forward = recognizer.pipeline.forward

    def listening(inputs, **options):
        lengths.add(inputs["input_values"].shape[-1])
        return forward(inputs, **options)

    monkeypatch.setattr(recognizer.pipeline, "forward", listening)
    least, sound = recognizer.field, noise(3.0)
    counts = (*range(least, least + 40), *range(least, len(sound), 799))
    padded = [recognizer.forward([sound[:samples]])[0] for samples in counts]
    assert len(lengths) == 5  # of 32, 64, ... 160 frames
    monkeypatch.setattr(recognizer.pipeline, "multiple", 1)
    for samples, emissions in zip(counts, padded, strict=True):
        (alone,) = recognizer.forward([sound[:samples]])
        np.testing.assert_allclose(emissions, alone, rtol=1e-5, atol=1e-3)


def test_visitors_at_the_same_time_get_the_same_words(recognizer):
    sounds = [(16_000, noise(5.0, seed)) for seed in range(8)]
    alone = [recognizer.transcribe(sound).text for sound in sounds]
    with ThreadPoolExecutor(8) as visitors:
        assert [said.text for said in visitors.map(recognizer.transcribe, sounds)] == alone


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
def test_a_process_that_is_forked_later_hears_the_same(two_threads):
    recognizer = Recognizer("embedded", dtype="bfloat16", language_model="none")
    sound = 16_000, noise(10.0)
    said = recognizer.transcribe(sound).text
    forked = multiprocessing.get_context("fork")
    there, here = forked.Pipe(duplex=False)

    def hear() -> None:
        for each in recognizer, Recognizer("embedded", dtype="bfloat16", language_model="none"):
            here.send(each.transcribe(sound).text)

    child = forked.Process(target=hear)
    child.start()
    here.close()  # or nobody would see that the child has crashed
    try:
        for _ in range(2):
            assert there.poll(60)
            assert there.recv() == said
    finally:
        child.kill()


def test_silence_is_not_spelt_out(recognizer, embedded):
    for one in (recognizer, embedded):
        said = one.transcribe((16_000, np.zeros(48_000, np.int16)))
        assert said.text == ""
        assert "is silent" in said.warnings[0]


def test_silence_within_speech_is_not_spelt_out(recognizer):
    sound = np.concatenate([noise(5.0), np.zeros(60 * 16_000, np.float32), noise(5.0)])
    said = recognizer.transcribe((16_000, sound))
    assert not [word for word in said.words if word.start > 25 and word.end < 45]


def test_a_model_that_answers_with_no_numbers_is_told(tiny):
    broken = Recognizer(str(tiny), dtype="float32", language_model="none")
    torch.nn.init.constant_(broken.pipeline.model.lm_head.bias, torch.nan)
    with pytest.raises(ModelError, match="not numbers on cpu, float32: try"):
        broken.transcribe((16_000, noise(1.0)))


def test_a_padded_wavlm_warns_of_nothing(tmp_path, recwarn):
    processor(tmp_path)
    ctc("wavlm", vocab_size=32, pad_token_id=0).save_pretrained(tmp_path)
    models.quiet()
    Recognizer(str(tmp_path), dtype="float32").transcribe((16_000, noise(1.3)))
    assert not [each for each in recwarn if "padding" in str(each.message)]


@pytest.mark.parametrize("nothing", ["", " ", ",", "； 、"])
def test_commas_alone_are_no_hotwords(tiny, nothing):
    plain = Recognizer(str(tiny), dtype="float32", language_model="none")
    assert plain.using(True, nothing) is plain


@pytest.mark.parametrize("language_model", [False, True])
def test_no_word_reaches_across_a_pause(tmp_path, language_model):
    embedded = Recognizer().using(language_model)
    pieces, pauses, time = [], [], 0.0
    for clip in page.samples(tmp_path, 12):
        pieces += [load(clip.path, 16_000), np.zeros(5 * 16_000, np.float32)]
        time += len(pieces[-2]) / 16_000 + 5.0
        pauses.append(time - 2.5)
    said = embedded.transcribe((16_000, np.concatenate(pieces)))
    assert said.words[-1].start > pauses[-2]
    assert not [word for word in said.words for time in pauses if word.start < time < word.end]


def test_a_file_at_another_rate_sounds_the_same(embedded):
    sound = noise(3.0)
    file = encode(sound, 16_000, "wav", "pcm_f32le")
    at_8k = load((16_000, sound), 8_000)
    assert embedded.transcribe(file).text == embedded.transcribe((16_000, sound)).text
    assert embedded.transcribe((8_000, at_8k)).duration == pytest.approx(3.0, abs=0.01)


def test_models_that_are_loaded_at_once_are_each_as_precise_as_they_should_be(monkeypatch):
    from transformers import AutoModelForCTC

    load, loading, most, lock = AutoModelForCTC.from_pretrained, 0, 0, threading.Lock()

    def watched(*arguments, **options):
        nonlocal loading, most
        with lock:
            loading += 1
            most = max(most, loading)
        try:
            return load(*arguments, **options)
        finally:
            with lock:
                loading -= 1

    # It makes the precision of a model that of the whole program while it loads.
    monkeypatch.setattr(AutoModelForCTC, "from_pretrained", watched)
    with ThreadPoolExecutor(3) as callers:
        made = list(callers.map(lambda _: Recognizer("embedded", dtype="bfloat16"), range(3)))
    assert most == 1
    precise = {
        parameter.dtype
        for each in made
        for parameter in each.pipeline.model.parameters()
        if parameter.is_floating_point()
    }
    assert precise == {torch.bfloat16}
    assert torch.get_default_dtype() == torch.float32


def test_what_it_runs_on_is_said(recognizer):
    assert str(recognizer).endswith("on cpu, float32")
