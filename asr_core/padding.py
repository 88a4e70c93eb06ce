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
from contextvars import ContextVar
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


# Frames behind the first convolution that each row of the batch in hand has, if it is padded: of
# this thread alone, as several may use one model.
_own: ContextVar[list[int] | None] = ContextVar("_own", default=None)


def own_frames() -> list[int] | None:
    """Those that each row has behind the first convolution, within `lengths`."""
    return _own.get()


class OwnNorm(nn.Module):
    """Group norm of (batch, channels, frames) by the mean and variance of each row's own frames."""

    def __init__(self, layer: nn.GroupNorm) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        frames = own_frames()
        if frames is None:
            return self.layer(hidden)
        # Row by row, by the very kernel that norms one alone: no copy of all in float32 is made.
        for row, own in enumerate(frames):
            hidden[row, :, :own] = self.layer(hidden[row : row + 1, :, :own])[0]
        return hidden


def rearrange(model: nn.Module) -> nn.Module:
    """`model` for inference, ready for batches within `lengths`."""
    # In models of these kinds only the first convolution is followed by a group norm.
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.GroupNorm):
                setattr(parent, name, OwnNorm(layer))
    return model


@contextmanager
def lengths(config: Any, samples: list[int]) -> Iterator[None]:
    """For a batch through a `rearrange`d model of this `config`, with rows of so many samples."""
    first = Frames(((config.conv_kernel[0], config.conv_stride[0]),))
    token = _own.set([first(count) for count in samples])
    try:
        yield
    finally:
        _own.reset(token)
