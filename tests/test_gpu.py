"""What only a GPU can tell: there, too, the words do not depend on who is heard beside whom."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from sounds import encode

from asr_core import Recognizer, data
from asr_core.emissions import EmissionPipeline

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
SECONDS = (3.0, 0.06, 1.2, 2.5, 25.0, 0.7, 1.2, 4.1)


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * 16_000)).astype(np.float32)


@pytest.fixture(autouse=True)
def plain_float32(monkeypatch):
    """Products of float32 as such: as TF32, the default of convolutions, they are a little off."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize(("dtype", "off"), [("float32", 1e-3), ("float16", 0.1), ("bfloat16", 0.5)])
def test_emissions_in_a_batch_are_those_of_each_alone(tiny, dtype, off):
    recognizer = Recognizer(str(tiny), "cuda", dtype, language_model="none")
    sounds = [noise(seconds, seed) for seed, seconds in enumerate(SECONDS)]
    for one, sound in zip(recognizer.forward(sounds), sounds, strict=True):
        (alone,) = recognizer.forward([sound])
        assert one.shape == alone.shape
        # Kernels for other shapes add up in another order.
        likely = alone > -5
        assert np.abs(one[likely] - alone[likely]).mean() < off


def test_sentences_are_heard_together_as_each_alone(monkeypatch):
    batches = []

    def hear(self, batch):
        batches.append(len(batch))
        return plain(self, batch)

    plain = EmissionPipeline.hear
    recognizer = Recognizer("embedded", "cuda", "float32", language_model="none")
    files = [data.row_source(row) for row in data.load(data.SAMPLE, split="test")]
    alone = [recognizer.transcribe(file).text for file in files]
    monkeypatch.setattr(EmissionPipeline, "hear", hear)
    assert [said.text for said in recognizer.transcribe_many(files)] == alone
    assert sum(batches) == len(files)
    assert max(batches) > 1


def test_a_long_recording_and_short_ones_at_once():
    recognizer = Recognizer("embedded", "cuda", language_model="none")
    long = encode(np.tile(noise(30.0, 0), 10), 16_000, "wav", "pcm_s16le")
    results = list(recognizer.transcribe_many([long, *[(16_000, noise(1.0, 1))] * 40]))
    assert results[0].duration == 300.0
    assert len({said.text for said in results[1:]}) <= 2


def test_too_much_for_the_memory_is_heard_in_parts(tiny, monkeypatch):
    recognizer = Recognizer(str(tiny), "cuda", language_model="none")
    forward = recognizer.pipeline.forward

    def tight(inputs, **options):
        if len(inputs["input_values"]) > 2:
            raise torch.OutOfMemoryError("no room")
        return forward(inputs, **options)

    monkeypatch.setattr(recognizer.pipeline, "forward", tight)
    emissions = recognizer.forward([noise(1.0, seed) for seed in range(9)])
    assert {each.shape[0] for each in emissions} == {49}


def test_the_embedded_model_is_trained_here_and_a_stopped_run_goes_on(tmp_path, caplog):
    from transformers import Wav2Vec2ForCTC

    from asr_core import models
    from asr_core.recipe import graphs, pretrain
    from asr_core.recipe.batches import Batches
    from asr_core.recipe.settings import Recipe

    (tmp_path / "noise").mkdir()
    (tmp_path / "noise" / "hiss.ogg").write_bytes(encode(noise(3.0, 0), 16_000, "ogg", "libopus"))
    (tmp_path / "said").mkdir()
    shutil.copy(data.SAMPLE_FOLDER / "train.parquet", tmp_path / "said" / "train.parquet")
    recipe = Recipe(steps=400, decay_steps=200, batch_seconds=120, warmup_steps=20)
    prepared = pretrain.processor(tmp_path / "made")
    batches = Batches(recipe, prepared, [], tmp_path / "said", tmp_path / "noise")
    model = Wav2Vec2ForCTC.from_pretrained(models.EMBEDDED_FOLDER, dtype=torch.float32)
    graphs.REPORT = 100
    with caplog.at_level("INFO"):
        graphs.train(model, batches, recipe, tmp_path / "made")
    losses = [float(line.split()[-1]) for line in caplog.messages if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    caplog.clear()
    longer = dataclasses.replace(recipe, steps=500)
    model = Wav2Vec2ForCTC.from_pretrained(models.EMBEDDED_FOLDER, dtype=torch.float32)
    training = graphs.Training(model, batches, longer, tmp_path / "made")
    assert training.step == 400
    with caplog.at_level("INFO"):
        training.run()
    assert float(caplog.messages[-1].split()[-1]) < losses[0]
