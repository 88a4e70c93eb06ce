"""The optimizer of the embedded model's training."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from asr_core import models

MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # of Jordan et al., 2024: steepest at zero
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for the matrices of the layers and AdamW for all else, as one optimizer.

    It needs about 0.6 times the speech that AdamW needs for the same loss (Jordan et al., 2024).
    The learning rate means the same to both (Liu et al., 2025: updates of equal size).
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float = 0.01) -> None:
        layers = model.wav2vec2.encoder.layers
        matrices = [weight for weight in layers.parameters() if weight.ndim == 2]
        chosen = {id(weight) for weight in matrices}
        others = [weight for weight in model.parameters() if id(weight) not in chosen]
        self.parts = (
            Orthogonal(matrices, lr, weight_decay),
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


class Orthogonal(torch.optim.Optimizer):
    """Momentum whose updates are made orthogonal, all matrices of one shape at a time.

    torch.optim.Muon does it one by one, and in bfloat16 always: on a processor that only emulates
    it, one step took a minute.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    shapes.setdefault(weight.shape, []).append(weight)
            for shape, weights in shapes.items():
                momenta = [self._momentum(weight) for weight in weights]
                # Nesterov's: where the momentum will be after one more such gradient.
                gradients = torch.stack([weight.grad for weight in weights])
                ahead = torch.stack(momenta).lerp(gradients, 1 - MOMENTUM)
                updates = orthogonal(ahead).to(ahead.dtype).unbind()
                torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                # As large as one of AdamW's (Liu et al., 2025).
                torch._foreach_add_(weights, updates, alpha=-0.2 * max(shape) ** 0.5 * group["lr"])

    def _momentum(self, weight: nn.Parameter) -> torch.Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight.grad)
        return state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """About U V' for each U S V' in `matrices`, of shape (count, rows, columns)."""
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonal(matrices.mT).mT
    low = matrices.is_cuda or models.fast_bfloat16()
    found = matrices.to(torch.bfloat16 if low else torch.float32)
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        gram = found @ found.mT
        found = a * found + (b * gram + c * gram @ gram) @ found
    return found
