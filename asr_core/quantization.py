"""A model's products in whole numbers of eight bits, where `--dtype int8` asks for them.

For processors that know no bfloat16: a linear layer takes half the time of float32. Letters between
which the model hesitates may come out the other way, so nobody gets this who has not asked for it.

Weights are rounded once, each output by a scale of its own, and frames as they come, each by its
own (ZeroQuant, Yao et al., 2022, https://arxiv.org/abs/2206.01861), so nothing depends on what is
heard beside it. A frame's 255 steps reach from its least number to its largest: what comes from an
activation is hardly below zero, so that of as many steps to either side it would use but half. The
products are oneDNN's, by the operators that torch.compile uses for quantized models. The first
convolution, grouped ones and layers of few outputs, as most heads, stay as they are: they take
little time.
"""

from __future__ import annotations

import torch
from torch import nn

from asr_core.layers import FRAMES, Windows, has_onednn, is_product

LEAST = 64  # outputs of a layer for which it is worth the while
SMALL = 1 << 18  # weights of one for which it is not, without VNNI: to round takes longer
LOWEST = 1e-12  # of a scale: silence is divided by it
STEPS = 254  # of a byte's 255, as both ends are rounded


def is_possible() -> bool:
    """Whether there are such operators, and processors like this one run them faster."""
    return has_onednn() and hasattr(torch.ops.onednn, "qlinear_pointwise")


def quantize(model: nn.Module) -> nn.Module:
    """`model`, for inference in float32 on a CPU, with linear layers and convolutions rounded."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            # A subclass may see its input otherwise.
            if type(layer) is nn.Linear and _is_worth_it(layer):
                setattr(parent, name, Linear(layer))
            elif type(layer) is nn.Conv1d and is_product(layer) and _is_worth_it(layer):
                setattr(parent, name, Windows(layer, Linear))
    return model


def _is_worth_it(layer: nn.Linear | nn.Conv1d) -> bool:
    weight = layer.weight
    return len(weight) >= LEAST and (has_vnni() or weight.numel() >= SMALL)


def has_vnni() -> bool:
    """Whether the processor multiplies bytes in one instruction, and adds them up in 32 bits."""
    return torch.cpu._is_vnni_supported()


class Linear(nn.Module):
    """(..., features) -> (..., other features), from a plain layer."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight.detach()
        # Without VNNI two products are added up in 16 bits, where 2 x 255 x 127 has no room.
        most = 127 if has_vnni() else 63
        scales = weight.abs().amax(-1, keepdim=True).clamp_(min=LOWEST) / most
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
