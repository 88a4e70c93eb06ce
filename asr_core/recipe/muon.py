"""The optimizer of the embedded model's training."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Muon(torch.optim.Optimizer):
    """torch's Muon for the matrices of the layers and AdamW for all else, as one optimizer.

    It needs about 0.6 times the speech that AdamW needs for the same loss (Jordan et al., 2024).
    The learning rate means the same to both (Liu et al., 2025: updates of equal size).
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float = 0.01) -> None:
        layers = model.wav2vec2.encoder.layers
        matrices = [weight for weight in layers.parameters() if weight.ndim == 2]
        chosen = {id(weight) for weight in matrices}
        others = [weight for weight in model.parameters() if id(weight) not in chosen]
        self.parts = (
            torch.optim.Muon(
                matrices, lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(others, lr, betas=(0.9, 0.98), weight_decay=weight_decay, fused=True),
        )
        super().__init__([group for part in self.parts for group in part.param_groups], {})
        self.share()

    def share(self) -> None:
        """Let the parts work on the groups and the state that are saved and scheduled here."""
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups, part.state = [group], self.state

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self.share()

    def step(self, closure: Callable[[], float] | None = None) -> None:
        for part in self.parts:
            part.step()
