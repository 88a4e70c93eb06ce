"""Moonshine's encoder moved into a `Wav2Vec2ForCTC`, as exactly as that can hold it.

Two things are different. wav2vec 2.0 normalises after each convolution, so channels are added that
hold constants (`BALLAST`) and keep the norms from changing the others. And it has no rotation of
queries and keys: its position convolution sees 1.5 s around each frame, and makes features of it
that are alike in neighbouring frames and in no others (`_sign`), for attention to find its way by.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import MoonshineConfig, Wav2Vec2ForCTC
from transformers.models.moonshine.modeling_moonshine import (
    MoonshineEncoder,
    MoonshineRotaryEmbedding,
)

from asr_core.recipe import moonshine
from asr_core.recipe.moonshine import KERNELS, STRIDES
from asr_core.recipe.rotation import FadingAttention, Rotary

# The first two convolutions are made one: samples and frames.
FEATURE_KERNELS = (KERNELS[0] + STRIDES[0] * (KERNELS[1] - 1), KERNELS[2])
FEATURE_STRIDES = (STRIDES[0] * STRIDES[1], STRIDES[2])
BALLAST = (32, 16)  # channels beyond Moonshine's, per convolution
GROUPS = 16  # of the position convolution
SIGNATURES = 2  # features beyond Moonshine's, per group
SPAN = 64  # frames that the position convolution sees
FREQUENCIES = (0.08, 1.2)  # radians per frame, from the first group's to the last one's
SMALL = 0.03  # standard deviation of weights that have yet to find their use
LOCAL = 1.5  # how much the new attention looks around itself before it has learnt anything


def shape(source: MoonshineConfig | None = None) -> dict:
    """The settings of a `Wav2Vec2Config` that the weights fit; of tiny, if of none."""
    source = source or MoonshineConfig()
    size, width = source.hidden_size, source.hidden_size + GROUPS * SIGNATURES
    return {
        "conv_dim": (2 * size + BALLAST[0], size + BALLAST[1]),
        "conv_kernel": FEATURE_KERNELS,
        "conv_stride": FEATURE_STRIDES,
        "num_feat_extract_layers": len(FEATURE_KERNELS),
        "num_conv_pos_embeddings": SPAN,
        "num_conv_pos_embedding_groups": GROUPS,
        "hidden_size": width,
        "num_hidden_layers": source.encoder_num_hidden_layers,
        "num_attention_heads": source.encoder_num_attention_heads,
        "intermediate_size": source.intermediate_size,
    }


def frames(samples: torch.Tensor) -> torch.Tensor:
    """How many frames the model makes of so many samples."""
    for kernel, stride in zip(FEATURE_KERNELS, FEATURE_STRIDES, strict=True):
        samples = (samples - kernel) // stride + 1
    return samples


def places(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of `width` features are Moonshine's, and which are signatures: the last per group."""
    is_signature = torch.arange(width) % (width // GROUPS) >= width // GROUPS - SIGNATURES
    return torch.where(~is_signature)[0], torch.where(is_signature)[0]


def add_rotation(model: Wav2Vec2ForCTC, source: MoonshineConfig) -> None:
    """Give each layer of `model` the attention that `rotation` lets fade, of random weights."""
    rotated = MoonshineRotaryEmbedding(source).inv_freq
    for layer in model.wav2vec2.encoder.layers:
        attention = layer.attention
        attention.__class__ = FadingAttention
        attention.rotary = Rotary(
            attention.embed_dim, source.hidden_size, attention.num_heads, rotated.clone()
        )
        attention.signatures = places(attention.embed_dim)[1]


@torch.no_grad()
def transplant(
    source: MoonshineEncoder, model: Wav2Vec2ForCTC, utterances: list[torch.Tensor]
) -> None:
    """Give `model`, which has a rotation, the weights of `source`; its head stays as it is.

    `utterances` of (samples,), zero mean and unit variance, show how large things are.
    """
    target = model.wav2vec2
    heard = [moonshine.convolve(source, utterance) for utterance in utterances]
    second, third = (torch.cat([pair[i] for pair in heard]) for i in (0, 1))
    low, high = target.feature_extractor.conv_layers
    _balance(low, *_joined(source, utterances), second)
    _balance(high, source.conv3.weight, source.conv3.bias, third)
    _pass_on(high, target.feature_projection, F.gelu(third))
    _sign(target, [F.gelu(pair[1]) for pair in heard])
    passed = [moonshine.layers(source, utterance) for utterance in utterances]
    for index, (its, mine) in enumerate(zip(source.layers, target.encoder.layers, strict=True)):
        size = torch.cat([hidden[index] for hidden in passed]).square().mean().sqrt().item()
        _move_layer(its, mine, size)
    _move_norm(source.layer_norm, target.encoder.layer_norm, 1.0)


def _joined(
    source: MoonshineEncoder, utterances: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """tanh taken as a straight line and group norm as a factor, two convolutions are one."""
    gain = np.mean([1 / source.conv1(u[None, None]).std().item() for u in utterances])
    first = source.conv1.weight[:, 0] * (source.groupnorm.weight * gain)[:, None]
    weight = torch.zeros(len(source.conv2.weight), 1, FEATURE_KERNELS[0])
    for tap in range(KERNELS[1]):
        at = slice(STRIDES[0] * tap, STRIDES[0] * tap + KERNELS[0])
        weight[:, 0, at] += source.conv2.weight[:, :, tap] @ first
    return weight, source.conv2.bias + source.conv2.weight.sum(-1) @ source.groupnorm.bias


def _balance(
    layer: nn.Module, weight: torch.Tensor, bias: torch.Tensor, usual: torch.Tensor
) -> None:
    """Let a convolution with layer norm give what `weight` and `bias` give without it, nearly.

    The channels beyond them hold large constants of both signs, less the sum of the others: then
    the mean of all is zero and their deviation hardly changes. `usual` is (frames, channels).
    """
    count = len(weight)
    spare = layer.conv.out_channels - count
    signs = torch.tensor([1.0, -1.0]).repeat(spare // 2)
    power = usual.square().sum(1)
    constant = (3 * power.mean() / spare).sqrt()
    layer.conv.weight.zero_()  # what `weight` has no channels for is such constants, too
    layer.conv.weight[:count, : weight.shape[1]] = weight
    layer.conv.weight[count:, : weight.shape[1]] = -weight.sum(0) / spare
    layer.conv.bias[:count] = bias
    layer.conv.bias[count:] = -bias.sum() / spare + signs * constant
    layer.layer_norm.weight.fill_(1)
    layer.layer_norm.bias.zero_()
    deviation = ((spare * constant**2 + power) / (count + spare)).sqrt()
    layer.layer_norm.weight[:count] = deviation.mean()


def _pass_on(layer: nn.Module, projection: nn.Module, usual: torch.Tensor) -> None:
    """The same for the norm after the last convolution, whose constants `layer` then provides."""
    count, constant = usual.shape[1], 4.0
    spare = layer.conv.out_channels - count
    layer.layer_norm.weight[count:] = 0
    layer.layer_norm.bias[count:] = constant * torch.tensor([1.0, -1.0]).repeat(spare // 2)
    constants = F.gelu(layer.layer_norm.bias[count:]).expand(len(usual), -1)
    deviation = torch.cat([usual, constants], 1).std(1).mean()
    projection.layer_norm.weight.fill_(1)
    projection.layer_norm.bias.zero_()
    linear = projection.projection
    content, _ = places(linear.out_features)
    linear.weight.zero_()
    linear.weight[content, :count] = torch.eye(count) * deviation
    linear.bias.zero_()


def _sign(target: nn.Module, heard: list[torch.Tensor]) -> None:
    """Let the position convolution make signatures of what is around each frame.

    Each group looks at one wavelet of a random mixture of its features, two of a wave's phases:
    frames near each other have products of these that say how near. `heard` are Moonshine's
    features, (frames, channels) each.
    """
    convolution = target.encoder.pos_conv_embed.conv
    each = convolution.in_channels // GROUPS
    inner = each - SIGNATURES
    weight = torch.randn(convolution.out_channels, each, SPAN) * 0.1 * SMALL
    bias = torch.zeros(convolution.out_channels)
    above = 1.5  # gelu leaves more of what is not below zero
    times = torch.arange(SPAN) - SPAN // 2
    for group, frequency in enumerate(np.geomspace(*FREQUENCIES, GROUPS)):
        envelope = torch.exp(-((times / np.clip(3.5 / frequency, 4, 20)) ** 2) / 2)
        mixture = torch.randn(inner)
        mine = slice(group * inner, (group + 1) * inner)
        for phase in range(SIGNATURES):
            wave = torch.cos(frequency * times - phase * torch.pi / SIGNATURES)
            kernel = mixture[:, None] * envelope * wave
            usual = torch.cat(
                [F.conv1d(h.T[None, mine], kernel[None], padding=SPAN // 2)[0, 0] for h in heard]
            )
            row = group * each + inner + phase
            weight[row] = 0
            weight[row, :inner] = kernel / usual.std()
            bias[row] = above - usual.mean() / usual.std()
    convolution.weight = weight
    convolution.bias.copy_(bias)
    _, signatures = places(convolution.in_channels)
    target.feature_projection.projection.bias[signatures] = -above


def _move_layer(its: nn.Module, mine: nn.Module, size: float) -> None:
    """One layer of Moonshine's; `size` is that of the features that come into it."""
    content, signatures = places(mine.attention.embed_dim)
    heads, inner = mine.attention.num_heads, its.self_attn.head_dim
    # Of each head's features, the first `inner` are Moonshine's.
    theirs = torch.arange(mine.attention.embed_dim).view(heads, -1)
    theirs, beyond = theirs[:, :inner].flatten(), theirs[:, inner:]
    _move_norm(its.input_layernorm, mine.layer_norm, size)
    _move_norm(its.post_attention_layernorm, mine.final_layer_norm, size)
    attention, sharper = mine.attention, (mine.attention.head_dim / inner) ** 0.25
    for name in ("q_proj", "k_proj"):
        old, new = getattr(its.self_attn, name), getattr(attention, name)
        _place(old, getattr(attention.rotary, name), columns=content)
        nn.init.normal_(new.weight, std=SMALL)
        new.bias.zero_()
        new.weight[theirs[:, None], content] = old.weight * sharper
    for rows in beyond:  # queries and keys alike: neighbours attend to each other
        at_random = torch.linalg.qr(torch.randn(len(signatures), len(rows)))[0].T
        for projection in (attention.q_proj, attention.k_proj):
            projection.weight[rows] = 0
            projection.weight[rows[:, None], signatures] = at_random * LOCAL
    _place(its.self_attn.v_proj, attention.v_proj, rows=theirs, columns=content)
    nn.init.normal_(attention.v_proj.weight[beyond.flatten()], std=SMALL)
    _place(its.self_attn.o_proj, attention.out_proj, rows=content, columns=theirs)
    _place(its.mlp.fc1, mine.feed_forward.intermediate_dense, columns=content)
    _place(its.mlp.fc2, mine.feed_forward.output_dense, rows=content)


def _place(
    source: nn.Linear,
    target: nn.Linear,
    rows: torch.Tensor | None = None,
    columns: torch.Tensor | None = None,
) -> None:
    """The weights of `source` at `rows` and `columns` of `target`, which is zero elsewhere."""
    rows = torch.arange(target.out_features) if rows is None else rows
    columns = torch.arange(target.in_features) if columns is None else columns
    target.weight.zero_()
    target.weight[rows[:, None], columns] = source.weight
    target.bias.zero_()
    if source.bias is not None:
        target.bias[rows] = source.bias


def _move_norm(source: nn.LayerNorm, target: nn.LayerNorm, size: float) -> None:
    """`size` is that of the features, beside which signatures would be small."""
    width = target.normalized_shape[0]
    content, signatures = places(width)
    target.bias.zero_()
    target.weight[content] = source.weight * (len(content) / width) ** 0.5
    target.weight[signatures] = size
