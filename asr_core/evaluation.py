"""How good is it? A model's words against what was really said, with how sure we can be of it."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jiwer
import numpy as np

from asr_core import data, text
from asr_core.errors import AsrError, DataError

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

DRAWS = 1_000  # of the bootstrap
DURATIONS = (2, 5, 10, 20)  # seconds: edges of the groups by duration
CONFUSIONS = 20  # kept of each kind


@dataclass(frozen=True)
class Utterance:
    """One row: what was said, what was heard, and the counts that error rates are made of."""

    index: int  # of the row in its dataset
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
class Group:
    """The error rates of some of the utterances."""

    name: str
    utterances: int
    words: int
    wer: float
    cer: float


@dataclass(frozen=True)
class AlignedWord:
    """One step of an alignment: `kind` is equal, substitute, delete or insert."""

    kind: str
    said: str
    heard: str


@dataclass(frozen=True)
class Confusions:
    """What is most often heard wrongly, the most frequent first, with how often."""

    substitutions: tuple[tuple[str, str, int], ...]  # said, heard
    deletions: tuple[tuple[str, int], ...]  # said, not heard
    insertions: tuple[tuple[str, int], ...]  # heard, not said


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

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `rows`, the longest part, come last."""
        values = asdict(self)
        rows = values.pop("rows")
        return values | {
            "by_duration": [asdict(group) for group in by_duration(self.rows)],
            "by_speaker": [asdict(group) for group in by_speaker(self.rows)],
            "confusions": asdict(confusions(self.rows)),
            "worst": [row.name for row in worst(self.rows)[:10]],
            "rows": rows,
        }

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

    Rows without a transcript and recordings that cannot be read are named in `failed`.
    Raises DataError when nothing is left to compare.
    """
    spelling = text.Spelling.of(recognizer.processor.tokenizer)

    def spell(said: str) -> str:
        # Korean is compared by syllables, whatever the model spells it with.
        return text.compose(text.normalize(said, spelling))

    done: list[Utterance] = []
    failed: dict[str, str] = {}
    began = time.perf_counter()
    for index, row in enumerate(rows):
        name = data.row_name(row, index)
        reference = spell(row["transcription"] or "")
        if not reference:
            failed[name] = "It has no transcript."
        else:
            try:
                heard = recognizer.transcribe(data.row_source(row))
            except AsrError as error:
                failed[name] = str(error)
            else:
                hypothesis = spell(heard.text)
                speaker = str(row.get("speaker") or "")
                done.append(compare(index, name, reference, hypothesis, heard.duration, speaker))
        if progress:
            progress(index + 1)
    seconds = time.perf_counter() - began
    if not done:
        raise DataError(
            f"There is nothing to compare in {dataset or 'the dataset'}: no row has a transcript "
            "and a recording that can be read."
        )
    words, characters = _word_counts(done), _character_counts(done)
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
    index: int,
    name: str,
    reference: str,
    hypothesis: str,
    duration: float = 0.0,
    speaker: str = "",
) -> Utterance:
    """Count the errors of one hypothesis. `reference` must not be empty."""
    words = jiwer.process_words(reference, hypothesis)
    characters = jiwer.process_characters(reference, hypothesis)
    return Utterance(
        index,
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


# --- how sure we can be ---


def rate(counts: Sequence[tuple[int, int]]) -> float:
    """Errors per word (or character) of (errors, length) pairs taken together."""
    errors, lengths = np.sum(counts, axis=0)
    return float(errors / lengths)


def bootstrap(counts: Sequence[tuple[int, int]], draws: int = DRAWS) -> tuple[float, float]:
    """The interval that holds 95 % of the rates of redrawn test sets (Bisani and Ney, 2004)."""
    sums = _redrawn(np.asarray(counts), draws)
    return _interval(sums[:, 0] / sums[:, 1])


def change(before: Evaluation, after: Evaluation) -> tuple[float, tuple[float, float]]:
    """The difference of two models' WER on the same rows, and its interval: below 0 is better.

    Both are measured on the same redrawn test sets, as what is hard for one is hard for the
    other. Raises DataError when they have no rows in common.
    """
    old = {row.index: row for row in before.rows}
    pairs = [(old[row.index], row) for row in after.rows if row.index in old]
    if not pairs:
        raise DataError("The two models were not measured on the same rows.")
    counts = np.asarray([(a.word_errors, a.words, b.word_errors, b.words) for a, b in pairs])

    def difference(sums: np.ndarray) -> np.ndarray:
        return sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1]

    whole = difference(counts.sum(axis=0, keepdims=True))
    return float(whole[0]), _interval(difference(_redrawn(counts, DRAWS)))


def _redrawn(counts: np.ndarray, draws: int) -> np.ndarray:
    """Sums over `draws` test sets of the same size, drawn with replacement: (draws, columns)."""
    generator = np.random.default_rng(0)
    # One draw after another: all at once, a set of 100,000 rows would fill the memory.
    return np.stack(
        [
            counts[generator.integers(len(counts), size=len(counts))].sum(axis=0)
            for _ in range(draws)
        ]
    )


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _word_counts(rows: Iterable[Utterance]) -> list[tuple[int, int]]:
    return [(row.word_errors, row.words) for row in rows]


def _character_counts(rows: Iterable[Utterance]) -> list[tuple[int, int]]:
    return [(row.character_errors, row.characters) for row in rows]


# --- where the errors are ---


def worst(rows: Iterable[Utterance]) -> list[Utterance]:
    """The utterances by their share of wrong words, then of wrong characters, worst first."""
    return sorted(
        rows, key=lambda r: (-r.word_errors / r.words, -r.character_errors / r.characters, r.index)
    )


def confusions(rows: Sequence[Utterance], most: int = CONFUSIONS) -> Confusions:
    """The most frequent substitutions, deletions and insertions of words."""
    # Not jiwer.collect_error_counts: it counts wrong words in a row as one long phrase.
    counts = Counter(word for row in rows for word in align(row.reference, row.hypothesis))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0].said, item[0].heard))

    def top(kind: str) -> list[tuple[AlignedWord, int]]:
        return [(word, n) for word, n in ranked if word.kind == kind][:most]

    return Confusions(
        tuple((word.said, word.heard, n) for word, n in top("substitute")),
        tuple((word.said, n) for word, n in top("delete")),
        tuple((word.heard, n) for word, n in top("insert")),
    )


def align(reference: str, hypothesis: str) -> list[AlignedWord]:
    """The words of both, put beside one another with the fewest errors."""
    output = jiwer.process_words(reference, hypothesis)
    said, heard = output.references[0], output.hypotheses[0]
    return [
        AlignedWord(chunk.type, *pair)
        for chunk in output.alignments[0]
        for pair in itertools.zip_longest(
            said[chunk.ref_start_idx : chunk.ref_end_idx],
            heard[chunk.hyp_start_idx : chunk.hyp_end_idx],
            fillvalue="",
        )
    ]


def by_duration(rows: Sequence[Utterance]) -> list[Group]:
    """Error rates of shorter and longer utterances."""
    edges = (0, *DURATIONS, float("inf"))
    groups = []
    for low, high in itertools.pairwise(edges):
        name = f"{low} to {high} s" if high != edges[-1] else f"over {low} s"
        groups.append((name, [row for row in rows if low < row.duration <= high]))
    return [_group(name, members) for name, members in groups if members]


def by_speaker(rows: Sequence[Utterance]) -> list[Group]:
    """Error rates of each speaker, highest WER first; nothing where speakers are not known."""
    members: dict[str, list[Utterance]] = {}
    for row in rows:
        if row.speaker:
            members.setdefault(row.speaker, []).append(row)
    groups = [_group(name, said) for name, said in members.items()]
    return sorted(groups, key=lambda group: (-group.wer, group.name))


def _group(name: str, rows: Sequence[Utterance]) -> Group:
    words = sum(row.words for row in rows)
    return Group(name, len(rows), words, rate(_word_counts(rows)), rate(_character_counts(rows)))


# --- in words ---


def side_by_side(baseline: Evaluation | None, tuned: Evaluation) -> str:
    """The two models' numbers in two lines, and the difference with its interval in a third."""
    if baseline is None:
        return str(tuned)
    difference, (low, high) = change(baseline, tuned)
    width = max(len(baseline.model), len(tuned.model))
    return (
        f"{baseline.model:{width}}  {baseline}\n{tuned.model:{width}}  {tuned}\n"
        f"WER {baseline.wer:.3f} -> {tuned.wer:.3f} ({difference:+.3f}, 95 % interval {low:+.3f} "
        f"to {high:+.3f}), CER {baseline.cer:.3f} -> {tuned.cer:.3f}"
    )


def where(evaluation: Evaluation, most: int = 5) -> str:
    """The most frequent confusions and the worst utterances, in a few lines."""
    found = confusions(evaluation.rows, most)
    lines = []
    for label, items in (
        ("heard for", [f"{heard} for {said} ({n})" for said, heard, n in found.substitutions]),
        ("missed", [f"{said} ({n})" for said, n in found.deletions]),
        ("added", [f"{heard} ({n})" for heard, n in found.insertions]),
    ):
        if items:
            lines.append(f"{label + ':':11}{', '.join(items)}")
    for group in by_duration(evaluation.rows):
        lines.append(f"{group.name + ':':11}WER {group.wer:.3f}, {group.utterances} utterances")
    for row in worst(evaluation.rows)[:most]:
        if row.word_errors:
            lines.append(f"worst:     {row.name}, {row.word_errors} errors in {row.words} words")
            lines.append(f"  said     {row.reference}\n  heard    {row.hypothesis}")
    return "\n".join(lines)
