"""Train the embedded model from nothing: `Wav2Vec2ForCTC` on synthetic and human speech.

Every batch is a function of its number alone (`Batches`), so an interrupted run continues exactly
where it stopped, and more steps or more data need no bookkeeping.
"""

from __future__ import annotations

import io
import itertools
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import soundfile as sf
import soxr
import torch
from scipy.signal import fftconvolve
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

log = logging.getLogger("asr_core")

SAMPLE_RATE = 16_000  # Hz
HOP = 512  # samples between frames of the model: 32 ms
LONGEST = 17.0  # seconds of one utterance
# The characters of facebook/wav2vec2-base-960h, in its order.
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]


@dataclass(frozen=True)
class Recipe:
    """What one run does; the defaults made the model that comes with this repository."""

    steps: int = 40_000
    decay_steps: int = 8_000  # of them, at the end, with the learning rate falling to zero
    warmup_steps: int = 600
    learning_rate: float = 1.0e-3
    batch_seconds: float = 40.0
    human_share: float = 0.5  # of utterances
    clean_steps: int = 1_500  # before noise, reverberation and the telephone come in
    mask_steps: int = 8_000  # before SpecAugment comes in
    intermediate_weight: float = 0.3  # of the CTC loss at the middle layer (Lee & Watanabe, 2021)
    seed: int = 7


# Shares of the human utterances, by the start of the file's name.
HUMAN_SHARES = {"speechocean762": 0.36, "librispeech": 0.34, "wuw": 0.2, "speech_commands": 0.1}


