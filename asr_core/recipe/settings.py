"""The numbers of one training of the embedded model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What one run does; the model's card tells which values made the model that is shipped.

    The defaults are for a day on two cores: of what was tried, what learnt most per hour.
    """

    steps: int = 60_000
    decay_steps: int = 50_000  # of them, at the end, with the learning rate falling to zero
    warmup_steps: int = 300
    learning_rate: float = 1.5e-3
    batch_seconds: float = 48.0
    human_share: float = 0.5  # of utterances
    clean_steps: int = 1_500  # before noise, reverberation and the telephone come in
    mask_steps: int = 20_000  # before SpecAugment comes in
    intermediate_weight: float = 0.3  # of the CTC loss at the middle layer (Lee & Watanabe, 2021)
    seed: int = 7
