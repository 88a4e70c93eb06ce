"""How good is our way to fine-tune? The guide's beside it, on the same clips, in one run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import torch
from transformers import AutoProcessor, ProcessorMixin, Wav2Vec2Config, Wav2Vec2ForCTC

from asr_core import data, flags, models, preparation, pretrained, training
from asr_core.frames import Frames

CLIPS = 32
EPOCHS = 4  # of learning, for the error rate
# The guide's half precision is of a kind that does nothing without a GPU.
FULL = () if torch.cuda.is_available() else ("--use_cpu", "True")
WAYS = {
    "guide: float32, dropout, all of it learns, 8 clips": ("--preset", "guide", *FULL),
    "ours: half precision, masking only, frozen encoder, 64 s": ("--preset", "recommended"),
}
ONLY_LEARN = (
    "--max_steps -1 --eval_strategy no --save_strategy no --load_best_model_at_end False "
    "--patience 0 --logging_strategy epoch"
).split()
GUIDE_WARM_UP = 0.25  # 500 of 2000 steps


@dataclass(frozen=True)
class Row:
    """One way to train."""

    name: str
    speed: float  # seconds of audio learnt from in a second, in the median round
    waiting: float  # the share of the time in which the model waited for recordings


@dataclass(frozen=True)
class Accuracy:
    """(WER, CER) of a model that learnt from `utterances`, before and after each way."""

    head: str  # "fresh", as the guide's on facebook/wav2vec2-base, or "trained"
    utterances: int
    tested: int  # other utterances, on which the rates are measured
    before: tuple[float, float]
    after: tuple[tuple[float, float], ...]


def measure(rounds: int) -> list[Row]:
    """Time both ways in turns; random weights of wav2vec2-base's shape."""
    processor = _processor()
    clips = _prepare(data.load("sample", split=f"train[:{CLIPS}]"), processor)
    paces: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds + 1):
            for name, way in WAYS.items():
                trainer = _trainer(way, folder, processor, clips, clips, base=True)
                training.run(trainer, None)
                logged = trainer.state.log_history[0]
                paces[name].append((logged["audio_seconds_per_second"], logged["waiting"]))
    # The first round warms up.
    return [Row(name, *np.median(taken[1:], axis=0)) for name, taken in paces.items()]


def accuracy(
    head: str,
    dataset: str = "sample",
    test: str = "sample",
    most: int | None = None,
) -> Accuracy:
    """What the embedded model learns from `most` rows of `dataset`, the same ones both ways.

    With a "fresh" head it must learn the letters anew. The test rows are of the split "test" in
    the sample, and all that there are in any other.
    """
    processor = _processor()
    some = "train" if most is None else f"train[:{most}]"
    train = _prepare(data.load(dataset, split=some), processor)
    tests = data.load(test, split="test" if test == "sample" else "train")
    tests = _prepare(tests, processor)
    before, after = (0.0, 0.0), []
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS.values():
            # The learning rate goes its whole course, and not only the beginning of it.
            course = ["--num_train_epochs", str(EPOCHS)]
            course += ["--warmup_steps", str(GUIDE_WARM_UP)] if "guide" in way else []
            trainer = _trainer((*way, *course), folder, processor, train, tests)
            if head == "fresh":
                torch.manual_seed(0)
                trainer.model.lm_head.reset_parameters()
            before = _rates(trainer)
            training.run(trainer, None)
            after.append(_rates(trainer))
    return Accuracy(head, EPOCHS * len(train), len(tests), before, tuple(after))


def _rates(trainer: training.CTCTrainer) -> tuple[float, float]:
    measured = trainer.evaluate()
    return measured["eval_wer"], measured["eval_cer"]


def disk() -> tuple[int, int]:
    """Bytes that prepared clips take on disk: as the guide's float lists, and as ours."""
    with tempfile.TemporaryDirectory() as folder:
        rows = data.load("sample", split="train")
        path = str(Path(folder, "rows.parquet"))
        rows.to_parquet(path)
        rows = datasets.load_dataset("parquet", data_files=path, split="train", cache_dir=folder)
        prepared = _prepare(rows, _processor())
        ours = sum(Path(file["filename"]).stat().st_size for file in prepared.cache_files)
        lists = sum(prepared["length"][:]) * np.dtype(np.float32).itemsize
    return int(lists), ours


def table(rows: list[Row], learnt: list[Accuracy]) -> str:
    """Markdown: speed, its ratio to the guide, waiting, and error rates."""
    titles = [
        f"WER / CER after {one.utterances:,} utterances, {one.head} head, on {one.tested} others"
        for one in learnt
    ]
    lines = [
        f"| fine-tuning | audio s per s | ratio | waiting for audio | {' | '.join(titles)} |",
        f"| --- | ---: | ---: | ---: |{' ---: |' * len(learnt)}",
        f"| before | | | | {_rates_of(one.before for one in learnt)} |",
    ]
    lines += [
        f"| {row.name} | {row.speed:.2f} | {row.speed / rows[0].speed:.1f} | {row.waiting:.1%} "
        f"| {_rates_of(one.after[index] for one in learnt)} |"
        for index, row in enumerate(rows)
    ]
    return "\n".join(lines)


def _rates_of(pairs: Iterable[tuple[float, float]]) -> str:
    return " | ".join(f"{wer:.3f} / {cer:.3f}" for wer, cer in pairs)


def _processor() -> ProcessorMixin:
    return AutoProcessor.from_pretrained(models.EMBEDDED_FOLDER)


def _prepare(rows: datasets.Dataset, processor: ProcessorMixin) -> datasets.Dataset:
    """Ready for the embedded model, and so for wav2vec2-base, which makes more frames of them."""
    frames = Frames.of(models.load_config(models.EMBEDDED), processor.feature_extractor)
    limits = preparation.Limits(longest=flags.Options.longest)
    return preparation.prepare(rows, processor, frames, limits).rows


def _trainer(
    way: tuple[str, ...],
    folder: str,
    processor: ProcessorMixin,
    train: datasets.Dataset,
    test: datasets.Dataset,
    base: bool = False,
) -> training.CTCTrainer:
    """The very trainer that `train.py` makes: of wav2vec2-base's shape, or the embedded model."""
    one = () if "--num_train_epochs" in way else ("--num_train_epochs", "1")
    options, arguments = flags.parse(
        [*ONLY_LEARN, *way, *one, "--model", models.EMBEDDED, "--output_dir", folder]
    )
    if base:
        torch.manual_seed(0)
        # In these facebook/wav2vec2-base differs from the defaults.
        config = Wav2Vec2Config(activation_dropout=0.0, final_dropout=0.0)
        config.vocab_size = len(processor.tokenizer)
        pretrained.configure(config, options, processor)
        model = Wav2Vec2ForCTC(config)
        pretrained.freeze(model, options.freeze)
    else:
        model, _ = pretrained.load_model(options, processor)
    return training.make_trainer(options, arguments, model, processor, train, test)