def config() -> Wav2Vec2Config:
    """7 M parameters; six convolutions instead of seven and a frame every 32 ms, for the speed."""
    return Wav2Vec2Config(
        vocab_size=len(VOCABULARY),
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        conv_dim=(64, 96, 128, 160, 192, 192),
        conv_stride=(8, 4, 2, 2, 2, 2),
        conv_kernel=(16, 8, 3, 3, 3, 2),
        num_feat_extract_layers=6,
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
        hidden_dropout=0.05,
        attention_dropout=0.0,
        activation_dropout=0.05,
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


class Corpus:
    """Utterances of some parquet files in memory, sorted by duration."""

    def __init__(self, paths: list[Path]) -> None:
        utterances: list[tuple[np.ndarray, str]] = []
        for path in paths:
            for batch in pq.ParquetFile(path).iter_batches(columns=["audio", "transcription"]):
                for row in batch.to_pylist():
                    samples, rate = sf.read(io.BytesIO(row["audio"]["bytes"]), dtype="int16")
                    if rate != SAMPLE_RATE:
                        samples = soxr.resample(samples, rate, SAMPLE_RATE)
                    if len(samples) <= LONGEST * SAMPLE_RATE:
                        utterances.append((samples, _characters(row["transcription"])))
        utterances.sort(key=lambda utterance: len(utterance[0]))
        self.utterances = utterances
        self.lengths = np.array([len(samples) for samples, _ in utterances])

    def draw(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, str]:
        """An utterance of about `length` samples."""
        middle = np.searchsorted(self.lengths, length)
        reach = max(20, len(self.lengths) // 25)
        index = int(middle + rng.integers(-reach, reach + 1))
        samples, text = self.utterances[min(max(index, 0), len(self.utterances) - 1)]
        return samples.astype(np.float32) / 32768, text


class Words(Corpus):
    """Single words, drawn as short sequences, so that no word is learnt as a whole utterance."""

    def draw(self, rng: np.random.Generator, length: int) -> tuple[np.ndarray, str]:
        count = max(1, min(12, round(length / SAMPLE_RATE)))
        drawn = [self.utterances[i] for i in rng.integers(len(self.utterances), size=count)]
        samples = np.concatenate([samples for samples, _ in drawn]).astype(np.float32) / 32768
        return samples, " ".join(text for _, text in drawn)


def _characters(text: str) -> str:
    kept = "".join(c if c in VOCABULARY and c != "|" else " " for c in text.upper())
    return " ".join(kept.split())


class Batches(torch.utils.data.Dataset):
    """Batch `index`, made from its number: draws, augments and pads about `batch_seconds`."""

    def __init__(self, recipe: Recipe, speech: list[Path], synthetic: Path, noise: Path) -> None:
        self.recipe = recipe
        self.synthetic = Corpus(sorted(synthetic.glob("*.parquet")))
        self.human = [
            (Words if name == "speech_commands" else Corpus)(
                [path for path in speech if path.name.startswith(name)]
            )
            for name in HUMAN_SHARES
        ]
        self.noises = [_noise(path) for path in sorted(noise.glob("*.ogg"))]
        self.ids = {token: i for i, token in enumerate(VOCABULARY)} | {" ": 4}
        log.info(
            "%.1f h of synthetic and %.1f h of human speech, %d noises",
            self.synthetic.lengths.sum() / SAMPLE_RATE / 3600,
            sum(corpus.lengths.sum() for corpus in self.human) / SAMPLE_RATE / 3600,
            len(self.noises),
        )

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, index))
        length = int(self.synthetic.lengths[rng.integers(len(self.synthetic.lengths))])
        if rng.random() < 0.3:  # LibriSpeech's sentences are longer than the synthetic ones
            length = int(rng.uniform(4, 16) * SAMPLE_RATE)
        rows: list[tuple[np.ndarray, list[int]]] = []
        longest = 0
        while (len(rows) + 1) * longest <= recipe.batch_seconds * SAMPLE_RATE or not rows:
            corpus = self.synthetic
            if rng.random() < recipe.human_share:
                corpus = self.human[rng.choice(len(self.human), p=list(HUMAN_SHARES.values()))]
            samples, text = corpus.draw(rng, length)
            samples = change_speed(samples, rng.uniform(0.87, 1.15))
            if index >= recipe.clean_steps:
                samples = self.degrade(samples, rng)
            labels = [self.ids[c] for c in text]
            repeats = sum(a == b for a, b in itertools.pairwise(labels))
            if labels and len(labels) + repeats < len(samples) // HOP - 1:
                rows.append((samples, labels))
                longest = max(longest, len(samples))
        return pad(rows)

    def degrade(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Room, noise and telephone, each now and then."""
        if rng.random() < 0.25:
            samples = reverberate(samples, rng)
        if rng.random() < 0.4:
            noise = self.noises[rng.integers(len(self.noises))]
            noise = np.resize(np.roll(noise, rng.integers(len(noise))), len(samples))
            decibels = rng.uniform(3, 25)
            gain = np.sqrt(np.mean(samples**2) / (np.mean(noise**2) + 1e-10)) * 10 ** (
                -decibels / 20
            )
            samples = samples + gain * noise
        if rng.random() < 0.3:
            samples = telephone(samples, rng)
        return samples


def _noise(path: Path) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Faster and higher by `factor`, as a tape would be."""
    positions = np.arange(0, len(samples) - 1, factor, dtype=np.float32)
    return np.interp(positions, np.arange(len(samples)), samples).astype(np.float32)


def reverberate(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A room of 0.1 to 0.5 s: noise decaying by 60 dB behind the direct sound."""
    seconds = rng.uniform(0.1, 0.5)
    count = int(seconds * SAMPLE_RATE)
    tail = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    tail *= rng.uniform(0.1, 0.6) / np.sqrt(np.sum(tail**2))
    tail[0] = 1.0
    return fftconvolve(samples, tail.astype(np.float32))[: len(samples)].astype(np.float32)


def telephone(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz, more or less."""
    spectrum = np.fft.rfft(samples)
    frequencies = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    low, high = rng.uniform(100, 350), rng.uniform(3200, 3900)
    spectrum[(frequencies < low) | (frequencies > high)] *= 0.003
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32)


def pad(rows: list[tuple[np.ndarray, list[int]]]) -> dict[str, torch.Tensor]:
    """Normalised and padded as the feature extractor and the guide's collator would."""
    longest = max(len(samples) for samples, _ in rows)
    values = np.zeros((len(rows), longest), np.float32)
    mask = np.zeros((len(rows), longest), np.int64)
    labels = np.full((len(rows), max(len(ids) for _, ids in rows)), -100, np.int64)
    for i, (samples, ids) in enumerate(rows):
        values[i, : len(samples)] = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        mask[i, : len(samples)] = 1
        labels[i, : len(ids)] = ids
    arrays = {"input_values": values, "attention_mask": mask, "labels": labels}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


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
    model = Wav2Vec2ForCTC.from_pretrained(start) if start else Wav2Vec2ForCTC(config())
    log.info("%.1f M parameters", sum(p.numel() for p in model.parameters()) / 1e6)
    batches = Batches(recipe, sorted(speech.glob("*_train.parquet")), synthetic, noise)
    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(output),
        max_steps=recipe.steps,
        per_device_train_batch_size=1,  # an item is a batch
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="warmup_stable_decay",
        lr_scheduler_kwargs={"num_decay_steps": recipe.decay_steps, "min_lr_ratio": 0.01},
        warmup_steps=recipe.warmup_steps,
        adam_beta2=0.98,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=True,
        use_cpu=not cuda,
        dataloader_num_workers=8 if cuda else 1,
        dataloader_prefetch_factor=4,
        remove_unused_columns=False,
        logging_steps=100,
        save_steps=1000,
        save_total_limit=3,
        report_to="none",
        seed=recipe.seed,
    )
    trainer = IntermediateTrainer(
        model=model,
        args=arguments,
        train_dataset=batches,
        data_collator=lambda items: items[0],
        callbacks=[MaskLater(recipe.mask_steps)],
    )
    trainer.weight = recipe.intermediate_weight
    resume = any(output.glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=resume or None)
    model.config.mask_time_prob = 0.05
    model.half().save_pretrained(output, max_shard_size="9MB")
    prepared.save_pretrained(output)
