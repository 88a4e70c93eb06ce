"""Datasets on this machine -> the tables that say what is where, and how they are to be read.

A folder with `metadata.csv` or `metadata.jsonl`, or with such folders in it; a folder of tables, or
of what `datasets` saved; one table: as people have them, with semicolons for commas and names that
`datasets` does not take.
"""

from __future__ import annotations

import csv
import glob
import itertools
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_core.archive import ENDINGS
from asr_core.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

SAMPLE = "sample"
SAMPLE_FOLDER = Path(__file__).parent / "embedded" / "sample"
METADATA = ("metadata.csv", "metadata.jsonl")
TEST_SPLITS = ("test", "validation", "valid", "val", "dev", "eval")
# Files of rows, as `load_dataset` names their readers.
FORMS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json"}
# What is in a cell when a quote was not closed: a line with a cell that is a recording's name.
JOINED = (
    r"(?i)\n(?:[^\n]*[\t,;])?[^\n\t,;]*(?:"
    + "|".join(re.escape(ending) for ending in sorted(ENDINGS))
    + r")\"?(?:[\t,;\r\n]|$)"
)
SAVED = "state.json"  # beside what `save_to_disk` wrote, with the names of its files
UNCLOSED = (
    'a quote there is opened and not closed. Leave it out, or write "" for it in a cell that is in '
    "quotes."
)
TABLES = (".parquet", ".csv", ".tsv", ".jsonl")  # that a folder's parts may be given by
SHARD = re.compile(r"-\d{5}-of-\d{5}$")  # "train-00000-of-00002.parquet", as the Hub writes them


@dataclass(frozen=True)
class Tables:
    """The files of each part, and `form`, as `load_dataset` names their reader."""

    form: str
    splits: dict[str, list[str]]

    @property
    def patterns(self) -> dict[str, list[str]]:
        """As the reader wants them, to whom brackets in a name mean something."""
        return {part: [glob.escape(path) for path in paths] for part, paths in self.splits.items()}

    @property
    def options(self) -> dict[str, Any]:
        """What the reader must be told: that a transcript "null" or "NA" is one, above all."""
        if self.form != "csv":
            return {}
        paths = [*itertools.chain(*self.splits.values())]
        separator = _separator(paths[0])
        columns = [_header(path, separator) for path in paths]
        options = {"keep_default_na": False, "sep": separator, "skipinitialspace": True}
        if all(names == columns[0] for names in columns):
            from datasets import Features, Value

            # All of it is text: "010" is not 10, nor is a transcript "true" a truth.
            options["features"] = Features({name: Value("string") for name in columns[0]})
        return options


def _separator(path: str) -> str:
    """What parts the columns: where numbers are written with a comma, spreadsheets take another."""
    with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    if path.lower().endswith(".tsv") or ("," not in header and "\t" in header):
        return "\t"
    return ";" if "," not in header and ";" in header else ","


