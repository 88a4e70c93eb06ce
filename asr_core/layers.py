"""The same layers, arranged so that a processor runs them up to ten times faster.

On a CPU (`rearrange`):

Speech models keep sound as (channels, time). oneDNN multiplies faster where the channels of one
moment lie side by side, which torch knows only of images; so for the length of the feature encoder
time becomes the width of an image one pixel high. Measured on wav2vec2-base in bfloat16: half the
time for the convolutions, a tenth for the first of them, and none for turning the data around.

Linear layers keep their weights in the order in which oneDNN reads them, instead of putting them
into that order on every call: up to a fifth faster, in float32 and in bfloat16, with AVX-512. With
AVX2 alone MKL, which torch takes for plain float32 layers, is a sixth faster than oneDNN. With
AVX-512 the same product makes convolutions in float32 a fifth faster than oneDNN's own, too.

On an NVIDIA GPU (`rearrange_for_cuda`): cuDNN has no fast way through wav2vec 2.0's position
convolution in half precision. On an H200 it took 12.4 of the 14.3 ms that wav2vec2-base needs for
ten seconds in float16, and in float32 0.9 (pytorch #170138 tells of the like).
"""

from __future__ import annotations

import platform

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

LANES = 16  # numbers in a row of the first layer's product: fewer, or an odd count, is far slower
FRAMES = 512  # that a layer multiplies at once, about: oneDNN chooses the order of weights by it
X86 = ("x86_64", "AMD64")


def rearrange(model: nn.Module) -> nn.Module:
    """`model`, for inference on a CPU: its results differ by rounding only."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            # A subclass may see its input otherwise, as the head of parakeet does.
            if isinstance(layer, nn.Conv1d) and type(layer).forward is nn.Conv1d.forward:
                if parametrize.is_parametrized(layer):  # weight norm, computed anew on each call
                    parametrize.remove_parametrizations(layer, "weight")
                if _is_first(layer):
                    setattr(parent, name, FirstConvolution(layer))
                elif _is_quicker_as_product(layer):
                    setattr(parent, name, Windows(layer))
                elif isinstance(layer.padding, tuple) and layer.groups < layer.in_channels:
                    setattr(parent, name, Convolution(layer))
            elif isinstance(layer, nn.GroupNorm):
                setattr(parent, name, GroupNorm(layer))
            elif type(layer) is nn.Linear and _is_packable(layer.weight):
                setattr(parent, name, Linear(layer))
    return model


def rearrange_for_cuda(model: nn.Module) -> nn.Module:
    """`model`, for inference on an NVIDIA GPU in half precision."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv1d) and 1 < layer.groups < layer.in_channels:
                if parametrize.is_parametrized(layer):
                    parametrize.remove_parametrizations(layer, "weight")
                setattr(parent, name, InFull(layer))
    return model


def _is_first(layer: nn.Conv1d) -> bool:
    """Whether it takes the samples themselves, in steps."""
    return layer.in_channels == 1 and layer.padding == (0,) and layer.dilation == (1,)


def _is_product(layer: nn.Conv1d) -> bool:
    """Whether it multiplies what stands in a window by all of its weights, and nothing else."""
    return (
        (layer.groups, layer.padding, layer.dilation) == (1, (0,), (1,))
        and layer.in_channels > 1
        and not parametrize.is_parametrized(layer)
    )


def _is_quicker_as_product(layer: nn.Conv1d) -> bool:
    """In bfloat16 oneDNN's convolution is as fast as its product."""
    return _is_product(layer) and layer.weight.dtype == torch.float32 and _is_packable(layer.weight)


def has_onednn() -> bool:
    """Whether oneDNN is there, on a processor of the kind it is fast on."""
    return torch.backends.mkldnn.is_available() and platform.machine() in X86


def _is_packable(weight: torch.Tensor) -> bool:
    """Whether oneDNN multiplies such numbers on this machine in an order of its own, and faster."""
    if not has_onednn():
        return False
    if weight.dtype == torch.bfloat16:
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return weight.dtype == torch.float32 and torch.backends.cpu.get_cpu_capability() == "AVX512"


class Linear(nn.Module):
    """(..., features) -> (..., other features), by the operators that torch.compile would use."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), FRAMES)
        # A parameter, as the size of a model says how many windows are heard at once.
        self.packed = nn.Parameter(packed, requires_grad=False)
        self.bias = layer.bias

    @property
    def weight(self) -> torch.Tensor:
        """In plain order, for a layer around this one that multiplies by itself, as in WavLM."""
        return self.packed.to_dense()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(hidden, self.packed, self.bias, "none", [], "")


class Convolution(nn.Module):
    """(batch, channels, frames) -> the same, channels side by side in memory."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        weight = layer.weight.detach().unsqueeze(2)
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), False)
        self.bias = layer.bias
        self.options = {
            "stride": (1, *layer.stride),
            "padding": (0, *layer.padding),
            "dilation": (1, *layer.dilation),
            "groups": layer.groups,
        }

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        image = hidden.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return F.conv2d(image, self.weight, self.bias, **self.options).squeeze(2)


class Windows(nn.Module):
    """(batch, channels, frames) -> (batch, other channels, fewer frames), as `_is_product` says.

    Each window is a row that a linear layer multiplies: no more of them at once than a core's cache
    has room for.
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self.kernel, self.stride = layer.kernel_size[0], layer.stride[0]
        weight = layer.weight.detach().transpose(1, 2).flatten(1)
        plain = nn.Linear(*weight.T.shape, bias=False, device="meta")
        plain.weight, plain.bias = nn.Parameter(weight, False), layer.bias
        self.product = Linear(plain)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        # Channels of one moment side by side, so a window is one row of what lies in memory.
        moments = hidden.transpose(1, 2).contiguous()
        windows = moments.unfold(1, self.kernel, self.stride).transpose(2, 3)
        made = hidden.new_empty(*windows.shape[:2], self.product.out_features)
        for rows, results in zip(windows, made, strict=True):
            for start in range(0, len(rows), FRAMES):
                some = slice(start, start + FRAMES)
                results[some] = self.product(rows[some].flatten(1))
        return made.transpose(1, 2)


class InFull(nn.Module):
    """A layer that works in float32 among others in half precision."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer.float()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.layer(hidden.float()).to(hidden.dtype)


class FirstConvolution(nn.Module):
    """(batch, 1, samples) -> (batch, channels, frames): one matrix product over cut-out windows."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        weight = layer.weight.detach().squeeze(1)
        self.spare = -weight.shape[1] % LANES
        self.weight = nn.Parameter(F.pad(weight, (0, self.spare)), False)
        self.bias = layer.bias
        self.stride = layer.stride[0]

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        padded = F.pad(samples.squeeze(1), (0, self.spare))
        rows = padded.unfold(1, self.weight.shape[1], self.stride).contiguous()
        return F.linear(rows, self.weight, self.bias).transpose(1, 2)


class GroupNorm(nn.Module):
    """(batch, channels, frames), as it comes from a `Convolution`, without turning it around."""

    def __init__(self, layer: nn.GroupNorm) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.layer(hidden.unsqueeze(2)).squeeze(2)
