"""Datasets of any form -> rows of (audio, transcription), in the parts to learn and measure on.

A dataset is named by an id of the Hub, a folder as `tables` knows it, a `.csv`, `.tsv`, `.jsonl`
or `.parquet` file, or `sample`, the one that comes with this package. Recordings stay as they are
(`Audio(decode=False)`) until a batch needs them: decoding is `audio`'s work, and prepared data is
no larger than the recordings.
"""

from __future__ import annotations

import itertools
import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from asr_core import audio
from asr_core.archive import ENDINGS
from asr_core.errors import DataError, first_line
from asr_core.tables import SAMPLE as SAMPLE
from asr_core.tables import SAMPLE_FOLDER as SAMPLE_FOLDER
from asr_core.tables import TEST_SPLITS, UNCLOSED, find, refuse_joined

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

AUDIO_COLUMNS = ("audio", "file_name", "path", "file", "filename")
TEXT_COLUMNS = ("transcription", "text", "sentence", "transcript", "normalized_text")
SPEAKER_COLUMNS = ("speaker_id", "speaker", "client_id", "speakerid", "spk_id", "spk")
STRINGS = ("string", "large_string")
BINARY = ("binary", "large_binary")
PLACE = "place"  # column of the number by which a row is known, where rows were parted


@dataclass(frozen=True)
class Columns:
    """Names of the columns that matter; None means the first that is there of the usual names."""

    audio: str | None = None
    text: str | None = None
    speaker: str | None = None


def load(
    name: str, config: str | None = None, split: str = "train", columns: Columns | None = None
) -> Dataset:
    """Rows of `name` with `audio` (undecoded), `transcription` and, where known, `speaker`.

    `split` may be a slice as in the guide: "train[:100]". Raises DataError when there is no such
    dataset, configuration, split or column, naming those there are.
    """
    import datasets

    if "+" in split:
        parts = [load(name, config, part, columns) for part in split.split("+")]
        return datasets.concatenate_datasets(parts)
    tables = find(name)
    base = split.split("[")[0]
    try:
        if tables is None:
            _ask_hub(name)
            rows = datasets.load_dataset(name, config, split=split)
        else:
            if base not in tables.splits:
                raise DataError(_no_split(name, base, list(tables.splits)))
            # Other parts may have other columns, which is nobody's business here.
            tables = replace(tables, splits={base: tables.splits[base]})
            rows = datasets.load_dataset(
                tables.form, data_files=tables.patterns, split=split, **tables.options
            )
        if tables and tables.form == "csv":
            refuse_joined(rows, name)
    except DataError:
        raise
    except Exception as error:
        raise DataError(_why(name, config, base, error)) from error
    # A path in a metadata file counts from where that file lies.
    start = Path(tables.splits[base][0]).parent if tables else Path()
    return _only_what_matters(rows, name, columns or Columns(), start)


def splits(name: str, config: str | None = None) -> list[str]:
    """The names of the parts of a dataset."""
    tables = find(name)
    if tables is not None:
        return list(tables.splits)
    import datasets

    try:
        _ask_hub(name)
        return datasets.get_dataset_split_names(name, config)
    except Exception as error:
        raise DataError(_why(name, config, "", error)) from error


def test_split(names: list[str]) -> str | None:
    """The part to measure on, where a dataset has one."""
    return next((name for name in TEST_SPLITS if name in names), None)


def measured_split(name: str, config: str | None = None) -> str:
    """The part to measure on, else the first. Raises DataError like `splits`."""
    names = splits(name, config)
    return test_split(names) or names[0]


