"""Products in whole numbers of eight bits: nearly the same words, sooner."""

from __future__ import annotations

import pytest
import tiny
import torch
from torch import nn

from asr_core import Recognizer, data, models, quantization
from asr_core.__main__ import main
from asr_core.errors import OptionError
from asr_core.evaluation import evaluate

if not quantization.is_possible():
    pytest.skip("needs an x86 processor and torch with oneDNN", allow_module_level=True)


def off(made: torch.Tensor, expected: torch.Tensor) -> float:
    """How large the difference is beside what was expected."""
    return float((made - expected).norm() / expected.norm())


@pytest.mark.parametrize("shape", [(3, 96), (2, 700, 96), (1, 1, 96)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer(shape, bias):
    torch.manual_seed(0)
    layer, hidden = nn.Linear(96, 80, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        made, expected = quantization.Linear(layer)(hidden), layer(hidden)
    assert made.shape == expected.shape
    assert 0 < off(made, expected) < 0.03


@pytest.mark.parametrize("vnni", sorted({False, quantization.has_vnni()}))
@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0)])
def test_sums_of_products_have_room(vnni, ends, monkeypatch):
    """What comes is as large as it can be, so that the sum is off where it has none."""
    monkeypatch.setattr(quantization, "has_vnni", lambda: vnni)
    torch.manual_seed(0)
    layer = nn.Linear(301, 96)
    with torch.no_grad():
        layer.weight[:, :50] = 1.0
        layer.weight[1::2] *= -1
    rounded = quantization.Linear(layer)
    hidden = torch.tensor(ends)[torch.randint(2, (40, 301))]
    hidden[:2], hidden[:, :2] = torch.tensor(ends)[:, None], torch.tensor(ends)
    expected = hidden @ rounded.weight.T + layer.bias  # nothing of what comes is rounded
    torch.testing.assert_close(rounded(hidden), expected, rtol=1e-4, atol=1e-4)


def test_weights_use_the_room_there_is(monkeypatch):
    """Without VNNI it is for two products: that half of it is for each is true of the largest."""
    monkeypatch.setattr(quantization, "has_vnni", lambda: False)
    torch.manual_seed(0)
    layer = nn.Linear(768, 96).requires_grad_(False)
    nn.init.normal_(layer.weight)
    halves = layer.weight.abs().amax(-1, keepdim=True) / 63
    plain = (layer.weight / halves).round() * halves
    assert off(quantization.Linear(layer).weight, layer.weight) < 0.75 * off(plain, layer.weight)


def test_what_comes_from_an_activation_has_all_steps_of_a_byte():
    layer = nn.Linear(64, 64)
    nn.init.eye_(layer.weight)  # what comes out is what went in, as rounded
    torch.manual_seed(0)
    hidden = nn.functional.gelu(3 * torch.randn(200, 64))
    off_by = (quantization.Linear(layer)(hidden) - layer(hidden)).abs().amax(-1)
    assert (off_by < 0.55 * (hidden.amax(-1) - hidden.amin(-1)) / 254).all()
    assert torch.equal(quantization.Linear(layer)(hidden * 0), layer(hidden * 0))


def test_a_frame_is_the_same_whatever_stands_beside_it():
    torch.manual_seed(0)
    hidden = torch.randn(1, 600, 64)
    louder = torch.cat([hidden, 1000 * torch.randn(1, 600, 64)])
    layer = quantization.Linear(nn.Linear(64, 64))
    assert torch.equal(layer(louder)[:1], layer(hidden))
    assert torch.equal(layer(hidden[:, 7:9]), layer(hidden)[:, 7:9])


def test_silence_is_no_division_by_zero():
    layer = nn.Linear(64, 64)
    made = quantization.Linear(layer)(torch.zeros(2, 64))
    torch.testing.assert_close(made, layer.bias.expand(2, 64))


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm", "sew", "data2vec-audio"])
def test_models_of_transformers(kind):
    from asr_core.layers import rearrange

    model = tiny.ctc(kind, 128)
    size, sound = model.num_parameters(), torch.randn(2, 8000)
    with torch.inference_mode():
        expected = model(sound).logits
        made = rearrange(quantization.quantize(model))(sound).logits
    assert 0 < off(made, expected) < 0.1
    # By their number one tells how many windows to hear at once.
    assert model.num_parameters() == pytest.approx(size, rel=0.05)


def test_the_embedded_model_hears_about_as_well():
    rows = data.load(data.SAMPLE, split="test")
    plain, rounded = (
        evaluate(Recognizer(dtype=dtype, language_model="none"), rows)
        for dtype in ("float32", "int8")
    )
    heard = [[row.hypothesis for row in each.rows] for each in (plain, rounded)]
    assert heard[0] != heard[1]  # it is another way
    assert abs(rounded.cer - plain.cer) < 0.02


def test_only_layers_that_are_much_wider_on_one_side_are_rounded():
    attention, up, down, head = (
        nn.Linear(*sizes) for sizes in ((96, 96), (96, 384), (384, 96), (96, 32))
    )
    layers = nn.Sequential(attention, up, nn.GELU(), down, head, nn.Conv1d(24, 96, 3))
    made = [type(layer) for layer in quantization.quantize(layers)]
    rounded = quantization.Linear
    assert made == [nn.Linear, rounded, nn.GELU, rounded, nn.Linear, nn.Conv1d]


@pytest.mark.parametrize(
    ("bfloat16", "possible", "said"),
    [
        (True, True, "cpu, bfloat16"),
        (False, True, "cpu, int8"),
        (False, False, "cpu, float32"),
    ],
)
def test_the_default_is_what_the_processor_is_quick_in(bfloat16, possible, said, monkeypatch):
    monkeypatch.setattr(models, "fast_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(quantization, "is_possible", lambda: possible)
    assert str(models.hardware("cpu")) == said


def test_the_command(capsys, tmp_path):
    clip = tmp_path / "clip.flac"
    clip.write_bytes(data.row_source(data.load(data.SAMPLE, split="test[:1]")[0]))
    assert main(["transcribe", str(clip), "--device", "cpu", "--dtype", "int8"]) == 0
    expected = Recognizer(device="cpu", dtype="int8").transcribe(str(clip)).text
    assert capsys.readouterr().out.strip() == expected


def test_where_it_is_not_to_be_had(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(OptionError, match="int8 is for a CPU, not for cuda"):
        models.hardware("auto", "int8")
    monkeypatch.setattr(quantization, "is_possible", lambda: False)
    with pytest.raises(OptionError, match="int8 needs an x86 processor"):
        models.hardware("cpu", "int8")
