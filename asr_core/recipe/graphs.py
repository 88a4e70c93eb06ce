"""The training of `pretrain` for a GPU.

A small model is so little work for a GPU that Python cannot start its operations in time, nor the
CPUs change sound for it. So all speech lies in the GPU's memory (115 MB an hour), is changed there
(`waves`), and a step is two CUDA graphs, one to the emissions and one back, with CTC between them.
Graphs want fixed shapes: those of `plans`.

On an H200 that is 13,700 s of speech a second in steps of 130 s, 16,900 in steps of 270 and 18,200
in steps of 390, with the GPU busy for nine tenths of the time, and with eight layers instead of six
13,600 in steps of 255; the Trainer, with a teacher beside, came to 2,700 on an H100, which was idle
for two thirds of it. What is left to save: sums of gradients for biases take 9 % of the GPU's time,
conversions between precisions 12, layer norms 11, CTC 3.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import Wav2Vec2ForCTC

from asr_core.errors import OptionError
from asr_core.files import whole
from asr_core.recipe import waves
from asr_core.recipe.batches import SAMPLE_RATE, Batches
from asr_core.recipe.plans import LENGTHS, Plan, Plans, coming
from asr_core.recipe.settings import Recipe
from asr_core.recipe.transplant import frames

log = logging.getLogger("asr_core")

MASK = 5  # frames that SpecAugment hides at a time
LARGEST = 2.0  # norm of a gradient
REPORT = 500  # steps
SAVE = 60.0  # seconds between checkpoints
STATE = "run.safetensors"


def emissions(
    model: Wav2Vec2ForCTC, sound: torch.Tensor, counts: torch.Tensor, masked: torch.Tensor | None
) -> torch.Tensor:
    """What `model` gives, (rows, frames, letters), with nothing that a graph cannot record.

    `masked` (rows, frames) are hidden; transformers draws them on the CPU, and makes the GPU wait.
    """
    net, hidden = model.wav2vec2, sound[:, None]
    for layer in net.feature_extractor.conv_layers:
        hidden = layer(hidden)
    hidden, _ = net.feature_projection(hidden.transpose(1, 2))
    if masked is not None:
        hidden = torch.where(masked[..., None], net.masked_spec_embed.to(hidden.dtype), hidden)
    inside = torch.arange(hidden.shape[1], device=hidden.device) < frames(counts)[:, None]
    hidden = torch.where(inside[..., None], hidden, 0.0)
    hidden = net.encoder.dropout(hidden + net.encoder.pos_conv_embed(hidden))
    attended = inside[:, None, None].expand(-1, 1, hidden.shape[1], -1)
    for layer in net.encoder.layers:
        hidden = layer(hidden, attention_mask=attended)
    return model.lm_head(model.dropout(net.encoder.layer_norm(hidden)))


def hidden_frames(rows: int, count: int, share: torch.Tensor) -> torch.Tensor:
    """About `share` of (rows, count), `MASK` at a time: SpecAugment (Park et al., 2019)."""
    begins = (torch.rand(rows, count, device=share.device) < share / MASK).float()
    return F.max_pool1d(begins, MASK, stride=1, padding=MASK // 2).bool()


def joined(parts: list[nn.Parameter]) -> nn.Parameter:
    """One tensor that holds all `parts`, which become views of it."""
    whole = torch.cat([part.detach().flatten() for part in parts])
    pieces = whole.split([part.numel() for part in parts])
    for part, piece in zip(parts, pieces, strict=True):
        part.data = piece.view_as(part)
    return nn.Parameter(whole)


class Weights:
    """All weights of a model in one tensor, so that one operation changes all of them."""

    def __init__(self, model: nn.Module) -> None:
        self.parts = list(model.parameters())
        self.whole = joined(self.parts)
        self.whole.grad = torch.zeros_like(self.whole)
        self.rate = torch.zeros((), device=self.whole.device)
        self.optimizer = torch.optim.AdamW(
            [self.whole],
            self.rate,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            fused=True,
            capturable=True,
        )

    def learn(self, outputs: torch.Tensor, gradient: torch.Tensor) -> None:
        gradients = torch.autograd.grad(outputs, self.parts, gradient)
        torch.cat([part.flatten() for part in gradients], out=self.whole.grad)
        self.whole.grad *= (LARGEST / (self.whole.grad.norm() + 1e-6)).clamp(max=1.0)
        self.optimizer.step()


class Lane:
    """Batches of rows of one length: where their plans lie, and the two graphs."""

    def __init__(self, training: Training, plan: Plan) -> None:
        device = training.device
        self.training, self.length, self.rows = training, plan.length, len(plan.labels)
        self.pieces = torch.zeros(plan.pieces.shape, dtype=torch.long, device=device)
        self.speeds = torch.ones(self.rows, dtype=torch.double, device=device)
        self.counts = torch.ones(self.rows, dtype=torch.long, device=device)
        self.take(plan)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # what is done once is done before the recording
            for _ in range(3):
                made = self._forward()
                training.weights.learn(made, torch.zeros_like(made))
        torch.cuda.current_stream().wait_stream(aside)
        self.there, self.back = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.there):
            self.emissions = self._forward()
        self.gradient = torch.zeros_like(self.emissions)
        with torch.cuda.graph(self.back, pool=self.there.pool()):
            training.weights.learn(self.emissions, self.gradient)

    def _forward(self) -> torch.Tensor:
        training = self.training
        with torch.no_grad():
            sound = waves.spoken(
                training.store, *self.pieces, self.speeds, self.counts, self.length
            )
            sound = waves.voices(sound, training.recipe.changed_share)
            sound = waves.hissing(sound, self.counts)
            sound = waves.elsewhere(sound, self.counts, training.noises, training.shares)
            sound = waves.normalized(sound, self.counts)
            count = int(frames(torch.tensor(self.length)))
            masked = hidden_frames(self.rows, count, training.masked)
        # Weights kept in half precision would be those of the recording.
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            return emissions(training.model, sound, self.counts, masked).float()

    def take(self, plan: Plan) -> None:
        for place, values in (
            (self.pieces, plan.pieces),
            (self.speeds, plan.speeds),
            (self.counts, plan.counts),
        ):
            place.copy_(torch.from_numpy(values).pin_memory(), non_blocking=True)

    def step(self, plan: Plan) -> torch.Tensor:
        self.take(plan)
        self.there.replay()
        outputs = self.emissions.detach().requires_grad_()
        logits = outputs.log_softmax(-1).transpose(0, 1)
        letters = torch.tensor([letter for row in plan.labels for letter in row]).pin_memory()
        loss = torch.ctc_loss(
            logits,
            letters.to(self.training.device, non_blocking=True),
            frames(torch.from_numpy(plan.counts)).tolist(),
            [len(row) for row in plan.labels],
            self.training.model.config.pad_token_id,
            1,  # the mean
            True,
        )
        (gradient,) = torch.autograd.grad(loss, outputs)
        self.gradient.copy_(gradient)
        self.back.replay()
        return loss.detach()


class Training:
    """One run, from `output`'s last state if there is one."""

    def __init__(
        self, model: Wav2Vec2ForCTC, batches: Batches, recipe: Recipe, output: Path
    ) -> None:
        self.device = torch.device("cuda")
        self.recipe, self.plans, self.path = recipe, Plans(batches, recipe), output / STATE
        self.store = _laid_out([one for corpus in batches.corpora for one in corpus.utterances])
        self.noises = _noises(batches.elsewhere.noises)
        self.shares = vars(batches.elsewhere)
        self.model = model.to(self.device).train()
        self.masked = torch.zeros((), device=self.device)  # share of the frames
        self.weights = Weights(self.model)
        rng = np.random.default_rng(recipe.seed)
        self.lanes = {length: Lane(self, self.plans.plan(rng, length)) for length in LENGTHS}
        self.step, self.seconds = 0, 0.0
        self._load()

    def run(self) -> None:
        """To the end; who is interrupted goes on later from where that was."""
        try:
            self._run()
        except KeyboardInterrupt:
            self._save()
            raise
        self._save()

    def _run(self) -> None:
        began, saved, sums, heard = time.monotonic() - self.seconds, self.seconds, 0.0, 0.0
        for plan in coming(self.plans, self.step):
            done = self._done()
            if done >= 1:
                break
            self.weights.rate.fill_(rate(done, self.step, self.recipe))
            masking = self.step >= self.recipe.mask_steps
            self.masked.fill_(self.recipe.masked if masking else 0.0)
            sums = sums + self.lanes[plan.length].step(plan)
            heard += plan.counts.sum() / SAMPLE_RATE
            self.step += 1
            self.seconds = time.monotonic() - began
            if self.step % REPORT == 0:
                log.info(
                    "step %d, %.0f s, %.0f h heard: loss %.3f",
                    self.step,
                    self.seconds,
                    heard / 3600,
                    float(sums) / REPORT,
                )
                sums = 0.0
            if self.seconds - saved > SAVE:
                self._save()
                saved = self.seconds

    def _done(self) -> float:
        """How much of the run, of 1."""
        if self.recipe.minutes:
            return self.seconds / (60 * self.recipe.minutes)
        return self.step / self.recipe.steps

    def _save(self) -> None:
        state = self.weights.optimizer.state[self.weights.whole]
        kept = {"weights": self.weights.whole.detach(), **state}
        numbers = torch.tensor([self.step, self.seconds], dtype=torch.double)
        with whole(self.path) as partial:
            save_file({**kept, "numbers": numbers}, partial)

    def _load(self) -> None:
        """The last state; without one, an optimizer that has seen nothing but the recordings."""
        state = self.weights.optimizer.state[self.weights.whole]
        kept = load_file(self.path, device="cuda") if self.path.exists() else {}
        with torch.no_grad():
            for name, tensor in state.items():
                tensor.copy_(kept[name]) if kept else tensor.zero_()
            if kept:
                self.weights.whole.copy_(kept["weights"])
                step, self.seconds = kept["numbers"].tolist()
                self.step = int(step)
                log.info("Going on from step %d in %s", self.step, self.path.parent)