def _only_what_matters(rows: Dataset, name: str, columns: Columns, start: Path) -> Dataset:
    """Just `audio`, `transcription` and `speaker`, under these names.

    Where recordings are given by paths, these are relative to the folder `start`.
    """
    import datasets

    sound = _column(rows, name, "recordings", columns.audio, AUDIO_COLUMNS, "--audio_column")
    words = _column(rows, name, "transcripts", columns.text, TEXT_COLUMNS, "--text_column")
    speaker = _first(rows, SPEAKER_COLUMNS)
    if columns.speaker is not None:
        speaker = _column(rows, name, "speakers", columns.speaker, (), "--speaker_column")
    chosen, there = [c for c in (sound, words, speaker) if c], ", ".join(rows.column_names)
    if len({*chosen}) < len(chosen):
        flags = "--audio_column or --text_column"
        flags += " or --speaker_column" if columns.speaker is not None else ""  # not all have it
        raise DataError(
            f"The columns of {name} cannot be two things at once ({', '.join(chosen)}): choose "
            f"with {flags}. There are: {there}."
        )
    rows = rows.select_columns(chosen)
    for old, new in ((sound, "audio"), (words, "transcription"), (speaker, "speaker")):
        if old and old != new:
            rows = rows.rename_column(old, new)
    feature = rows.features["audio"]
    if getattr(feature, "dtype", None) in STRINGS:
        found = datasets.Features(rows.features | {"audio": datasets.Audio(decode=False)})
        # Never from the cache: what was not there, or was named otherwise, may be there now.
        options = {"fn_kwargs": {"start": start}, "features": found}
        rows = rows.map(_from, **options, load_from_cache_file=False)
    elif not (
        isinstance(feature, datasets.Audio)
        or (isinstance(feature, dict) and "bytes" in feature)
        or getattr(feature, "dtype", None) in BINARY
    ):
        raise DataError(
            f"The column '{sound}' of {name} holds {feature}, not recordings: choose another with "
            f"--audio_column. There are: {there}."
        )
    if isinstance(rows.features["transcription"], datasets.ClassLabel):
        rows = _spelt_out(rows)
    if getattr(rows.features["transcription"], "dtype", "") not in STRINGS:
        raise DataError(
            f"The column '{words}' of {name} holds {rows.features['transcription']}, not text: put "
            f"quotes around it, or choose another with --text_column. There are: {there}."
        )
    return rows.cast_column("audio", datasets.Audio(decode=False))


def _spelt_out(rows: Dataset) -> Dataset:
    """The names of the classes for their numbers, as where each recording is of one command."""
    import datasets

    feature = rows.features["transcription"]

    def name(labels: list[int | None]) -> dict[str, list[str | None]]:
        known = (label is not None and label >= 0 for label in labels)  # -1 stands for none
        return {
            "transcription": [
                feature.int2str(label) if is_one else None
                for label, is_one in zip(labels, known, strict=True)
            ]
        }

    found = datasets.Features(rows.features | {"transcription": datasets.Value("string")})
    return rows.map(name, input_columns="transcription", batched=True, features=found)


def _column(
    rows: Dataset, name: str, what: str, asked: str | None, usual: tuple[str, ...], flag: str
) -> str:
    found = _first(rows, usual if asked is None else (asked, asked.strip().lower()))
    if found is None:
        wanted = f"'{asked}'" if asked else f"one of {', '.join(usual)}"
        raise DataError(
            f"{name} has no column of {what} ({wanted}): there are {', '.join(rows.column_names)}. "
            f"Choose one with {flag}."
        )
    return found


def _first(rows: Dataset, names: Iterable[str]) -> str | None:
    """The column of the first of `names`, also as a spreadsheet has it: "File_Name", "text "."""
    there = {column.strip().lower(): column for column in reversed(rows.column_names)}
    there |= {column: column for column in rows.column_names}
    return next((there[name] for name in names if name in there), None)


def _from(row: dict[str, Any], start: Path) -> dict[str, Any]:
    path = row["audio"]
    return {"audio": {"bytes": None, "path": str(_find(start, path)) if path else ""}}


def _find(start: Path, path: str) -> Path:
    """Also where a Mac wrote Korean or French names apart (NFD), of folders, of files or both, or
    Windows its folders, with spaces around it, without the ending, and in `clips`, where Common
    Voice has them."""
    bare = path.strip()
    names = [path, bare, bare.replace("\\", "/"), f"clips/{bare}"]
    if Path(bare).suffix.lower() not in ENDINGS:
        names += [f"{bare}{ending}" for ending in sorted(ENDINGS)]
    return next(filter(_is_there, _spellings(start, [*map(Path, names)])), start / path)


