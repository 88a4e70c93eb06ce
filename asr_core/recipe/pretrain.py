"""Train the embedded model, a `Wav2Vec2ForCTC`, on synthetic and human speech.

It grows from Moonshine's encoder (`transplant`), learns to spell, and gives up what wav2vec 2.0 has
no place for (`rotation`). Every batch is a function of its number alone (`Batches`), so a run that
was interrupted goes on from its last checkpoint, and more steps or data need no bookkeeping.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from transformers import (
    Trainer,
    TrainerCallback,
    TrainingArguments,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from asr_core import models, resuming, training
from asr_core.errors import DataError, OptionError
from asr_core.files import share_weights
from asr_core.recipe import graphs, moonshine, teacher
from asr_core.recipe.batches import Batches
from asr_core.recipe.rotation import fading, share_at
from asr_core.recipe.settings import Recipe
from asr_core.recipe.transplant import add_rotation, shape, transplant
from asr_core.watch import Interruption

log = logging.getLogger("asr_core")

# The characters of facebook/wav2vec2-base-960h, in its order.
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
NEW = ("lm_head", "pos_conv", "q_proj", "k_proj")  # of what Moonshine has not
SPOKEN = 20  # utterances that show how large things are when weights are transplanted


def config(masked: float = 0.05, dropout: float = 0.0, layers: int = 6) -> Wav2Vec2Config:
    """The guide's architecture in the shape of Moonshine tiny, frames of 24 ms: 8.3 M parameters,
    and 1.1 M for each of the `layers` that it is `grown` by.

    `masked` is the share of frames that SpecAugment hides. Without `dropout` a CPU saves the tenth
    of its time that drawing the random numbers takes.
    """
    return Wav2Vec2Config(
        **{**shape(), "num_hidden_layers": layers},
        vocab_size=len(VOCABULARY),
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        conv_bias=True,
        feat_extract_norm="layer",  # group norm would see the padding of a batch
        do_stable_layer_norm=True,
        hidden_dropout=dropout,
        attention_dropout=0.0,
        activation_dropout=dropout,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=True,
        mask_time_prob=masked,  # from `MaskLater` on
        mask_time_length=5,
        mask_feature_prob=0.0,
        mask_feature_length=10,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
    )


class Framed(nn.Conv1d):
    """The convolution as a product with cut-out windows: its gradient takes a CPU half the time."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        windows = hidden.transpose(1, 2).unfold(1, self.kernel_size[0], self.stride[0])
        weight = self.weight.flatten(1)
        return nn.functional.linear(windows.flatten(2), weight, self.bias).transpose(1, 2)


def processor(folder: Path) -> Wav2Vec2Processor:
    """The processor of the guide, with its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({token: i for i, token in enumerate(VOCABULARY)}))
    made = Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True),
        Wav2Vec2CTCTokenizer(str(vocabulary)),
    )
    made.save_pretrained(folder)
    return made


class Tuition(Trainer):
    """The Trainer, whose model attends less and less by rotation, and may have a teacher."""

    recipe = Recipe()

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        recipe, step, attentions = self.recipe, self.state.global_step, fading(model)
        share = share_at(step, recipe.fade_from, recipe.fade_to)
        for attention in attentions:
            attention.share = share
        outputs = model(**inputs, output_hidden_states=hasattr(model, "teacher"))
        loss = outputs.loss
        if share:
            loss = loss + recipe.imitation_weight * sum(a.distance for a in attentions)
        if hasattr(model, "teacher"):
            with self.accelerator.autocast():
                lesson = model.teacher(**inputs)
                weight = 1 - share_at(step, recipe.taught_from, recipe.taught_to)
                loss = loss + lesson.loss + model.teacher.distance(lesson, outputs, weight)
        return (loss, outputs) if return_outputs else loss


class NewFirst(TrainerCallback):
    """What Moonshine has not learns faster while it is new, and at the very start alone."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def on_step_begin(self, args, state, control, optimizer=None, **_):
        old, new = optimizer.param_groups
        if state.global_step < self.recipe.new_steps:
            old["lr"] = 0.0
        if state.global_step < self.recipe.fade_to:
            new["lr"] = self.recipe.new_rate


