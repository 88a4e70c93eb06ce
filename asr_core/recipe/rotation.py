"""Attention on its way from Moonshine's positions to wav2vec 2.0's.

Moonshine's attention knows where things are since queries and keys are rotated by their position.
That of wav2vec 2.0 sees what it compares and nothing else. Taken away, or turned down until it is
gone, the rotation leaves a model that knows nothing: measured, its loss went from 1.2 to 2.9. So
the new attention looks on first. Each layer has both; the new one learns to attend as the old one
does, for which the position convolution gives it signatures of the surroundings of a frame
(`transplant`), and what a layer passes on comes from the old one, then from a mixture, then from
the new one alone. What is left is a plain `Wav2Vec2ForCTC`.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2Attention


class Rotary(nn.Module):
    """Queries and keys of one layer as Moonshine makes and rotates them."""

    def __init__(self, width: int, inner: int, heads: int, frequencies: torch.Tensor) -> None:
        super().__init__()
        self.q_proj, self.k_proj = nn.Linear(width, inner), nn.Linear(width, inner)
        self.heads = heads
        self.register_buffer("frequencies", frequencies, persistent=False)  # radians per frame

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of shape (batch, heads, frames, frames)."""
        angles = torch.outer(torch.arange(hidden.shape[1]).to(self.frequencies), self.frequencies)
        cos, sin = (turned.repeat_interleave(2, -1) for turned in (angles.cos(), angles.sin()))
        query, key = (
            _rotated(_by_head(projection(hidden), self.heads), cos, sin)
            for projection in (self.q_proj, self.k_proj)
        )
        return query @ key.mT * query.shape[-1] ** -0.5


def _by_head(hidden: torch.Tensor, heads: int) -> torch.Tensor:
    return hidden.unflatten(-1, (heads, -1)).transpose(1, 2)


def _rotated(hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    turned, rest = hidden.split((cos.shape[-1], hidden.shape[-1] - cos.shape[-1]), -1)
    across = torch.stack((-turned[..., 1::2], turned[..., ::2]), -1).flatten(-2)
    return torch.cat([turned * cos + across * sin, rest], -1)


class FadingAttention(Wav2Vec2Attention):
    """wav2vec 2.0's attention beside that with `rotary`, of which `share` is still used.

    `distance` is how far, in nats, its attention was from the other's at the last call.
    """

    rotary: Rotary
    signatures: torch.Tensor  # which of the features tell frames apart: these alone are taught
    share = 1.0
    distance: torch.Tensor

    def forward(self, hidden_states: torch.Tensor, attention_mask=None, **_):
        if self.share == 0:
            return super().forward(hidden_states, attention_mask=attention_mask)
        watched = hidden_states
        if self.share == 1:  # who only looks on must not change what there is to see
            watched = hidden_states.detach().clone()
            watched[..., self.signatures] = hidden_states[..., self.signatures]
        query, key = (_by_head(p(watched), self.num_heads) for p in (self.q_proj, self.k_proj))
        old, new = self.rotary(hidden_states), query @ key.mT * self.scaling
        heard = torch.ones_like(old[:, 0, 0], dtype=torch.bool)
        if attention_mask is not None:
            heard = attention_mask[:, 0, 0]
            padding = ~heard[:, None, None]
            old, new = (scores.masked_fill(padding, -1e4) for scores in (old, new))
        old, new = old.softmax(-1), new.log_softmax(-1)
        apart = F.kl_div(new, old.detach(), reduction="none").sum(-1).mean(1)
        self.distance = apart[heard].mean()
        used = old if self.share == 1 else self.share * old + (1 - self.share) * new.exp()
        mixed = used @ _by_head(self.v_proj(hidden_states), self.num_heads)
        return self.out_proj(mixed.transpose(1, 2).flatten(2)), None


def fading(model: nn.Module) -> list[FadingAttention]:
    return [module for module in model.modules() if isinstance(module, FadingAttention)]


def share_at(step: int, begin: int, end: int) -> float:
    """1 until step `begin`, then in a straight line to 0 at `end`."""
    return min(1.0, max(0.0, (end - step) / max(1, end - begin)))