def _spellings(start: Path, written: list[Path]) -> Iterator[Path]:
    """One after the other, as the first is nearly always there, and there may be a million rows."""
    yield from (start / each for each in written)
    if str(written[0]).isascii():  # there is but one way to write it
        return
    for of_folder, of_file in itertools.product(("NFC", "NFD"), repeat=2):
        for each in written:
            folder, name = normalize(of_folder, str(each.parent)), normalize(of_file, each.name)
            yield start / folder / name


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # a name that is too long, as that of 30 Korean syllables may be when apart
        return False


def _no_split(name: str, split: str, there: list[str]) -> str:
    return f"{name} has no part '{split}': there are {', '.join(there)}."


def _ask_hub(name: str) -> None:
    """One quick question first: without a connection `datasets` retries for half a minute."""
    import datasets
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        HfApi().dataset_info(name, timeout=10)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled):
        pass  # an answer: `datasets` will say what it means
    except Exception:
        log.warning("The Hub cannot be reached: %s is taken from the cache, if it is there.", name)
        datasets.config.HF_HUB_OFFLINE = True


def _why(name: str, config: str | None, split: str, error: Exception) -> str:
    """One sentence out of what `datasets` says."""
    cause = error
    while cause.__cause__:  # "An error occurred while generating the dataset" says nothing
        cause = cause.__cause__
    said = first_line(cause)
    tables = find(name) if isinstance(cause, PermissionError) else None
    if tables and not any(str(cause.filename) in paths for paths in tables.splits.values()):
        return (
            f"What is made of {name} cannot be kept ({said}): set HF_DATASETS_CACHE to a folder "
            "that may be written to."
        )
    if isinstance(cause, UnicodeDecodeError):
        return f"{name} is not in UTF-8: save it as CSV in UTF-8."
    if columns := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", said):
        return (
            f"{name} has {columns[3]} columns in line {columns[2]} but names {columns[1]}: put "
            'transcripts with commas in quotes ("like, so").'
        )
    if quote := re.search(r"EOF inside string starting at row (\d+)", said):
        return f"{name} has all rows from number {quote[1]} on in one: {UNCLOSED}"
    from datasets.exceptions import DatasetNotFoundError

    if isinstance(error, DatasetNotFoundError):
        return (
            f"'{name}' is neither a file or folder here nor a dataset on the Hub that you may "
            f"read: {said}"
        )
    if "Config name is missing" in str(error) or "BuilderConfig" in str(error):
        there = re.findall(r"'([\w.-]+)'", re.split("available", str(error), flags=re.I)[-1])
        there = [*dict.fromkeys(there)][:60]
        return (
            f"{name} comes in configurations ({', '.join(there) or said}): choose one with "
            f"--dataset_config{f', {config!r} is none of them' if config else ''}."
        )
    if re.search(r"Instruction \"\w+\" corresponds to no data", said):
        return f"{name} has no rows in its part '{split}'."
    said_of_split = re.search("split|corresponds to no data|instruction format", str(error), re.I)
    if said_of_split and split:
        return f"{name} has no part '{split}', or not so many rows: {said}"
    if Path(name).expanduser().exists():
        return f"{name} cannot be read as a dataset ({said}): check what is written there."
    return (
        f"The dataset '{name}' cannot be loaded ({said}): check the name and the connection, or "
        "use --dataset sample."
    )


def files_state(rows: Dataset) -> int:
    """A number that changes when a file of a recording does.

    `datasets` keeps what was made of rows for as long as the table stays that names the files.
    """
    import pyarrow.compute

    state = 0
    for path in pyarrow.compute.struct_field(rows.data.table["audio"], "path").to_pylist():
        if not path or not _is_there(file := Path(path)):  # it lies in the table, or is missing
            continue
        found = file.stat()
        state = zlib.crc32(f"{path} {found.st_size} {found.st_mtime_ns}".encode(), state)
    return state


def row_source(row: dict[str, Any]) -> audio.Source | None:
    """What `audio` reads for a row of an undecoded `Audio` column."""
    cell = row["audio"] or {}
    return cell.get("bytes") or cell.get("path") or None


def row_name(row: dict[str, Any], index: int) -> str:
    number = row.get(PLACE, index)
    return Path((row["audio"] or {}).get("path") or f"row {number}").name
