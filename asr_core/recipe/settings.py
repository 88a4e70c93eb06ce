"""The numbers of one training of the embedded model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """What one run does; the model's card tells which values made the model that is shipped.

    The defaults are for two hours on two cores.
    """

    steps: int = 4_000
    minutes: float = 0.0  # on a GPU, instead of steps: these then tell only when the rate decays
    decay_steps: int = 2_400  # of them, at the end, with the learning rate falling to zero
    warmup_steps: int = 30
    learning_rate: float = 4e-4
    batch_seconds: float = 56.0
    human_share: float = 0.6  # of utterances
    kokoro_share: float = 0.4  # of the synthetic ones, when there are such by Kokoro
    changed_share: float = 0.5  # of utterances, by a voice with another vocal tract
    pause_share: float = 0.3  # of places before, between and after utterances, by silence
    long_share: float = 0.08  # of batches, joined to half a minute: what is long is heard as well
    new_steps: int = 60  # at the start, when only what Moonshine has not is trained
    new_rate: float = 1.2e-3  # its learning rate until the rotation is gone
    fade_from: int = 400  # the step from which the rotation of queries and keys is given up
    fade_to: int = 1_400  # and the one at which it is gone
    imitation_weight: float = 0.2  # of the new attention's distance from the rotating one
    taught_from: int = 300  # the step from which the model listens to its teacher
    taught_to: int = 1_000  # and the one from which it does in full
    mask_steps: int = 10_000  # before SpecAugment comes in: longer runs only
    masked: float = 0.05  # of the frames, by SpecAugment
    dropout: float = 0.0  # of what layers hand on
    seed: int = 4
