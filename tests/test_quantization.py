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
from asr_core.layers import Windows

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


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (3, 2), (5, 1)])
@pytest.mark.parametrize("frames", [5, 1600])
def test_a_convolution(kernel, stride, frames):
    torch.manual_seed(0)
    layer, hidden = nn.Conv1d(24, 64, kernel, stride), torch.randn(2, 24, frames)
    with torch.inference_mode():
        made, expected = Windows(layer, quantization.Linear)(hidden), layer(hidden)
    assert made.shape == expected.shape
    assert 0 < off(made, expected) < 0.03


def test_the_largest_numbers_have_room():
    """Sums of products of the largest weights and the largest of what comes, of either sign."""
    layer, hidden = nn.Linear(512, 64, bias=False), torch.full((4, 512), 3.0)
    hidden[1::2] *= -1
    nn.init.constant_(layer.weight, 0.5)
    with torch.no_grad():
        layer.weight[::2] *= -1
    made = quantization.Linear(layer)(hidden)
    torch.testing.assert_close(made, layer(hidden), rtol=0.01, atol=0.0)


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
def test_models_of_transformers(kind, monkeypatch):
    from asr_core.layers import rearrange

    monkeypatch.setattr(quantization, "SMALL", 0)
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


def test_small_layers_stay_where_to_round_what_comes_would_take_longer(monkeypatch):
    def made() -> list[type]:
        return [*map(type, quantization.quantize(nn.Sequential(nn.Linear(96, 96), large)))]

    large = nn.Linear(512, 512)
    monkeypatch.setattr(quantization, "has_vnni", lambda: False)
    assert made() == [nn.Linear, quantization.Linear]
    monkeypatch.setattr(quantization, "has_vnni", lambda: True)
    assert made() == [quantization.Linear, quantization.Linear]


def test_it_is_said_how_precisely_a_model_runs():
    assert str(models.hardware("cpu", "int8")) == "cpu, int8"


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
