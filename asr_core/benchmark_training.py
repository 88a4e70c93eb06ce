"""How fast is fine-tuning? The guide's step beside ours, on the same clips, in one run."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch
from transformers import (
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from asr_core import data, models, preparation, training
from asr_core.collator import DataCollatorCTCWithPadding
from asr_core.presets import RECOMMENDED

CLIPS = 16
GUIDE_BATCH = 8  # clips


@dataclass(frozen=True)
class Row:
    """One way to train: median seconds of a pass over the clips, and what that makes."""

    name: str
    seconds: float
    audio_seconds: float

    @property
    def speed(self) -> float:
        return self.audio_seconds / self.seconds


def measure(rounds: int = 3) -> list[Row]:
    """Time the guide's way and ours in turns; random weights of wav2vec2-base's shape."""
    processor = _processor()
    rows = data.load("sample", split=f"train[:{CLIPS}]")
    prepared = preparation.prepare(rows, processor, lambda samples: samples // 320).rows
    ways = {
        "guide: float32, all learns, 8 clips": _guide(processor, prepared),
        "ours: half precision, frozen encoder, by duration": _ours(processor, prepared),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for once in range(rounds + 1):
        for name, run in ways.items():
            began = time.perf_counter()
            run()
            if once:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    audio = sum(prepared["length"]) / 16_000
    return [Row(name, float(np.median(values)), audio) for name, values in seconds.items()]


def table(rows: list[Row]) -> str:
    """Markdown: audio-seconds trained per second, and the ratio to the guide."""
    lines = ["| training step | audio s per s | ratio |", "| --- | --- | --- |"]
    lines += [f"| {r.name} | {r.speed:.2f} | {r.speed / rows[0].speed:.1f} |" for r in rows]
    return "\n".join(lines)


def disk() -> tuple[int, int]:
    """Bytes that prepared clips take: as the guide's float lists, and as ours."""
    processor = _processor()
    rows = data.load("sample", split="train")
    prepared = preparation.prepare(rows, processor, lambda samples: samples // 320).rows
    lists = sum(prepared["length"]) * np.dtype(np.float32).itemsize
    # The recordings themselves are the dataset's, untouched; ours adds these columns to them.
    added = prepared.select_columns(["labels", "length", "name", "transcription"])
    buffer = io.BytesIO()
    added.to_parquet(buffer)
    return int(lists), buffer.tell()


def _processor() -> Wav2Vec2Processor:
    folder = models.EMBEDDED_FOLDER
    return Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer.from_pretrained(folder)
    )


def _model(**options: Any) -> Wav2Vec2ForCTC:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=32, ctc_loss_reduction="mean", ctc_zero_infinity=True, layerdrop=0.0, **options
    )
    return Wav2Vec2ForCTC(config).train()


def _guide(processor: Any, rows: datasets.Dataset) -> Callable[[], None]:
    model = _model()
    model.gradient_checkpointing_enable()
    collate = DataCollatorCTCWithPadding(processor)
    lists = [
        preparation.Features(processor)(row) for row in rows
    ]  # decoded beforehand, as the guide does
    order = np.argsort(rows["length"])[::-1].tolist()
    batches = [order[i : i + GUIDE_BATCH] for i in range(0, len(order), GUIDE_BATCH)]

    return _epoch(model, lambda batch: collate([lists[i] for i in batch]), batches, None)


def _ours(processor: Any, rows: datasets.Dataset) -> Callable[[], None]:
    model = _model()
    model.freeze_feature_encoder()
    collate = DataCollatorCTCWithPadding(processor, preparation.Features(processor))
    budget = RECOMMENDED["batch_seconds"] * 16_000
    batches = training.DurationBatches(rows["length"], budget, seed=0).batches
    dtype = torch.bfloat16 if torch.cuda.is_available() or models.fast_bfloat16() else None
    return _epoch(model, lambda batch: collate([rows[i] for i in batch]), batches, dtype)


def _epoch(model: Any, collate: Callable, batches: list, dtype: Any) -> Callable[[], None]:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-5)

    def run() -> None:
        for batch in batches:
            inputs = {name: value.to(device) for name, value in collate(batch).items()}
            with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
                loss = model(**inputs).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()

    return run
