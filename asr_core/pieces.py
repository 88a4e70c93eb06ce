"""What a model makes of the samples themselves, some frames at a time: for a CPU, in float32.

Between the first layers of wav2vec2-base lies two hundred times as much as they are given, 130 MB
for 20 seconds, written three times over. In pieces it is some MB, whatever the length, so that each
core may hear a window of its own.

Only its group norm looks at the whole: at every channel's mean and variance over time. A channel is
a sum of weighted samples, so both follow from the means and covariances of the samples in a window,
before any channel is computed. What is left of the norm is a factor and a summand for each channel,
which the convolution's weights take up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from asr_core import padding
from asr_core.frames import Frames
from asr_core.layers import LANES

FRAMES = 64  # that come of a piece: shorter ones are slower, longer ones no faster


def rearrange(model: nn.Module, config: Any) -> nn.Module:
    """`model`, for inference in float32: its results differ by rounding only.

    Nothing is done to models without such a norm.
    """
    if config.model_type in padding.KINDS and config.feat_extract_norm == "group":
        base = model.base_model
        base.feature_extractor = Pieces(base.feature_extractor, config)
    return model


class Pieces(nn.Module):
    """(batch, samples) -> (batch, channels, frames), as the feature encoder of which it is made."""

    def __init__(self, encoder: nn.Module, config: Any) -> None:
        super().__init__()
        first, *others = encoder.conv_layers
        layers = tuple(zip(config.conv_kernel, config.conv_stride, strict=True))
        self.frames, self.first, self.behind = map(Frames, (layers, layers[:1], layers[1:]))
        self.kernel, self.stride = layers[0]
        weight = first.conv.weight.detach().squeeze(1)
        self.spare = -self.kernel % LANES
        self.weight = nn.Parameter(F.pad(weight, (0, self.spare)), False)
        # The convolution's own bias is no matter: the norm takes it off with the mean.
        self.norm_weight, self.norm_bias = first.layer_norm.weight, first.layer_norm.bias
        self.least = first.layer_norm.eps
        self.activation, self.layers = first.activation, nn.ModuleList(others)
        self.channels = config.conv_dim[-1]

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        batch, length = samples.shape
        own = padding.own_frames() or [self.first(length)] * batch
        made = samples.new_empty(batch, self.frames(length), self.channels)
        for row, frames, into in zip(samples, own, made, strict=True):
            weight, bias = self._normed(row.unfold(0, self.kernel, self.stride)[:frames])
            padded = F.pad(row, (0, self.spare))
            for start in range(0, len(into), FRAMES):
                some = into[start : start + FRAMES]
                some[:] = self._heard(padded, start, len(some), weight, bias)
        return made.transpose(1, 2)

    def _normed(self, windows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first convolution's weights and biases for which its channels come out normed."""
        windows, weight = windows.double(), self.weight[:, : self.kernel].double()
        mean = windows.mean(0)
        covariance = windows.T @ windows / len(windows) - mean.outer(mean)
        variance = ((weight @ covariance) * weight).sum(1)
        scale = self.norm_weight / (variance + self.least).sqrt()
        bias = self.norm_bias - scale * (weight @ mean)
        return (self.weight * scale[:, None]).float(), bias.float()

    def _heard(
        self,
        padded: torch.Tensor,
        start: int,
        frames: int,
        weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> torch.Tensor:
        """The frames from `start` on, (frames, channels)."""
        windows = padded.unfold(0, weight.shape[1], self.stride)
        first = start * self.behind.hop
        rows = windows[first : first + self.behind.samples(frames)].contiguous()
        hidden = self.activation(F.linear(rows, weight, bias).T.unsqueeze(0))
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden[0].T
