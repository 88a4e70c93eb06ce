"""A model's products in whole numbers of eight bits, where `--dtype int8` asks for them.

For processors that know no bfloat16: a linear layer takes half the time of float32. Letters between
which the model hesitates may come out the other way, so nobody gets this who has not asked for it.

Weights are rounded once, each output by a scale of its own, and frames as they come, each by its
own (ZeroQuant, Yao et al., 2022, https://arxiv.org/abs/2206.01861), so nothing depends on what is
heard beside it. The products are oneDNN's, by the operators that torch.compile uses for quantized
models. The first convolution, grouped ones and layers of few outputs, as most heads, stay as they
are: they take little time.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import parametrize

from asr_core.layers import has_onednn

ROWS = 512  # frames at once: little enough for a core's cache, and enough for oneDNN
LEAST = 64  # outputs of a layer for which it is worth the while
ZERO = 128  # what stands for 0 in the unsigned bytes that oneDNN multiplies fastest


def is_possible() -> bool:
    """Whether there are such operators, and processors like this one run them faster."""
    return has_onednn() and hasattr(torch.ops.onednn, "qlinear_pointwise")


def quantize(model: nn.Module) -> nn.Module:
    """`model`, for inference in float32 on a CPU, with linear layers and convolutions rounded."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            # A subclass may see its input otherwise.
            if type(layer) is nn.Linear and layer.out_features >= LEAST:
                setattr(parent, name, Linear(layer))
            elif type(layer) is nn.Conv1d and _is_product(layer):
                setattr(parent, name, Convolution(layer))
    return model


def _is_product(layer: nn.Conv1d) -> bool:
    """Whether it multiplies what stands in a window by all of its weights, and nothing else."""
    return (
        (layer.groups, layer.padding, layer.dilation) == (1, (0,), (1,))
        and layer.in_channels > 1
        and layer.out_channels >= LEAST
        and not parametrize.is_parametrized(layer)
    )


class Product(nn.Module):
    """(rows, features) -> (rows, outputs): by `weight` of shape (outputs, features), and `bias`."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        weight = weight.detach()
        outputs = len(weight)
        # Without VNNI two products are added up in 16 bits, where 2 x 255 x 127 has no room.
        most = 127 if torch.cpu._is_vnni_supported() else 63
        scales = _scales(weight, most)
        rounded = (weight / scales).round_().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(rounded, [ROWS, weight.shape[1]])
        self.packed = nn.Parameter(packed, requires_grad=False)
        self.register_buffer("scales", scales.flatten(), persistent=False)
        self.register_buffer("zeros", torch.zeros(outputs, dtype=torch.int64), persistent=False)
        bias = torch.zeros(outputs) if bias is None else bias.detach()
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        if len(rows) <= ROWS:
            return self._multiply(rows)
        made = rows.new_empty(len(rows), len(self.bias))
        for start in range(0, len(rows), ROWS):
            made[start : start + ROWS] = self._multiply(rows[start : start + ROWS])
        return made

    def _multiply(self, rows: torch.Tensor) -> torch.Tensor:
        scales = _scales(rows, ZERO - 1)
        rounded = (rows * scales.reciprocal()).round_().to(torch.int8)
        made = torch.ops.onednn.qlinear_pointwise(
            *(rounded.view(torch.uint8).bitwise_xor_(ZERO), 1.0, ZERO),  # that adds ZERO
            *(self.packed, self.scales, self.zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return torch.addcmul(self.bias, made, scales)


def _scales(rows: torch.Tensor, most: int) -> torch.Tensor:
    """(rows, features) -> (rows, 1): by what to divide for whole numbers of `most` at most."""
    return rows.abs().amax(-1, keepdim=True).mul_(1 / most).clamp_(min=1e-12)


class Linear(nn.Module):
    """(..., features) -> (..., other features)."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.product = Product(layer.weight, layer.bias)

    @property
    def weight(self) -> torch.Tensor:
        """As rounded, for a layer around this one that multiplies by itself, as in WavLM."""
        return self.product.packed.to_dense().T * self.product.scales[:, None]

    @property
    def bias(self) -> torch.Tensor:
        return self.product.bias

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        made = self.product(hidden.flatten(0, -2))
        return made.view(*hidden.shape[:-1], self.out_features)


class Convolution(nn.Module):
    """(batch, channels, frames) -> (batch, other channels, fewer frames)."""

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self.kernel, self.stride = layer.kernel_size[0], layer.stride[0]
        self.product = Product(layer.weight.transpose(1, 2).flatten(1), layer.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        # Channels of one moment side by side, so a window is one row of what lies in memory.
        moments = hidden.transpose(1, 2).contiguous()
        windows = moments.unfold(1, self.kernel, self.stride).transpose(2, 3).flatten(2)
        return torch.stack([self.product(rows) for rows in windows]).transpose(1, 2)
