"""How good is it? A model's words against what was really said, with how sure we can be of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jiwer
import numpy as np

from asr_core import data, text
from asr_core.errors import AsrError, DataError

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

DRAWS = 1_000  # of the bootstrap


@dataclass(frozen=True)
class Utterance:
    """One row: what was said, what was heard, and the counts that error rates are made of."""

    name: str
    reference: str
    hypothesis: str
    duration: float  # seconds
    speaker: str
    word_errors: int
    words: int
    character_errors: int
    characters: int


@dataclass(frozen=True)
class Evaluation:
    """Error rates of a model on a dataset; intervals hold 95 % of bootstrap draws."""

    model: str
    dataset: str
    wer: float
    wer_interval: tuple[float, float]
    cer: float
    cer_interval: tuple[float, float]
    utterances: int
    audio_seconds: float
    seconds: float  # spent recognising
    failed: dict[str, str]  # rows that could not be transcribed, and why
    rows: tuple[Utterance, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        low, high = self.wer_interval
        return (
            f"WER {self.wer:.3f} ({low:.3f} to {high:.3f})  CER {self.cer:.3f}  "
            f"{self.utterances} utterances, {self.audio_seconds / 60:.1f} minutes in "
            f"{self.seconds:.1f} s ({self.audio_seconds / max(self.seconds, 1e-9):.0f}x real time)"
        )


def evaluate(
    recognizer: Recognizer,
    rows: Iterable[dict[str, Any]],
    dataset: str = "",
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Transcribe `rows` (of `data.load`) and compare, in the spelling of the model.

    Rows without a transcript are passed over; those that cannot be read are counted in `failed`.
    Raises DataError when nothing is left to compare.
    """
    spelling = text.Spelling.of(recognizer.processor.tokenizer)
    done: list[Utterance] = []
    failed: dict[str, str] = {}
    began = time.perf_counter()
    for index, row in enumerate(rows):
        name = data.row_name(row, index)
        reference = text.normalize(row["transcription"] or "", spelling)
        if reference:
            try:
                heard = recognizer.transcribe(data.row_source(row))
            except AsrError as error:
                failed[name] = str(error)
            else:
                hypothesis = text.normalize(heard.text, spelling)
                speaker = str(row.get("speaker") or "")
                done.append(compare(name, reference, hypothesis, heard.duration, speaker))
        if progress:
            progress(index + 1)
    seconds = time.perf_counter() - began
    if not done:
        raise DataError(
            f"There is nothing to compare in {dataset or 'the dataset'}: no row has a transcript "
            "and a recording that can be read."
        )
    words = [(row.word_errors, row.words) for row in done]
    characters = [(row.character_errors, row.characters) for row in done]
    return Evaluation(
        model=recognizer.name,
        dataset=dataset,
        wer=rate(words),
        wer_interval=bootstrap(words),
        cer=rate(characters),
        cer_interval=bootstrap(characters),
        utterances=len(done),
        audio_seconds=round(sum(row.duration for row in done), 3),
        seconds=round(seconds, 3),
        failed=failed,
        rows=tuple(done),
    )


def compare(
    name: str, reference: str, hypothesis: str, duration: float = 0.0, speaker: str = ""
) -> Utterance:
    """Count the errors of one hypothesis. `reference` must not be empty."""
    words = jiwer.process_words(reference, hypothesis)
    characters = jiwer.process_characters(reference, hypothesis)
    return Utterance(
        name,
        reference,
        hypothesis,
        duration,
        speaker,
        words.substitutions + words.deletions + words.insertions,
        words.substitutions + words.deletions + words.hits,
        characters.substitutions + characters.deletions + characters.insertions,
        characters.substitutions + characters.deletions + characters.hits,
    )


def rate(counts: list[tuple[int, int]]) -> float:
    """Errors per word (or character) of (errors, length) pairs taken together."""
    errors, lengths = np.sum(counts, axis=0)
    return float(errors / lengths)


def bootstrap(counts: list[tuple[int, int]], draws: int = DRAWS) -> tuple[float, float]:
    """The interval that holds 95 % of the rates of redrawn test sets (Bisani and Ney, 2004)."""
    table = np.asarray(counts)
    drawn = np.random.default_rng(0).integers(len(table), size=(draws, len(table)))
    sums = table[drawn].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    return float(low), float(high)
