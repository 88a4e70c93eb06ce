"""A small data set in every form that `data.load` takes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import soundfile as sf
import tiny

RATE = 8_000
ROWS = [  # file, transcript, speaker, seconds
    ("a.wav", "Freeze my card!", "ann", 1.2),
    ("b.wav", "what's my balance", "ben", 2.4),
    ("c.wav", "Pay the bill, please.", "ann", 1.6),
    ("d.wav", "change of address", "cleo", 2.0),
    ("e.wav", "a joint account", "ben", 1.4),
    ("f.wav", "the app won't start", "ann", 1.8),
]


def sound(seconds: float, seed: int = 0) -> bytes:
    """A WAV file at the rate of a telephone."""
    file = io.BytesIO()
    sf.write(file, tiny.babble(seconds, seed, RATE), RATE, format="WAV")
    return file.getvalue()


def clips(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, _, _, seconds) in enumerate(ROWS):
        (folder / name).write_bytes(sound(seconds, seed))
    return folder


def records(text: str = "transcription") -> list[dict[str, str]]:
    return [{"file_name": name, text: said, "speaker": who} for name, said, who, _ in ROWS]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: list[tuple] = ROWS) -> Path:
    """Columns as in MInDS-14: the recordings are inside."""
    from datasets import Audio, Dataset

    table = [
        {
            "path": name,
            "audio": {"bytes": sound(seconds, seed), "path": name},
            "transcription": said,
            "speaker_id": who,
            "intent_class": 0,
        }
        for seed, (name, said, who, seconds) in enumerate(rows)
    ]
    columns = Dataset.from_list(table).cast_column("audio", Audio(RATE, decode=False))
    columns.to_parquet(path)
    return path
