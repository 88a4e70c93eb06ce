"""Rows made ready to learn from: what cannot be learnt is left out, the rest gets labels.

Recordings are read once to be checked and measured, and again when a batch needs them; what is
kept of them is only a length and a checksum, so prepared data takes hardly any room.
"""

from __future__ import annotations

import errno
import logging
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import audio, data, text
from asr_core.errors import AudioError, DataError

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

MISSING = "missing"
UNSPELT = "without a character the model can spell"
REMEDY = "--vocabulary data makes it learn to"


@dataclass(frozen=True)
class Limits:
    """Seconds of audio that a row must have."""

    shortest: float = audio.SHORTEST
    longest: float = math.inf


@dataclass(frozen=True)
class Prepared:
    """Rows with `labels`, `length` (samples) and `checksum` (of these), and what was left out.

    `dropped` maps a reason to the names of the rows it holds for; `damaged` are rows that stay.
    `state` is how many rows there were before, and a checksum of their names and transcripts.
    """

    rows: Dataset
    dropped: dict[str, list[str]]
    outside: Counter[str]  # characters that have no token
    damaged: tuple[str, ...] = ()  # names of those that may not say all of their transcript
    sought: str = ""  # where the first recording was looked for that is missing
    state: dict[str, int] = field(default_factory=dict)  # of all rows, by which they are known


@dataclass(frozen=True)
class _Examine:
    """One row's labels and length, or what is wrong with it."""

    processor: Any
    frames: Any
    limits: Limits
    spelling: text.Spelling
    files_state: int  # what is known of other files is not to be taken for these
    version: int = 4  # of what is found out: the cache of `datasets` sees values, not code

    def __call__(self, row: dict[str, Any], index: int) -> dict[str, Any]:
        name = data.row_name(row, index)
        transcript = text.normalize(row["transcription"] or "", self.spelling)
        labels = self.processor.tokenizer(transcript).input_ids if transcript else []
        source = data.row_source(row)
        recording = audio.Recording(source, name=name)
        rate = int(self.processor.feature_extractor.sampling_rate)
        problem, sought, length, checksum = "" if source else MISSING, "", 0, 0
        try:
            for block in recording.blocks(rate) if source else ():
                length += len(block)
                checksum = zlib.crc32(block.tobytes(), checksum)
        except AudioError as error:
            problem = "too short" if recording.read else "undecodable"
            if _is_missing(source):  # often all of them, for one reason, which is told once
                problem, sought = MISSING, source or ""
            else:
                log.warning("%s", error)
        for warning in recording.warnings:
            log.warning("%s", warning)
        return {
            "transcription": transcript,
            "labels": labels,
            "length": length,
            "checksum": checksum,
            "name": name,
            "row": index,
            "problem": problem or self._problem(row, labels, length, recording),
            "sought": sought,
            "damaged": bool(recording.warnings),
        }

    def _problem(
        self, row: dict[str, Any], labels: list[int], length: int, recording: audio.Recording
    ) -> str:
        if not (row["transcription"] or "").strip():
            return "without a transcript"
        if not text.is_spelt(labels, self.processor.tokenizer):
            return UNSPELT
        if recording.silent:  # it would teach to invent what is written
            return "silent"
        seconds = length / int(self.processor.feature_extractor.sampling_rate)
        if seconds < self.limits.shortest:
            return f"shorter than {self.limits.shortest:g} s"
        if seconds > self.limits.longest:
            return f"longer than {self.limits.longest:g} s"
        if text.frames_needed(labels) > self.frames(length):
            return "with more characters than frames"
        return ""


def _is_missing(source: audio.Source | None) -> bool:
    try:
        return source is None or (isinstance(source, str) and not Path(source).exists())
    except OSError as error:  # it is there and may not be read, unless no file can be called that
        return error.errno == errno.ENAMETOOLONG


def prepare(
    rows: Dataset,
    processor: Any,
    frames: Any,
    limits: Limits | None = None,
    num_proc: int | None = None,
    part: str = "dataset",
    new_vocabulary: bool = False,
) -> Prepared:
    """Check every row and add its `labels` and its `length` in samples at the model's rate.

    `frames` maps a number of samples to the number of frames the model makes of them. Rows that
    cannot be learnt from (missing, undecodable, silent, nothing said, too short, too long, more
    labels than frames) are left out with their names. Raises DataError when none is left, which
    calls the rows `part` and says what helps, unless the vocabulary was made from the data already.
    """
    spelling = text.Spelling.of(processor.tokenizer)
    transcripts = [text.normalize(t or "", spelling) for t in rows["transcription"]]
    missing = text.unknown(transcripts, processor.tokenizer)

    examine = _Examine(processor, frames, limits or Limits(), spelling, data.files_state(rows))
    examined = rows.map(
        examine,
        with_indices=True,
        num_proc=num_proc,
        remove_columns="audio",
        desc="Reading the recordings",
    )
    problems = examined["problem"]
    dropped: dict[str, list[str]] = {}
    for name, problem in zip(examined["name"], problems, strict=True):
        if problem:
            dropped.setdefault(problem, []).append(name)
    sought = next(filter(None, examined["sought"]), "")
    kept = [i for i, problem in enumerate(problems) if not problem]
    if not kept:
        counts = {reason: f"{len(names)} {reason}" for reason, names in dropped.items()}
        if sought:
            counts[MISSING] += f" (the first is not at {sought})"
        reasons = ", ".join(counts.values())
        foreign = len(dropped.get(UNSPELT, ())) > len(rows) / 2 and not new_vocabulary
        remedy = f" ({REMEDY})" if foreign else ""
        raise DataError(f"No row of the {part} can be used: {reasons or 'it is empty'}{remedy}.")
    found = examined.select(kept)
    names = zip(found["name"], found["damaged"], strict=True)
    damaged = tuple(name for name, is_damaged in names if is_damaged)
    found = found.remove_columns(["problem", "damaged", "sought"]).with_transform(_Recordings(rows))
    state = {"rows": len(rows), "checksum": _checksum(examined["name"], rows["transcription"])}
    return Prepared(found, dropped, missing, damaged, sought, state)


def _checksum(*columns: Iterable[str | None]) -> int:
    """A number that changes with any cell, and with the order of the rows."""
    checksum = 0
    for cells in zip(*columns, strict=True):
        checksum = zlib.crc32(repr(cells).encode(), checksum)
    return checksum


@dataclass(frozen=True)
class _Recordings:
    """Gives rows their `audio` when they are read; `datasets` would write it to disk once more."""

    rows: Dataset

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        if "row" in batch:  # else some other column is read
            batch["audio"] = [self.rows[index]["audio"] for index in batch["row"]]
        return batch


@dataclass
class Features:
    """A row's recording as the model takes it, beside its labels; for the collator.

    `augment` changes the samples of a training row by random numbers that depend on `seed`, `epoch`
    and the row alone: a training that was cut short goes on with what it would have heard.
    """

    processor: Any
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    seed: int = 0
    epoch: int = 0

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        extractor = self.processor.feature_extractor
        samples: np.ndarray = audio.load(data.row_source(row), int(extractor.sampling_rate))
        if self.augment:
            seed = (self.seed, self.epoch, row["row"])
            samples = self.augment(samples, np.random.default_rng(seed))
        features = extractor(samples, sampling_rate=extractor.sampling_rate)
        name = extractor.model_input_names[0]
        return {name: features[name][0], "labels": row["labels"]}
