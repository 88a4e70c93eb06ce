"""Windows -> emissions, through the pipeline API of transformers.

Its own CTC pipeline throws away the probabilities and reads a recording whole; `EmissionPipeline`
keeps the former and is fed windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import AutomaticSpeechRecognitionPipeline

from asr_core import padding
from asr_core.frames import Frames


@dataclass(frozen=True)
class Prepared:
    """A window as the model takes it; its length is in samples."""

    inputs: dict[str, torch.Tensor]  # with one row
    samples: int

    def __len__(self) -> int:
        return self.samples


class EmissionPipeline(AutomaticSpeechRecognitionPipeline):
    """Windows in, their emissions out: log-probabilities of shape (frames, columns), float32.

    Its steps can be called apart, as those on either side of the model need no turn.
    """

    multiple = 1  # frames of which the model is given whole multiples, by padding

    @cached_property
    def _frames(self) -> Frames:
        return Frames.of(self.model.config, self.feature_extractor)

    def prepare(self, samples: np.ndarray) -> Prepared:
        """A window of shape (samples,), normalised by itself."""
        rate, name = self.feature_extractor.sampling_rate, self.model.main_input_name
        if name == "input_values":
            # As `preprocess` does, but for its mask of as many numbers as there are samples.
            wish = {"return_tensors": "pt", "return_attention_mask": False}
            made = self.feature_extractor(samples, sampling_rate=rate, **wish)
            return Prepared({name: made[name].to(self.dtype)}, len(samples))
        (inputs,) = self.preprocess({"raw": samples, "sampling_rate": rate})
        mask = inputs.get("attention_mask")
        hides = mask is not None and not mask.all()  # one that hides nothing only slows it down
        wanted = (name, "attention_mask") if hides else (name,)
        return Prepared({key: inputs[key] for key in wanted}, len(samples))

    def hear(self, batch: list[Prepared]) -> list[np.ndarray]:
        """The emissions of each; lengths may differ where `padding.is_harmless`."""
        counts = [len(each) for each in batch]
        longest = max(map(self.padded, batch))
        if set(counts) == {longest}:
            rows = {key: [each.inputs[key] for each in batch] for key in batch[0].inputs}
            inputs = {key: torch.cat(row) for key, row in rows.items()}
            return self.postprocess(self.forward(inputs))
        name = self.model.main_input_name
        padded = pad_sequence([each.inputs[name][0] for each in batch], batch_first=True)
        inputs = {
            name: F.pad(padded, (0, longest - padded.shape[1])),
            "attention_mask": torch.arange(longest) < torch.tensor(counts)[:, None],
        }
        with padding.lengths(self.model.config, counts):
            outputs = self.postprocess(self.forward(inputs))
        own = map(self._frames, counts)
        return [emissions[:frames] for emissions, frames in zip(outputs, own, strict=True)]

    def padded(self, prepared: Prepared) -> int:
        """Its length when padded, in samples: as many as may be for a `multiple` of frames."""
        if self.multiple == 1:
            return len(prepared)
        frames = -(-self._frames(len(prepared)) // self.multiple) * self.multiple
        return self._frames.samples(frames + 1) - 1

    def _forward(self, model_inputs, **_):
        logits = self.model(**model_inputs).logits
        return {"emissions": logits.float().log_softmax(dim=-1)}

    def postprocess(self, model_outputs, **_):
        return list(model_outputs["emissions"].numpy())