def _header(path: str, separator: str) -> list[str]:
    """The names of the columns. Raises DataError where they are not those of the first row."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator, skipinitialspace=True)
            names, *first = itertools.islice(lines, 2)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8: save it as CSV in UTF-8.") from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} has no line with the names of its columns.") from error
    if names and names[0].lower().startswith("sep="):
        raise DataError(f"{path} begins with '{names[0]}', for Excel only: delete that line.")
    if first and len(first[0]) > len(names):
        raise DataError(
            f"{path} has {len(first[0])} columns in its second line but names {len(names)}: put "
            'transcripts with commas in quotes ("like, so").'
        )
    # As pandas reads it what it has written, and a spreadsheet that ends its lines with a comma.
    return [name or f"Unnamed: {index}" for index, name in enumerate(names)]


def refuse_joined(rows: Dataset, name: str) -> None:
    """Raises DataError where one transcript holds the rows after it."""
    import pyarrow.compute

    for column in rows.column_names:
        values = rows.data.table[column].cast("string")
        joined = pyarrow.compute.match_substring_regex(values, JOINED)
        if found := values.filter(joined)[:1].to_pylist():
            raise DataError(f"{name} has rows in a transcript, {found[0][:60]!r}: {UNCLOSED}")


def find(name: str) -> Tables | None:
    """How a local dataset is read; None when `name` can only be an id of the Hub."""
    path = SAMPLE_FOLDER if name == SAMPLE else Path(name).expanduser()
    if path.is_file():
        if path.suffix.lower() not in FORMS:
            raise DataError(
                f"{name} is not a dataset: give a .csv, .tsv, .jsonl or .parquet file, or a folder "
                "with metadata.csv or metadata.jsonl."
            )
        return Tables(FORMS[path.suffix.lower()], {"train": [str(path)]})
    if path.is_dir():

        def part(file: Path) -> str:
            return "train" if file.parent == path else file.parent.name

        places = [at + metadata for at in ("", "*/") for metadata in METADATA]
        if files := [file for place in places for file in path.glob(place)]:
            _refuse_unlike(files, path)
            return Tables(FORMS[files[0].suffix], _parts(files, part))
        states = [path / SAVED] if (path / SAVED).exists() else path.glob(f"*/{SAVED}")
        parts = _parts((file for state in states for file in _saved(state)), part)
        if parts:
            return Tables("arrow", parts)
        for ending in TABLES:
            parts = _parts(path.glob(f"*{ending}"), lambda file: SHARD.sub("", file.stem))
            if len(parts) == 1 and not parts.keys() & {"train", *TEST_SPLITS}:
                parts = {"train": next(iter(parts.values()))}
            if parts:
                _refuse_others(path, ending)
                return Tables(FORMS[ending], parts)
        raise DataError(
            f"The folder {name} holds no metadata.csv, metadata.jsonl or tables such as train.csv "
            "and test.csv: add a metadata.csv with the columns file_name and transcription."
        )
    if path.suffix.lower() in FORMS or len(path.parts) > 2 or name.startswith((".", "/", "~")):
        raise DataError(f"{name} does not exist: check the path.")
    return None


def _refuse_others(folder: Path, ending: str) -> None:
    """Raises DataError where parts lie beside those of `ending` that would not be found."""
    for part, other in itertools.product(("train", *TEST_SPLITS), TABLES):
        if other != ending and (table := folder / f"{part}{other}").exists():
            raise DataError(
                f"{table} is of another kind than the {ending} files beside it: save all parts as "
                "one kind, or move it elsewhere."
            )


def _refuse_unlike(files: list[Path], folder: Path) -> None:
    """Raises DataError where metadata lies beside other metadata that would not be found."""
    first, *others = files
    for other in others:
        if (other.suffix, other.parent == folder) != (first.suffix, first.parent == folder):
            raise DataError(
                f"{other} would not be read beside {first}: keep one file for all, or one of the "
                "same kind in each part's folder, and move others elsewhere."
            )


def _saved(state: Path) -> list[Path]:
    """What `save_to_disk` wrote beside `state`, and not what `map` made of it later."""
    try:
        found = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
        return [state.parent / Path(file["filename"]).name for file in found]
    except (ValueError, KeyError, TypeError):  # of some other program
        return []


def _parts(files: Iterable[Path], name: Callable[[Path], str]) -> dict[str, list[str]]:
    """Files by the `name` of their part, spelt as `datasets` wants it: "speaker 1" is speaker_1,
    and Test, as some call it, test."""
    parts: dict[str, list[str]] = {}
    for file in sorted(files):
        part = re.sub(r"\W", "_", name(file))
        usual = part.lower() in ("train", *TEST_SPLITS)
        parts.setdefault(part.lower() if usual else part, []).append(str(file))
    for part, paths in parts.items():
        if len(folders := {str(Path(path).parent) for path in paths}) > 1:
            raise DataError(
                f"{' and '.join(sorted(folders))} would both be the part '{part}': rename one."
            )
    return parts
