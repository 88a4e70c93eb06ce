"""The first layers in pieces: the same numbers, in little memory."""

from __future__ import annotations

import pytest
import tiny
import torch
from transformers import Wav2Vec2ForCTC

from asr_core import Recognizer, layers, models, padding, pieces, recognizer


def rearranged(kind: str, **options) -> torch.nn.Module:
    model = tiny.ctc(kind, feat_extract_norm="group", **options)
    return layers.rearrange(pieces.rearrange(model, model.config))


@pytest.mark.parametrize("samples", [400, 719, 720, 20_000, 33_333])
@pytest.mark.parametrize("kind", padding.KINDS)
def test_a_model_says_the_same(kind, samples, monkeypatch):
    monkeypatch.setattr(pieces, "FRAMES", 7)
    torch.manual_seed(0)
    sound = 3 * torch.randn(2, samples).cumsum(1).sin() + torch.tensor([[0.5], [0.0]])
    with torch.inference_mode():
        expected = tiny.ctc(kind, feat_extract_norm="group")(sound).logits
        torch.testing.assert_close(rearranged(kind)(sound).logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sound", [torch.zeros(1, 9_000), torch.full((1, 9_000), 0.3)])
def test_silence_is_no_division_by_zero(sound):
    with torch.inference_mode():
        expected = tiny.ctc("wav2vec2", feat_extract_norm="group")(sound).logits
        made = rearranged("wav2vec2")(sound).logits
    torch.testing.assert_close(made, expected, rtol=1e-3, atol=1e-3)


def test_a_bias_of_the_first_convolution_is_no_matter():
    sound = torch.randn(1, 9_000)
    with torch.inference_mode():
        expected = tiny.ctc("wav2vec2", feat_extract_norm="group", conv_bias=True)(sound).logits
        made = rearranged("wav2vec2", conv_bias=True)(sound).logits
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)


def test_what_lies_between_layers_does_not_grow_with_the_recording():
    model, most = rearranged("wav2vec2"), []
    encoder = model.base_model.feature_extractor
    encoder.layers[0].register_forward_pre_hook(lambda _, given: most.append(given[0].numel()))
    with torch.inference_mode():
        for seconds in (2, 20):
            most.append(0)
            encoder(torch.randn(1, 16_000 * seconds))
    second = most.index(0, 1)
    assert max(most[:second]) == max(most[second:])


def test_models_without_such_a_norm_are_left_alone():
    model = tiny.ctc("wav2vec2", feat_extract_norm="layer")
    encoder = model.base_model.feature_extractor
    assert pieces.rearrange(model, model.config).base_model.feature_extractor is encoder


def test_a_recording_is_heard_in_pieces(tmp_path):
    ours = Recognizer(str(tiny.wav2vec2(tmp_path)), "cpu", "float32")
    assert isinstance(ours.pipeline.model.base_model.feature_extractor, pieces.Pieces)
    sound = torch.randn(50_000)
    plain = Wav2Vec2ForCTC.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        expected = plain((sound - sound.mean())[None] / sound.std()).logits.log_softmax(-1)[0]
    (heard,) = ours.forward([sound.numpy()])
    assert (heard.argmax(-1) == expected.numpy().argmax(-1)).mean() > 0.98


def test_cores_share_windows_of_a_large_model_but_not_in_bfloat16(tmp_path, monkeypatch):
    monkeypatch.setattr(recognizer, "SMALL", 0)
    monkeypatch.setattr(models, "allowed_cores", lambda: 2)
    folder, sounds = str(tiny.wav2vec2(tmp_path)), [torch.randn(n).numpy() for n in (9000, 5000)]
    alone = Recognizer(folder, "cpu", "bfloat16")
    beside = Recognizer(folder, "cpu", "float32")
    assert (alone._turns.abreast, beside._turns.abreast) == (1, 2)
    heard = beside.transcribe_many((16_000, sound) for sound in sounds)
    assert [each.text for each in heard] == [
        beside.transcribe((16_000, sound)).text for sound in sounds
    ]
