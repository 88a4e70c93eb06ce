"""Rows of several lengths in one batch, each with the values that it has alone.

For frames of its own a row's convolutions look at its own samples only; what lies behind them is
blanked by transformers before the encoder's position convolution, and masked in its attention. That
leaves group norm over time, as in wav2vec2-base, which must not count what lies behind (fairseq
#3227). Other models let padding in elsewhere: adapters, conformers, squeezed frames, data2vec's
five position convolutions in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from asr_core.frames import Frames

KINDS = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


def is_harmless(config: Any) -> bool:
    """Whether rows of such a model, once `rearrange`d, may be padded."""
    # Batch norm makes something of the zeros that the position convolution should see.
    lets_it_in = any(
        getattr(config, name, False) for name in ("add_adapter", "conv_pos_batch_norm")
    )
    return config.model_type in KINDS and not lets_it_in


class OwnNorm(nn.Module):
    """Group norm of (batch, channels, frames) by the mean and variance of each row's own frames."""

    def __init__(self, layer: nn.GroupNorm) -> None:
        super().__init__()
        self.layer = layer
        self.frames: list[int] | None = None  # that each row of the batch in hand has, if padded

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.frames is None:
            return self.layer(hidden)
        # Row by row, by the very kernel that norms one alone: no copy of all in float32 is made.
        for row, own in enumerate(self.frames):
            hidden[row, :, :own] = self.layer(hidden[row : row + 1, :, :own])[0]
        return hidden


def rearrange(model: nn.Module) -> nn.Module:
    """`model` for inference, ready for batches within `lengths`."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.GroupNorm):
                setattr(parent, name, OwnNorm(layer))
    # In models of these kinds only the first convolution is followed by a group norm.
    model.own_norms = [layer for layer in model.modules() if isinstance(layer, OwnNorm)]
    return model


@contextmanager
def lengths(model: nn.Module, samples: list[int]) -> Iterator[None]:
    """For one batch at a time through a `rearrange`d model, whose rows have so many samples."""
    config = model.config
    frames = Frames(((config.conv_kernel[0], config.conv_stride[0]),))  # of the first convolution
    own = [frames(count) for count in samples]
    for norm in model.own_norms:
        norm.frames = own
    try:
        yield
    finally:
        for norm in model.own_norms:
            norm.frames = None
