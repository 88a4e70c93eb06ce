"""Frames are counted as models make them, and stand at their time."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
import transformers

from asr_core.frames import Frames
from asr_core.recognizer import Recognizer

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 48,
}
ADAPTER = {"add_adapter": True, "output_hidden_size": 32}
RATE = 16_000


def mel(kind: str):
    """A random model of a kind that hears mel features, and what makes them."""
    t = transformers
    if kind.startswith("wav2vec2-bert"):
        adapter = ADAPTER if "adapter" in kind else {}
        config = t.Wav2Vec2BertConfig(**SMALL, **adapter, vocab_size=20)
        return t.Wav2Vec2BertForCTC(config), t.SeamlessM4TFeatureExtractor()
    if kind == "parakeet":
        encoder = t.ParakeetEncoderConfig(
            **SMALL, subsampling_conv_channels=16, num_key_value_heads=2
        )
        config = t.ParakeetCTCConfig(encoder_config=encoder)
        return t.ParakeetForCTC(config), t.ParakeetFeatureExtractor()
    encoder = t.LasrEncoderConfig(**SMALL, subsampling_conv_channels=16, num_key_value_heads=2)
    return t.LasrForCTC(t.LasrCTCConfig(encoder_config=encoder)), t.LasrFeatureExtractor()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("wav2vec2", {}),
        ("wav2vec2", ADAPTER),
        ("wav2vec2", {**ADAPTER, "num_adapter_layers": 1, "adapter_stride": 3}),
        ("wav2vec2-conformer", ADAPTER),
        ("wavlm", ADAPTER),
        ("data2vec-audio", ADAPTER),
        ("hubert", {}),
    ],
)
def test_frames_of_the_waveform_are_as_many_as_the_model_makes(kind, options):
    model = tiny.ctc(kind, **options)
    frames = Frames.of(model.config, transformers.Wav2Vec2FeatureExtractor())
    for samples in (400, 719, 720, 16_000, 54_321, frames.samples(9) - 1, frames.samples(9)):
        with torch.inference_mode():
            assert frames(samples) == model(torch.zeros(1, samples)).logits.shape[1]
    assert (frames(frames.samples(9) - 1), frames(frames.samples(9))) == (8, 9)


def test_frames_are_counted_as_the_convolutions_make_them():
    plain = tiny.ctc("wav2vec2", feat_extract_norm="layer")
    layers = Frames.of(plain.config, transformers.Wav2Vec2FeatureExtractor()).layers
    for samples in np.random.default_rng(0).integers(400, 16_000, 5):
        for count in (1, 3, 7):
            hidden = torch.zeros(1, 1, int(samples))
            for layer in plain.wav2vec2.feature_extractor.conv_layers[:count]:
                hidden = layer.conv(hidden)
            assert Frames(layers[:count])(int(samples)) == hidden.shape[-1]


@pytest.mark.parametrize(
    ("kind", "hop"),
    [
        ("wav2vec2-bert", 320),
        ("wav2vec2-bert with an adapter", 640),
        ("parakeet", 1280),
        ("lasr", 640),
    ],
)
def test_frames_of_mel_features_are_as_far_apart_as_the_model_makes_them(kind, hop):
    model, extractor = mel(kind)
    frames, made = Frames.of(model.config, extractor), []
    assert frames.hop == hop
    for seconds in (4, 20):
        sound = np.random.default_rng(0).normal(size=seconds * RATE).astype(np.float32)
        inputs = extractor(sound, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            made.append(model.eval()(**inputs).logits.shape[1])
        assert made[-1] == pytest.approx(frames(len(sound)), abs=3)  # windows at the edges
    assert made[1] - made[0] == pytest.approx(16 * RATE / hop, abs=1)


@pytest.mark.parametrize("layers", [1, 3])
def test_words_of_a_model_with_an_adapter_stand_at_their_time(layers, tmp_path):
    """The last is at the end of what is said, and what comes after a pause is behind it."""
    folder = tiny.wav2vec2(tmp_path, "layer", **ADAPTER, num_adapter_layers=layers)
    recognizer = Recognizer(str(folder), dtype="float32", language_model="none")
    voice = np.random.default_rng(0).normal(0, 0.1, 4 * RATE).astype(np.float32)
    for sound in (
        voice,
        np.tile(voice, 8),  # in windows
        np.concatenate([voice, np.zeros(10 * RATE, np.float32), voice]),
    ):
        said = recognizer.transcribe((RATE, sound))
        assert said.words[-1].end == pytest.approx(len(sound) / RATE, abs=1.0)
        for emissions in recognizer.forward([sound]):
            assert len(emissions) == pytest.approx(len(sound) / recognizer.hop, abs=2)
