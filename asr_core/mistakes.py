"""Where the errors are: worst utterances, most frequent confusions, by duration and speaker."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import jiwer

from asr_core.scoring import Utterance, character_counts, rate, word_counts

DURATIONS = (2, 5, 10, 20)  # seconds: edges of the groups by duration
CONFUSIONS = 20  # kept of each kind


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
    return Group(name, len(rows), words, rate(word_counts(rows)), rate(character_counts(rows)))


def describe(rows: Sequence[Utterance], most: int = 5) -> str:
    """The most frequent confusions, groups by duration and the worst utterances, in a few lines."""
    found = confusions(rows, most)
    lines = []
    for label, items in (
        ("heard for", [f"{heard} for {said} ({n})" for said, heard, n in found.substitutions]),
        ("missed", [f"{said} ({n})" for said, n in found.deletions]),
        ("added", [f"{heard} ({n})" for heard, n in found.insertions]),
    ):
        if items:
            lines.append(f"{label + ':':11}{', '.join(items)}")
    for group in by_duration(rows):
        lines.append(f"{group.name + ':':11}WER {group.wer:.3f}, {group.utterances} utterances")
    for row in worst(rows)[:most]:
        if row.word_errors:
            lines.append(f"worst:     {row.name}, {row.word_errors} errors in {row.words} words")
            lines.append(f"  said     {row.reference}\n  heard    {row.hypothesis}")
    return "\n".join(lines)
