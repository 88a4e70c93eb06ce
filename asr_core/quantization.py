"""The widest products of a model in whole numbers of eight bits.

For processors that know no bfloat16: a linear layer takes two thirds of the time of float32, with
VNNI less. Letters between which the model hesitates may come out the other way, so only what is
worth it is rounded: the layers of the feed-forward blocks, which are several times wider than what
they take or give. They are half of a transformer's time, and rounding them changed half as much as
rounding attention, too. Convolutions stay as they are: what lies between them has few loud channels
among many soft ones, and rounding one of the embedded model's changed ten times as much as these
layers together.

Weights are rounded once, each output by a scale of its own, and frames as they come, each by its
own (ZeroQuant, Yao et al., 2022, https://arxiv.org/abs/2206.01861), so nothing depends on what is
heard beside it. A frame's 255 steps reach from its least number to its largest: what comes from an
activation is hardly below zero, so that of as many steps to either side it would use but half. The
products are oneDNN's, by the operators that torch.compile uses for quantized models.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from asr_core.layers import FRAMES, has_onednn

LEAST = 64  # outputs of a layer for which it is worth the while: heads have fewer
WIDER = 2  # times as many outputs as features, or the other way: so layers are told apart
LOWEST = 1e-12  # of a scale: silence is divided by it
STEPS = 254  # of a byte's 255, as both ends are rounded


def is_possible() -> bool:
    """Whether there are such operators, and processors like this one run them faster."""
    return has_onednn() and hasattr(torch.ops.onednn, "qlinear_pointwise")


def quantize(model: nn.Module) -> nn.Module:
    """`model`, for inference in float32 on a CPU, with its widest linear layers rounded."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            # A subclass may see its input otherwise.
            if type(layer) is nn.Linear and _is_worth_it(*layer.weight.shape):
                setattr(parent, name, Linear(layer))
    return model


def _is_worth_it(outputs: int, features: int) -> bool:
    few, many = sorted((outputs, features))
    return outputs >= LEAST and many >= WIDER * few


def has_vnni() -> bool:
    """Whether the processor multiplies bytes in one instruction, and adds them up in 32 bits."""
    return torch.cpu._is_vnni_supported()


def _reach_of_pairs(weight: torch.Tensor) -> torch.Tensor:
    """(outputs, features) -> (outputs, pairs): how far the sum of two products can go.

    Without VNNI those of features 0 and 1, 2 and 3 and so on are added up in 16 bits, which hold
    255 x 128, so it is the pairs' weights of one sign that must not be more than that together.
    """
    pairs = F.pad(weight, (0, weight.shape[1] % 2)).unflatten(1, (-1, 2))
    return torch.maximum(pairs.clamp(min=0).sum(-1), pairs.clamp(max=0).sum(-1).neg())


class Linear(nn.Module):
    """(..., features) -> (..., other features), from a plain layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight.detach()
        reach = weight.abs() if has_vnni() else _reach_of_pairs(weight)
        scales = reach.amax(-1, keepdim=True).clamp_(min=LOWEST) / 127
        rounded = (weight / scales).round_().to(torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(rounded, [FRAMES, self.in_features])
        self.packed = nn.Parameter(packed, requires_grad=False)
        self.register_buffer("scales", scales.flatten(), persistent=False)
        sums = rounded.sum(-1) * self.scales
        self.register_buffer("sums", sums, persistent=False)
        zeros = torch.zeros(self.out_features, dtype=torch.int64)
        self.register_buffer("zeros", zeros, persistent=False)
        bias = torch.zeros(self.out_features) if layer.bias is None else layer.bias.detach()
        self.bias = nn.Parameter(bias, requires_grad=False)

    @property
    def weight(self) -> torch.Tensor:
        """As rounded, for a layer around this one that multiplies by itself, as in WavLM."""
        return self.packed.to_dense().T * self.scales[:, None]

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        made = [self._multiplied(rows) for rows in hidden.flatten(0, -2).split(FRAMES)]
        joined = torch.cat(made) if len(made) > 1 else made[0]
        return joined.view(*hidden.shape[:-1], self.out_features)

    def _multiplied(self, rows: torch.Tensor) -> torch.Tensor:
        least = rows.amin(-1, keepdim=True).clamp_(max=0.0)
        most = rows.amax(-1, keepdim=True).clamp_(min=0.0)
        scales = most.sub_(least).mul_(1 / STEPS).clamp_(min=LOWEST)
        least.div_(scales).round_()  # in steps: whole ones, for 0 to stay 0
        # Signed bytes, of which unsigned ones are made: torch has no fast way to those.
        steps = (rows / scales).sub_(least + 128).round_().to(torch.int8)
        made = torch.ops.onednn.qlinear_pointwise(
            *(steps.view(torch.uint8).bitwise_xor_(128), 1.0, 0),
            *(self.packed, self.scales, self.zeros, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        # Every step was counted from the least: what stands for that is put back.
        return made.addr_(least.squeeze(-1), self.sums).mul_(scales).add_(self.bias)
