"""A teacher for the embedded model: Moonshine's encoder as it is, with a head that spells.

It keeps the rotation that a `Wav2Vec2ForCTC` has no place for, so it learns to spell sooner. It
hears the same batches as its student, at the same time, and the student learns to spell each frame
as it does (Hinton et al., 2015) and to make of the sound what its layers make of it (DistilHuBERT:
Chang et al., 2022): far more to go by than the transcripts of a few hours. The two have the same
frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import MoonshineConfig, Wav2Vec2Config
from transformers.loss.loss_utils import ForCTCLoss
from transformers.modeling_outputs import CausalLMOutput
from transformers.models.moonshine.modeling_moonshine import MoonshineEncoder

from asr_core.errors import DataError
from asr_core.recipe import moonshine
from asr_core.recipe.transplant import frames

FILE = "teacher.safetensors"
WATCHED = (2, 4, 6)  # after which layers the student is compared
SPELLING = 2.0  # how much more its letters weigh than its layers


@dataclass(frozen=True)
class Lesson:
    """What the teacher made of a batch, and how well it spelt it.

    `layers` are (batch, frames, features), `logits` (batch, frames, letters), and `heard` tells
    which of batch x frames are not padding.
    """

    loss: torch.Tensor
    layers: list[torch.Tensor]
    logits: torch.Tensor
    heard: torch.Tensor


class Teacher(nn.Module):
    """`encoder` with a head for the letters of `student`, and its views of the student's layers."""

    def __init__(self, encoder: MoonshineEncoder, student: Wav2Vec2Config) -> None:
        super().__init__()
        size = encoder.config.hidden_size
        self.encoder, self.blank = encoder, student.pad_token_id
        self.head = nn.Linear(size, student.vocab_size)
        self.views = nn.ModuleList(nn.Linear(student.hidden_size, size) for _ in WATCHED)

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
    ) -> Lesson:
        """Of a batch as the student gets it."""
        made = self.encoder(
            input_values * moonshine.LEVEL, attention_mask, output_hidden_states=True
        )
        logits = self.head(made.last_hidden_state)
        lengths = frames(attention_mask.sum(-1))
        loss = ForCTCLoss(
            logits, labels, lengths, blank_token_id=self.blank, reduction="mean", zero_infinity=True
        )
        heard = torch.arange(logits.shape[1], device=lengths.device) < lengths[:, None]
        heard = heard.flatten().nonzero()[:, 0]
        layers = [made.hidden_states[layer].detach() for layer in WATCHED]
        return Lesson(loss, layers, logits.detach(), heard)

    def distance(self, lesson: Lesson, student: CausalLMOutput, weight: float) -> torch.Tensor:
        """How far a student is from the teacher, who is listened to with a `weight` of 0 to 1.

        What the teacher does not spell better than the student it does not teach.
        """
        better = weight * (lesson.loss < student.loss)
        its, mine = lesson.logits, _listening(student.logits, better)
        its, mine = (
            each.flatten(0, 1)[lesson.heard].float().log_softmax(-1) for each in (its, mine)
        )
        apart = SPELLING * F.kl_div(mine, its, reduction="batchmean", log_target=True)
        for view, index, layer in zip(self.views, WATCHED, lesson.layers, strict=True):
            seen = view(_listening(student.hidden_states[index], weight))
            both = (_even(each.flatten(0, 1)[lesson.heard]) for each in (seen, layer))
            apart = apart + F.mse_loss(*both)
        return apart

    def save(self, folder: Path) -> None:
        save_file({n: w.half().contiguous() for n, w in self.state_dict().items()}, folder / FILE)


def load(source: str, student: Wav2Vec2Config) -> Teacher:
    """From a `FILE` that an earlier run left, or from Moonshine (see `moonshine.load`).

    Raises DataError when it is neither.
    """
    if not source.endswith(".safetensors"):
        return Teacher(moonshine.load(source), student)
    teacher = Teacher(MoonshineEncoder(MoonshineConfig()), student)
    try:
        teacher.load_state_dict(load_file(source))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{source} is no teacher that this left: {error}") from error
    return teacher


def _listening(student: torch.Tensor, weight: float | torch.Tensor) -> torch.Tensor:
    """The same values, of which the student learns with `weight`: views of them learn in full."""
    return weight * student + (1 - weight) * student.detach()


def _even(layer: torch.Tensor) -> torch.Tensor:
    """Every frame as loud as any other: a few features would outweigh the rest."""
    return F.layer_norm(layer.float(), layer.shape[-1:])
