"""Attention in slices: no table of every frame against every other lies in memory at once.

The plain way writes that table several times over, more than a processor keeps at hand: 24 MB a
layer for 20 seconds of wav2vec2-base. Here some frames look at all others, then the next do.
torch's fused kernel does the like, but on most CPUs it knows no bfloat16 products and takes twice
the time.
"""

from __future__ import annotations

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

NAME = "sliced"
SLICE = 1 << 20  # numbers of the table at once: 2 MB, what two cores have in their own caches


def sliced(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_,
) -> tuple[torch.Tensor, None]:
    """Tensors of shape (batch, heads, frames, features) -> (batch, frames, heads, features)."""
    batch, heads, frames, features = query.shape
    shared = heads // key.shape[1]  # heads of `query` to one of `key`: more than 1 in few models
    key, value = (each.repeat_interleave(shared, 1).contiguous() for each in (key, value))
    # Scaled here and not in the table, which is far larger.
    query = (query * (features**-0.5 if scaling is None else scaling)).contiguous()
    heard = query.new_empty(batch, frames, heads, features)
    most = max(1, SLICE // (batch * heads * key.shape[2]))
    # Halved, so that all slices are alike if that is possible: each size has a kernel of its own.
    rows = frames
    while rows > most:
        rows = -(-rows // 2)
    for start in range(0, frames, rows):
        at = slice(start, start + rows)
        table = query[:, :, at] @ key.transpose(2, 3)
        if attention_mask is not None:
            table += attention_mask[..., at, :]
        heard[:, at] = (table.softmax(-1) @ value).transpose(1, 2)
    return heard, None


AttentionInterface.register(NAME, sliced)
AttentionMaskInterface.register(NAME, eager_mask)
