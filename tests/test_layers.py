"""Rearranged layers are faster and nothing else."""

from __future__ import annotations

import pytest
import torch
from tiny import ctc, wav2vec2
from torch import nn

from asr_core import attention
from asr_core.layers import Linear, Windows, rearrange, rearrange_for_cuda


class Encoder(nn.Module):
    """Every kind of layer that the models of transformers are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 32, 10, stride=5, bias=False)
        self.norm = nn.GroupNorm(32, 32)
        self.second = nn.Conv1d(32, 48, 3, stride=2)
        self.place = nn.utils.parametrizations.weight_norm(
            nn.Conv1d(48, 48, 16, padding=8, groups=4), name="weight", dim=2
        )
        self.wide = nn.Conv1d(48, 64, 5, padding=4, dilation=2)
        self.single = nn.Conv1d(64, 64, 3, padding=1, groups=64)
        self.same = nn.Conv1d(64, 8, 3, padding="same")
        self.head = nn.Linear(8, 20)

    def forward(self, sound):
        hidden = self.norm(self.first(sound)).relu()
        hidden = self.place(self.second(hidden)).relu()
        return self.head(self.same(self.single(self.wide(hidden))).transpose(1, 2))


NORMS = ("group", "layer")


@pytest.mark.parametrize("samples", [400, 401, 1603, 16_000])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_numbers_are_the_same(samples, batch):
    torch.manual_seed(0)
    encoder = Encoder().eval()
    sound = torch.randn(batch, 1, samples)
    with torch.inference_mode():
        expected = encoder(sound)
        torch.testing.assert_close(rearrange(encoder)(sound), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "norm"),
    [
        *((kind, norm) for kind in ("wav2vec2", "hubert", "wavlm", "sew") for norm in NORMS),
        ("data2vec-audio", "layer"),
    ],
)
def test_models_of_transformers_say_the_same(kind, norm):
    plain = ctc(kind, feat_extract_norm=norm)
    sound = torch.randn(2, 8000)
    with torch.inference_mode():
        expected = plain(sound).logits
        torch.testing.assert_close(rearrange(plain)(sound).logits, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_grouped_convolutions_in_full_precision_are_no_less_exact(dtype):
    torch.manual_seed(0)
    sound, encoders = torch.randn(2, 1, 4000), [Encoder().eval() for _ in range(3)]
    for encoder in encoders[1:]:
        encoder.load_state_dict(encoders[0].state_dict())
        encoder.to(dtype)
    half = rearrange_for_cuda(encoders[1])
    with torch.inference_mode():
        expected, heard, without = (
            encoders[0](sound),
            half(sound.to(dtype)),
            encoders[2](sound.to(dtype)),
        )
    assert half.place.layer.weight.dtype == torch.float32
    assert heard.dtype == dtype
    off, before = ((one.float() - expected).abs().mean() for one in (heard, without))
    assert 0 < off < 1.2 * before  # by rounding of the other layers


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize(("slice", "scale"), [(1000, 0.3), (1000, None), (1, 0.3)])
def test_attention_in_slices_is_attention(monkeypatch, masked, shared, slice, scale):
    monkeypatch.setattr(attention, "SLICE", slice)
    torch.manual_seed(0)
    query = torch.randn(2, 4, 57, 8)
    key, value = torch.randn(2, 2, 4 // shared, 57, 8)
    mask = torch.randn(2, 1, 57, 57) if masked else None
    expected = nn.functional.scaled_dot_product_attention(
        query, key, value, mask, scale=scale, enable_gqa=True
    )
    heard, _ = attention.sliced(nn.Identity(), query, key, value, mask, scaling=scale)
    torch.testing.assert_close(heard.transpose(1, 2), expected)


@pytest.mark.parametrize("norm", NORMS)
def test_a_model_that_attends_in_slices_says_the_same(monkeypatch, tmp_path, norm):
    from transformers import AutoModelForCTC

    monkeypatch.setattr(attention, "SLICE", 10_000)
    plain, slices = (
        AutoModelForCTC.from_pretrained(wav2vec2(tmp_path, norm), attn_implementation=name).eval()
        for name in ("eager", attention.NAME)
    )
    sound, heard = torch.randn(2, 32_000), torch.ones(2, 32_000, dtype=torch.long)
    heard[1, 20_000:] = 0  # as in a batch of two lengths
    with torch.inference_mode():
        expected = plain(sound, attention_mask=heard).logits
        said = slices(sound, attention_mask=heard).logits
    torch.testing.assert_close(said[0], expected[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(said[1, :60], expected[1, :60], rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not there")
def test_a_packed_layer_multiplies_as_the_plain_one_does():
    torch.manual_seed(0)
    plain = nn.Linear(48, 32)
    packed = Linear(plain)  # also where `rearrange` leaves such layers as they are
    hidden = torch.randn(2, 7, 48)
    with torch.inference_mode():
        torch.testing.assert_close(packed(hidden), plain(hidden))
    torch.testing.assert_close(packed.weight, plain.weight.detach())
    # By their number one tells how many windows to hear at once.
    size, packed_size = (sum(p.numel() for p in one.parameters()) for one in (plain, packed))
    assert packed_size == size


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="oneDNN is not there")
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (2, 2), (3, 2), (5, 1)])
@pytest.mark.parametrize("frames", [5, 1600])
def test_a_convolution_as_products_of_windows(kernel, stride, frames):
    torch.manual_seed(0)
    layer, hidden = nn.Conv1d(24, 64, kernel, stride), torch.randn(2, 24, frames)
    with torch.inference_mode():
        torch.testing.assert_close(Windows(layer)(hidden), layer(hidden), rtol=1e-4, atol=1e-5)
