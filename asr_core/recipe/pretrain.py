"""Train the embedded model from nothing: `Wav2Vec2ForCTC` on synthetic and human speech.

Every batch is a function of its number alone (`Batches`), so an interrupted run continues exactly
where it stopped, and more steps or more data need no bookkeeping.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import librosa
import numpy as np
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

from asr_core import models
from asr_core.recipe.batches import SAMPLE_RATE, Batches
from asr_core.recipe.muon import Muon
from asr_core.recipe.settings import Recipe

log = logging.getLogger("asr_core")

BANDS = 64  # of the filter bank
# The characters of facebook/wav2vec2-base-960h, in its order.
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]


def config() -> Wav2Vec2Config:
    """The guide's architecture with 7 M parameters, and three convolutions instead of seven.

    The first sees 25 ms every 10 ms and starts as a filter bank (`filter_bank`); a frame is 30 ms.
    """
    return Wav2Vec2Config(
        vocab_size=len(VOCABULARY),
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        conv_dim=(4 * BANDS, 256, 256),
        conv_kernel=(400, 3, 5),
        conv_stride=(160, 1, 3),
        num_feat_extract_layers=3,
        conv_bias=True,
        feat_extract_norm="layer",  # group norm would see the padding of a batch
        feat_extract_activation="relu",  # gelu's backward pass took a fifth of the time on a CPU
        hidden_act="relu",
        do_stable_layer_norm=True,
        hidden_size=256,
        num_hidden_layers=8,
        num_attention_heads=4,
        intermediate_size=1024,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        hidden_dropout=0.0,  # drawing the random numbers took a tenth of the time on a CPU
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
        layerdrop=0.0,
        apply_spec_augment=True,
        mask_time_prob=0.05,  # from `MaskLater` on
        mask_time_length=4,
        mask_feature_prob=0.0,
        mask_feature_length=10,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
    )


def filter_bank() -> torch.Tensor:
    """Weights of shape (4 * BANDS, 1, 400) for the first convolution, to start from.

    Windowed cosines and sines, and their negatives, at mel-spaced frequencies: after the
    rectifier, the four of a band add up to about its magnitude. Learning it from nothing takes
    a small model hours of speech (Zeghidour et al., 2018, start from such filters too).
    """
    width = 400
    hertz = librosa.mel_frequencies(BANDS + 2, fmin=60, fmax=7600, htk=True)
    time = np.arange(width) - (width - 1) / 2
    filters = []
    for below, center, above in zip(hertz, hertz[1:], hertz[2:], strict=False):
        # The wider a band, the shorter its window; but 10 ms, or some of the sound would be lost.
        span = np.clip(4 * SAMPLE_RATE / (above - below), 160, width)
        window = np.where(np.abs(time) < span / 2, np.cos(np.pi * time / span) ** 2, 0)
        phase = 2 * np.pi * center / SAMPLE_RATE * time
        for wave in (np.cos(phase), np.sin(phase)):
            kernel = window * wave
            kernel *= max(center, 300) / 1000 / np.linalg.norm(kernel)  # speech falls with pitch
            filters += [kernel, -kernel]
    return torch.tensor(np.array(filters)[:, None], dtype=torch.float32)


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


class IntermediateTrainer(Trainer):
    """The Trainer with a second CTC loss at the middle layer, through the same head."""

    weight = 0.3

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        outputs = model(**inputs, output_hidden_states=True)
        middle = outputs.hidden_states[len(outputs.hidden_states) // 2]
        logits = model.lm_head(model.wav2vec2.encoder.layer_norm(middle))
        labels = inputs["labels"]
        seconds = inputs["attention_mask"].sum(-1)
        extra = torch.nn.functional.ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1),
            labels[labels >= 0],
            model._get_feat_extract_output_lengths(seconds),
            (labels >= 0).sum(-1),
            zero_infinity=True,
        )
        loss = outputs.loss + self.weight * extra
        return (loss, outputs) if return_outputs else loss


class MaskLater(TrainerCallback):
    """SpecAugment from `step` on: before the model has found the letters it only hinders."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, model=None, **_):
        masking = state.global_step >= self.step
        model.config.mask_time_prob = 0.06 if masking else 0.0
        model.config.mask_feature_prob = 0.03 if masking else 0.0


def pretrain(
    recipe: Recipe,
    speech: Path,
    synthetic: Path,
    noise: Path,
    output: Path,
    start: Path | None = None,
) -> None:
    """Train into `output`, from its last checkpoint when there is one, else from `start`."""
    torch.manual_seed(recipe.seed)
    prepared = processor(output)
    model = Wav2Vec2ForCTC(config())
    convolutions = [layer.conv for layer in model.wav2vec2.feature_extractor.conv_layers]
    with torch.no_grad():
        convolutions[0].weight.copy_(filter_bank())
    if start:
        weights = Wav2Vec2ForCTC.from_pretrained(start, dtype=torch.float32).state_dict()
        model.load_state_dict(weights)
    for convolution in convolutions:
        convolution.__class__ = Framed
    # In bfloat16 on a CPU, the fused attention is slower than the plain one, its gradient by far.
    model.set_attn_implementation("eager")
    log.info("%.1f M parameters", sum(p.numel() for p in model.parameters()) / 1e6)
    batches = Batches(recipe, prepared, sorted(speech.glob("*_train.parquet")), synthetic, noise)
    cuda = torch.cuda.is_available()
    half = cuda or models.fast_bfloat16()
    log.info("On a %s, in %s", "GPU" if cuda else "CPU", "bfloat16" if half else "float32")
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
        max_grad_norm=1.0,
        bf16=half,
        use_cpu=not cuda,
        dataloader_num_workers=8 if cuda else 1,
        dataloader_prefetch_factor=4,
        remove_unused_columns=False,
        logging_steps=50,
        save_steps=500,
        save_total_limit=3,
        report_to="none",
        seed=recipe.seed,
    )
    trainer = IntermediateTrainer(
        model=model,
        args=arguments,
        optimizers=(Muon(model, recipe.learning_rate), None),
        train_dataset=batches,
        data_collator=lambda items: items[0],
        callbacks=[MaskLater(recipe.mask_steps)],
    )
    trainer.weight = recipe.intermediate_weight
    resume = any(output.glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=resume or None)
    save(model, prepared, output)


def export(checkpoint: Path, output: Path) -> None:
    """Put a checkpoint of a run, finished or not, into the form that is shipped."""
    model = Wav2Vec2ForCTC.from_pretrained(checkpoint, config=config(), dtype=torch.float32)
    save(model, processor(output), output)


def save(model: Wav2Vec2ForCTC, prepared: Wav2Vec2Processor, output: Path) -> None:
    """Half precision, in files of less than 10 MB, with masking ready for who fine-tunes it."""
    model.config.update(config().to_diff_dict())
    model.half().save_pretrained(output, max_shard_size="9MB")
    # Stored in half precision but loaded in full: a CPU cannot convolve the guide's float32 input
    # with float16 weights.
    path = output / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "float32"}, indent=2))
    prepared.save_pretrained(output)
