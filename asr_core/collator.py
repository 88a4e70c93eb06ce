"""Rows to padded tensors: inputs and labels padded apart, as CTC wants them."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

IGNORED = -100  # label of padding: torch's losses skip it


@dataclass
class DataCollatorCTCWithPadding:
    """The guide's collator.

    `prepare` turns a row into what the processor pads: `input_values` of shape (samples,) or
    `input_features` of shape (frames, bins), and `labels`. Decoding there and not beforehand
    keeps prepared data as small as the recordings, and puts the work into the DataLoader's
    workers. Returns tensors of shape (batch, samples) or (batch, frames, bins), their
    `attention_mask` where the model wants one or with `masked`, and `labels` of shape (batch,
    labels) with `IGNORED` behind the shorter ones.
    """

    processor: Any
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    padding: bool | str = "longest"
    masked: bool = False

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if torch.utils.data.get_worker_info():
            # Ctrl-C reaches every process of a terminal, and a host may ask all of a job to end:
            # the main one saves first, then ends these.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
        features = [self.prepare(row) for row in rows] if self.prepare else rows
        extractor = self.processor.feature_extractor
        name = extractor.model_input_names[0]
        # Lengths differ, so inputs and labels are padded apart, each by the part that knows how.
        batch = extractor.pad(
            [{name: row[name]} for row in features],
            padding=self.padding,
            return_attention_mask=self.masked or None,
            return_tensors="pt",
        )
        labels = self.processor.tokenizer.pad(
            [{"input_ids": row["labels"]} for row in features],
            padding=self.padding,
            return_tensors="pt",
        )
        batch["labels"] = labels["input_ids"].masked_fill(labels["attention_mask"].ne(1), IGNORED)
        return dict(batch)


@atexit.register
def _end_workers() -> None:
    """When the main process ends with an error, workers still wait for it to ask for batches.

    multiprocessing asks them to end, which they ignore, and waits until they do.
    """
    if hasattr(signal, "SIGCHLD"):  # torch's handler would call their end a crash of its own
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
