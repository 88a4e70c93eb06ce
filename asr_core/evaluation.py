"""How good is it? A model's words against what was really said, with how sure we can be of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import audio, data, mistakes, text
from asr_core.errors import AsrError, DataError
from asr_core.scoring import (
    Utterance,
    bootstrap,
    character_counts,
    interval,
    rate,
    redrawn,
    score,
    word_counts,
)

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

MISSING = 10  # characters that are named of those that the model has not


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
    failed: dict[str, str]  # rows that could not be compared, and why
    rows: tuple[Utterance, ...]
    doubtful: dict[str, str] = field(default_factory=dict)  # rows that could, and what to know
    unspelt: float = 0.0  # share of the characters of the transcripts that the model has not
    missing: dict[str, int] = field(default_factory=dict)  # the commonest of these, how often

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `rows`, the longest part, come last."""
        values = asdict(self)
        rows = values.pop("rows")
        return values | {
            "by_duration": [asdict(group) for group in mistakes.by_duration(self.rows)],
            "by_speaker": [asdict(group) for group in mistakes.by_speaker(self.rows)],
            "confusions": asdict(mistakes.confusions(self.rows)),
            "worst": [row.name for row in mistakes.worst(self.rows)[:10]],
            "rows": rows,
        }

    @property
    def warning(self) -> str:
        """What a person must know to understand the numbers; "" for nothing."""
        if self.unspelt > text.FOREIGN:
            return (
                f"{self.model} cannot spell much of this, {self.unspelt:.0%} of the characters: "
                "take a model of that language, or fine-tune this one (train.py --vocabulary data)."
            )
        if self.missing:
            listed = ", ".join(f"{c!r} ({count:,})" for c, count in self.missing.items())
            return (
                f"{self.model} cannot spell {listed} of the transcripts: words with these count as "
                "errors, whatever is heard, unless they are written out."
            )
        return ""

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
) -> Evaluation:
    """Transcribe `rows` (of `data.load`), several at a time, and compare, in the model's spelling.

    Rows without a transcript and recordings that cannot be read are named in `failed`, those that
    lack a part of what was said, which counts as errors, or hold nothing in `doubtful`.
    Raises DataError when nothing is left to compare.
    """
    tokenizer = recognizer.processor.tokenizer
    spelling, spell = text.Spelling.of(tokenizer), speller(tokenizer)
    done: list[Utterance] = []
    failed: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    asked: deque[tuple[int, dict[str, Any], str]] = deque()  # the rows that are being heard

    def tell(told: dict[str, str], index: int, row: dict[str, Any], what: str) -> None:
        name = data.row_name(row, index)
        told[f"{name} (row {index})" if name in told else name] = what

    def spoken() -> Iterator[audio.Source | None]:
        for index, row in enumerate(rows):
            if reference := spell(row["transcription"] or ""):
                asked.append((index, row, reference))
                yield data.row_source(row)
            else:
                written = (row["transcription"] or "").strip()
                why = "Its transcript holds no words." if written else "It has no transcript."
                tell(failed, index, row, why)

    began = time.perf_counter()
    for heard in recognizer.transcribe_many(spoken(), return_errors=True):
        index, row, reference = asked.popleft()
        if isinstance(heard, AsrError):
            tell(failed, index, row, str(heard))
            continue
        if heard.warnings:
            tell(doubtful, index, row, " ".join(heard.warnings))
        speaker = str("" if row.get("speaker") is None else row["speaker"])
        hypothesis, name = spell(heard.text), data.row_name(row, index)
        done.append(score(index, name, reference, hypothesis, heard.duration, speaker))
    seconds = time.perf_counter() - began
    if not done:
        why = f" The first: {next(iter(failed.values()))}" if failed else ""
        raise DataError(
            f"There is nothing to compare in {dataset or 'the dataset'}: no row has a transcript "
            f"and a recording that can be read.{why}"
        )
    words, characters = word_counts(done), character_counts(done)
    said = "".join(text.normalize(row.reference, spelling) for row in done).replace(" ", "")
    missing = text.unknown([said], tokenizer)
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
        doubtful=doubtful,
        unspelt=round(missing.total() / len(said), 4),
        missing=dict(missing.most_common(MISSING)),
    )


def speller(tokenizer: Any) -> Callable[[str], str]:
    """What writes what was said and what was heard alike, in a model's spelling, to compare them.

    Korean is compared by syllables, whatever the model spells it with.
    """
    spelling = text.Spelling.of(tokenizer)
    return lambda said: text.compose(text.normalize(said, spelling))


def change(before: Evaluation, after: Evaluation) -> tuple[float, tuple[float, float]]:
    """The difference of two models' WER on the same rows, and its interval: below 0 is better.

    Both are measured on the same redrawn test sets, as what is hard for one is hard for the
    other. Raises DataError when they have no rows in common.
    """
    old, new = _in_common(before, after)
    counts = np.hstack([word_counts(old), word_counts(new)])

    def difference(sums: np.ndarray) -> np.ndarray:
        return sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1]

    whole = difference(counts.sum(axis=0, keepdims=True))
    return float(whole[0]), interval(difference(redrawn(counts)))


def _in_common(before: Evaluation, after: Evaluation) -> tuple[list[Utterance], list[Utterance]]:
    """The same rows of both, in order; DataError where there are none."""
    old = {row.index: row for row in before.rows}
    pairs = [(old[row.index], row) for row in after.rows if row.index in old]
    if not pairs:
        raise DataError("The two models were not measured on the same rows.")
    return [row for row, _ in pairs], [row for _, row in pairs]


def side_by_side(baseline: Evaluation | None, tuned: Evaluation) -> str:
    """The two models' numbers in two lines; in a third the difference, on rows that both heard."""
    if baseline is None:
        return str(tuned)
    difference, (low, high) = change(baseline, tuned)
    both = _in_common(baseline, tuned)
    wer, cer = (
        " -> ".join(f"{rate(counts(rows)):.3f}" for rows in both)
        for counts in (word_counts, character_counts)
    )
    count, most = len(both[0]), max(baseline.utterances, tuned.utterances)
    some = f"On the {count} utterances that both heard: " if count < most else ""
    width = max(len(baseline.model), len(tuned.model))
    return (
        f"{baseline.model:{width}}  {baseline}\n{tuned.model:{width}}  {tuned}\n"
        f"{some}WER {wer} ({difference:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}), CER {cer}"
    )
