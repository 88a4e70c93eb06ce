"""Looking before training: what a dataset holds, what is left out of it, and why."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_core.data import Prepared
from asr_core.evaluation import Evaluation


@dataclass(frozen=True)
class Part:
    """Numbers about one part of a dataset, after what cannot be learnt from is left out."""

    clips: int
    hours: float
    speakers: int | None  # where they are known
    durations: tuple[float, ...]  # seconds
    characters: int
    unknown: dict[str, int]  # characters the model cannot spell, and how often they occur
    dropped: dict[str, list[str]]  # reason to names of rows


@dataclass(frozen=True)
class Report:
    train: Part
    test: Part
    vocabulary: int

    def __str__(self) -> str:
        lines = [f"{'':24}{'train':>12}{'test':>12}"]
        for label, get in (
            ("clips", lambda p: f"{p.clips:,}"),
            ("hours", lambda p: f"{p.hours:.2f}"),
            ("speakers", lambda p: "unknown" if p.speakers is None else f"{p.speakers:,}"),
            ("shortest, s", lambda p: f"{min(p.durations):.1f}"),
            ("median, s", lambda p: f"{np.median(p.durations):.1f}"),
            ("longest, s", lambda p: f"{max(p.durations):.1f}"),
            ("left out", lambda p: f"{sum(map(len, p.dropped.values())):,}"),
            ("unknown characters", lambda p: f"{share_unknown(p):.2%}"),
        ):
            lines.append(f"{label:24}{get(self.train):>12}{get(self.test):>12}")
        for part in (self.train, self.test):
            for reason, names in part.dropped.items():
                some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
                lines.append(f"left out: {len(names)} {reason} ({some})")
        unknown = Counter(self.train.unknown) + Counter(self.test.unknown)
        if unknown:
            listed = "  ".join(f"{c!r} {n}" for c, n in unknown.most_common(12))
            lines.append(f"not in the vocabulary, learnt as <unk>: {listed}")
        return "\n".join(lines)

    def save(self, folder: Path) -> None:
        """`data.json` in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        (folder / "data.json").write_text(text, encoding="utf-8")


def look(train: Prepared, test: Prepared, processor: Any) -> Report:
    """Numbers about both parts of a prepared dataset."""
    rate = int(processor.feature_extractor.sampling_rate)
    return Report(_part(train, rate), _part(test, rate), len(processor.tokenizer))


def share_unknown(part: Part) -> float:
    """The share of characters of the transcripts that the model cannot spell."""
    return sum(part.unknown.values()) / max(1, part.characters)


def _part(prepared: Prepared, rate: int) -> Part:
    rows = prepared.rows
    durations = tuple(round(length / rate, 3) for length in rows["length"])
    speakers = len(set(rows["speaker"])) if "speaker" in rows.column_names else None
    return Part(
        clips=len(rows),
        hours=round(sum(durations) / 3600, 4),
        speakers=speakers,
        durations=durations,
        characters=sum(len(transcript.replace(" ", "")) for transcript in rows["transcription"]),
        unknown=dict(prepared.unknown.most_common()),
        dropped=prepared.dropped,
    )


def before_and_after(before: Evaluation | None, after: Evaluation) -> str:
    """Two lines for people, and what changed."""
    if before is None:
        return f"after   {after}"
    return (
        f"before  {before}\nafter   {after}\n"
        f"WER {before.wer:.3f} -> {after.wer:.3f}, CER {before.cer:.3f} -> {after.cer:.3f}"
    )