def rate(done: float, step: int, recipe: Recipe) -> float:
    """The learning rate: up, level, and down to nothing, as the Trainer's warmup_stable_decay."""
    falling = recipe.decay_steps / recipe.steps
    down = min(1.0, (1 - done) / falling) if falling else 1.0
    up = min(1.0, step / max(1, recipe.warmup_steps))
    return recipe.learning_rate * min(up, down)


def _laid_out(utterances: list) -> torch.Tensor:
    start = 0
    for utterance in utterances:
        utterance.start = start
        start += len(utterance)
    store = torch.empty(start, dtype=torch.int16, device="cuda")
    for first in range(0, len(utterances), 10_000):
        some = utterances[first : first + 10_000]
        piece = np.concatenate([utterance.samples for utterance in some])
        store[some[0].start : some[0].start + len(piece)] = torch.from_numpy(piece)
    return store


def _noises(recordings: list[np.ndarray]) -> waves.Noises:
    counts = np.array([len(one) for one in recordings])
    whole = (np.concatenate(recordings).clip(-1, 1) * 32767).astype(np.int16)
    tensors = (whole, np.cumsum(counts) - counts, counts)
    return waves.Noises(*(torch.from_numpy(values).cuda() for values in tensors))


def train(model: Wav2Vec2ForCTC, batches: Batches, recipe: Recipe, output: Path) -> None:
    """Train `model` in place. Raises OptionError when the GPU's memory is too small for that."""
    try:
        Training(model, batches, recipe, output).run()
    except torch.OutOfMemoryError as error:
        hours = sum(corpus.hours for corpus in batches.corpora)
        raise OptionError(
            f"{hours:.0f} h of speech and batches of {recipe.batch_seconds:g} s are too much for "
            "the GPU's memory: give a smaller --batch_seconds, or less --synthetic speech."
        ) from error