class MaskLater(TrainerCallback):
    """SpecAugment after `mask_steps`: before the model has found the letters it only hinders."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe

    def on_step_begin(self, args, state, control, model=None, **_):
        masking = state.global_step >= self.recipe.mask_steps
        model.config.mask_time_prob = self.recipe.masked if masking else 0.0


def optimizer(model: nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """AdamW with two groups: what came from Moonshine, and what is new."""
    groups: tuple[list, list] = ([], [])
    for name, weight in model.named_parameters():
        is_new = any(part in name for part in NEW)
        is_new = is_new and ".rotary." not in name and not name.startswith("teacher.")
        groups[is_new].append(weight)
    return torch.optim.AdamW(
        [{"params": group} for group in groups],
        learning_rate,
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=True,
    )


def pretrain(
    recipe: Recipe,
    speech: Path,
    synthetic: Path,
    noise: Path,
    output: Path,
    start: Path | None = None,
    source: str | None = None,
    taught_by: str | None = None,
) -> None:
    """Train into `output`: from its last checkpoint when there is one, else from `start`, a model
    that this made, else from Moonshine at `source` (see `moonshine.load`); `taught_by` a teacher
    that learns with it (see `teacher.load`), if any."""
    if not start and not source:
        raise DataError("Say what to grow from: --moonshine or --start.")
    if not start and recipe.steps < recipe.fade_to:
        raise OptionError(
            f"--steps {recipe.steps} ends before the rotation is gone: --fade_to "
            f"{recipe.fade_to} must not be later."
        )
    cuda = torch.cuda.is_available()
    as_graphs = cuda and start and not taught_by
    if recipe.minutes and not as_graphs:
        raise OptionError("--minutes is for a GPU, with --start and no --teacher: give --steps.")
    torch.manual_seed(recipe.seed)
    encoder = None if start else moonshine.load(source)
    prepared = processor(output)
    if start:
        recipe = replace(recipe, new_steps=0, fade_from=0, fade_to=0)
        given = _load(start)
        depth = len(given.wav2vec2.encoder.layers)
        model = Wav2Vec2ForCTC(config(recipe.masked, recipe.dropout, depth))
        model.load_state_dict(given.state_dict())
    else:
        model = Wav2Vec2ForCTC(config(recipe.masked, recipe.dropout))
    batches = Batches(recipe, prepared, sorted(speech.glob("*_train.parquet")), synthetic, noise)
    if encoder:
        add_rotation(model, encoder.config)
        transplant(encoder, model, batches.examples(SPOKEN))
    if taught_by:
        model.teacher = teacher.load(taught_by, model.config)
    convolutions = [layer.conv for layer in model.wav2vec2.feature_extractor.conv_layers]
    for convolution in convolutions:
        convolution.__class__ = Framed
    log.info("%.1f M parameters", sum(p.numel() for p in model.parameters()) / 1e6)
    half = cuda or models.fast_bfloat16()
    log.info("On a %s, in %s", "GPU" if cuda else "CPU", "bfloat16" if half else "float32")
    if as_graphs:
        graphs.train(model, batches, recipe, output)
        save(model, prepared, output)
        return
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=recipe.steps,
        per_device_train_batch_size=1,  # an item is a batch
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={
            "num_decay_steps": recipe.decay_steps,
            "decay_type": "linear",
            "min_lr_ratio": 0.01,
        },
        warmup_steps=recipe.warmup_steps,
        max_grad_norm=2.0,
        bf16=half,
        use_cpu=not cuda,
        dataloader_num_workers=max(1, len(os.sched_getaffinity(0)) - 1) if cuda else 1,
        dataloader_prefetch_factor=4,
        remove_unused_columns=False,
        logging_steps=50,
        logging_nan_inf_filter=False,  # would wait for the GPU at every step
        save_steps=500,
        save_total_limit=3,
        report_to="none",
        seed=recipe.seed,
    )
    trainer = Tuition(
        model=model,
        args=arguments,
        optimizers=(optimizer(model, recipe.learning_rate), None),
        train_dataset=batches,
        data_collator=lambda items: items[0],
        callbacks=[NewFirst(recipe), MaskLater(recipe), Interruption()],
    )
    trainer.recipe = recipe
    checkpoint = resuming.last_checkpoint(output)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if training.interrupted(trainer):
        raise KeyboardInterrupt  # a checkpoint is kept, but no model: it may not be one yet
    if taught_by:
        model.teacher.save(output)
    save(model, prepared, output)


def export(checkpoint: Path, output: Path) -> None:
    """Put a checkpoint of a run, from when the rotation is gone, into the form that is shipped.

    Raises DataError where it is no model that this made."""
    save(_load(checkpoint), processor(output), output)


def average(folders: list[Path], output: Path) -> None:
    """The mean of models of which one began as the other, into `output`: it spells better than
    either (Wortsman et al., 2022). Raises DataError where one is no model that this made."""
    loaded = [_load(folder) for folder in folders]
    model = loaded[0]
    states = [one.state_dict() for one in loaded]
    if any(state.keys() != states[0].keys() for state in states):
        raise DataError("Models of which one has more layers than the other have no mean.")
    mean = {name: sum(state[name] for state in states) / len(states) for name in states[0]}
    model.load_state_dict(mean)
    save(model, processor(output), output)


def grow(folder: Path, layers: int, output: Path) -> None:
    """A model of more `layers` that hears as that in `folder` does, into `output`.

    New layers are copies of those that they follow, evenly spread, and add nothing yet: what they
    would say is multiplied by zero, from which they learn (Wu et al., 2024, "LLaMA Pro"). Raises
    OptionError for fewer layers than there are, DataError where it is no model that this made."""
    given = _load(folder)
    old = given.wav2vec2.encoder.layers
    if layers <= len(old):
        raise OptionError(f"--layers {layers} is no more than the {len(old)} that {folder} has.")
    model = Wav2Vec2ForCTC(config(layers=layers))
    rest = {k: v for k, v in given.state_dict().items() if ".encoder.layers." not in k}
    model.load_state_dict(rest, strict=False)
    before = -1
    for index, layer in enumerate(model.wav2vec2.encoder.layers):
        source = ((index + 1) * len(old) - 1) // layers
        layer.load_state_dict(old[source].state_dict())
        if source == before:  # a copy
            for silent in (layer.attention.out_proj, layer.feed_forward.output_dense):
                nn.init.zeros_(silent.weight)
                nn.init.zeros_(silent.bias)
        before = source
    save(model, processor(output), output)


def _load(folder: Path) -> Wav2Vec2ForCTC:
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist: give the folder of a model that this made.")
    try:
        depth = Wav2Vec2Config.from_pretrained(folder).num_hidden_layers
        ours = config(layers=depth)
        return Wav2Vec2ForCTC.from_pretrained(folder, config=ours, dtype=torch.float32)
    except (OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{folder} is no model that this made: {reason}") from error


def save(model: Wav2Vec2ForCTC, prepared: Wav2Vec2Processor, output: Path) -> None:
    """Half precision, in files of less than 10 MB, with masking ready for who fine-tunes it."""
    plain = Wav2Vec2ForCTC(config(layers=len(model.wav2vec2.encoder.layers)))
    weights = model.state_dict()
    plain.load_state_dict({name: weights[name] for name in plain.state_dict()})  # no rotation
    plain.half().save_pretrained(output, max_shard_size="9MB")
    share_weights(output)
    # Stored in half precision but loaded in full: a CPU cannot convolve the guide's float32 input
    # with float16 weights.
    path = output / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "float32"}, indent=2))
    prepared.save_pretrained(output)
