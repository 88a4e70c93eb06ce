"""Looking before training: what a dataset holds, what is left out of it, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr_core import pictures, text
from asr_core.preparation import MISSING, REMEDY, Prepared

NAMES_SHOWN = 3  # of the rows left out for one reason; data.json has all of them
CHARACTERS_SHOWN = 12
BINS = 20  # of the histogram of durations


@dataclass(frozen=True)
class Part:
    """Numbers about one part of a dataset, after what cannot be learnt from is left out."""

    clips: int
    hours: float
    speakers: int | None  # where they are known
    durations: tuple[float, ...]  # seconds, one for each clip
    characters: int  # labels of all transcripts together
    unknown: int  # of these, how many are <unk>
    outside: dict[str, int]  # characters that have no token, and how often they occur
    dropped: dict[str, list[str]]  # reason to names of rows
    repeats: int = 0  # clips that were there before
    damaged: tuple[str, ...] = ()  # names of rows that stay but may lack a part of what was said
    sought: str = ""  # where the first recording was looked for that is missing

    @property
    def unknown_share(self) -> float:
        """The share of the labels that are <unk>, which the model can only learn as such."""
        return self.unknown / max(1, self.characters)

    @property
    def left_out(self) -> int:
        return sum(map(len, self.dropped.values()))


@dataclass(frozen=True)
class Report:
    """Both parts of a dataset, as they will be learnt from and measured on."""

    train: Part
    test: Part
    vocabulary: int  # tokens
    shared: int = 0  # rows of test whose recording is in train too
    known_speakers: int = 0  # of test, who are in train too
    known_sentences: int = 0  # rows of test whose transcript is in train too
    new_vocabulary: bool = False  # it was made from the train part
    hangul: str = "syllables"  # as `text.Spelling` has it

    def __str__(self) -> str:
        lines = [f"{'':20}{'train':>12}{'test':>12}"]
        for label, get in (
            ("clips", lambda part: f"{part.clips:,}"),
            ("of these repeats", lambda part: f"{part.repeats:,}"),
            ("hours", lambda part: f"{part.hours:.2f}"),
            ("speakers", lambda part: "unknown" if part.speakers is None else f"{part.speakers:,}"),
            ("shortest, s", lambda part: f"{min(part.durations):.1f}"),
            ("median, s", lambda part: f"{np.median(part.durations):.1f}"),
            ("longest, s", lambda part: f"{max(part.durations):.1f}"),
            ("rows left out", lambda part: f"{part.left_out:,}"),
            ("<unk> in labels", lambda part: f"{part.unknown_share:.2%}"),
        ):
            lines.append(f"{label:20}{get(self.train):>12}{get(self.test):>12}")
        for name, part in (("train", self.train), ("test", self.test)):
            for reason, names in part.dropped.items():
                lines.append(f"left out of {name}: {len(names):,} {reason} ({_some(names)})")
                if reason == MISSING and part.sought:
                    lines.append(f"  there is no {part.sought}")
            if part.damaged:
                lines.append(
                    f"damaged, but in {name}: {len(part.damaged):,} that may not say all of their "
                    f"transcript ({_some(part.damaged)})"
                )
        unknown = max(self.train.unknown_share, self.test.unknown_share)
        if unknown > text.FOREIGN and not self.new_vocabulary:
            lines.append(f"The model cannot spell much of this: {REMEDY}.")
        if self.shared:
            lines.append(f"{self.shared:,} recordings of test are in train too: it measures memory")
        if self.known_speakers:
            lines.append(
                f"{self.known_speakers:,} of the {self.test.speakers:,} speakers of test are in "
                "train too: others may be heard worse"
            )
        if self.known_sentences:
            lines.append(
                f"{self.known_sentences:,} of the {self.test.clips:,} transcripts of test are in "
                "train too: others may be heard worse"
            )
        outside = Counter(self.train.outside) + Counter(self.test.outside)
        if outside:
            listed = "  ".join(f"{c!r} {n:,}" for c, n in outside.most_common(CHARACTERS_SHOWN))
            lines.append(f"not in the vocabulary of {self.vocabulary} tokens: {listed}")
        return "\n".join(lines)

    def histogram(self) -> dict[str, list[float] | list[int]]:
        """Clips by duration: `edges` in seconds, one more than the counts of `train` and `test`."""
        both = [*self.train.durations, *self.test.durations]
        edges = np.histogram_bin_edges(both, bins=BINS, range=(0, max(both)))
        return {
            "edges": edges.round(3).tolist(),
            "train": np.histogram(self.train.durations, edges)[0].tolist(),
            "test": np.histogram(self.test.durations, edges)[0].tolist(),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, durations as their histogram."""

        def plain(part: Part) -> dict[str, Any]:
            values = asdict(part) | {"unknown_share": part.unknown_share}
            durations = values.pop("durations")
            names = ("shortest", "median", "longest")
            quantiles = np.quantile(durations, [0, 0.5, 1]).round(3).tolist()
            return values | dict(zip(names, quantiles, strict=True))

        return {
            "train": plain(self.train),
            "test": plain(self.test),
            "vocabulary": self.vocabulary,
            "shared": self.shared,
            "known_speakers": self.known_speakers,
            "known_sentences": self.known_sentences,
            "durations": self.histogram(),
        }

    def save(self, folder: Path) -> None:
        """`data.json` and `data.png` in `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        written = json.dumps(self.to_dict(), ensure_ascii=False, indent=1)
        (folder / "data.json").write_text(written, encoding="utf-8")
        pictures.draw_data(
            self.histogram(),
            {"train": self.train.dropped, "test": self.test.dropped},
            folder / "data.png",
        )


def look(train: Prepared, test: Prepared, processor: Any, new_vocabulary: bool = False) -> Report:
    """Numbers about both parts of a prepared dataset."""
    parts = (_part(train, processor), _part(test, processor))
    recordings, sentences = {*train.rows["checksum"]}, {*train.rows["transcription"]}
    return Report(
        *parts,
        vocabulary=len(processor.tokenizer),
        shared=sum(checksum in recordings for checksum in test.rows["checksum"]),
        known_speakers=len(_speakers(train) & _speakers(test)),
        known_sentences=sum(sentence in sentences for sentence in test.rows["transcription"]),
        new_vocabulary=new_vocabulary,
        hangul=text.Spelling.of(processor.tokenizer).hangul,
    )


def _speakers(prepared: Prepared) -> set[object]:
    """An empty speaker is one who is not known."""
    rows = prepared.rows
    return {*rows["speaker"]} - {None, ""} if "speaker" in rows.column_names else set()


def _part(prepared: Prepared, processor: Any) -> Part:
    rows = prepared.rows
    rate = int(processor.feature_extractor.sampling_rate)
    durations = tuple(round(length / rate, 3) for length in rows["length"])
    counted = Counter(label for labels in rows["labels"] for label in labels)
    return Part(
        clips=len(rows),
        hours=round(sum(durations) / 3600, 4),
        speakers=len(_speakers(prepared)) or None,
        durations=durations,
        characters=counted.total(),
        unknown=counted[processor.tokenizer.unk_token_id],
        outside=dict(prepared.outside.most_common()),
        dropped=prepared.dropped,
        repeats=len(rows) - len(set(rows["checksum"])),
        damaged=prepared.damaged,
        sought=prepared.sought,
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." * (len(names) > NAMES_SHOWN))
