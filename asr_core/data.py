"""Datasets of any form -> rows of (audio, transcription), and those rows made ready to learn from.

A dataset is named by an id of the Hub, a folder with `metadata.csv` or `metadata.jsonl`, a `.csv`,
`.jsonl` or `.parquet` file, or `sample`, the one that comes with this package. Recordings stay as
they are (`Audio(decode=False)`) until a batch needs them: decoding is `audio`'s work, and prepared
data is no larger than the recordings.
"""

from __future__ import annotations

import csv
import glob
import itertools
import logging
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from asr_core import audio
from asr_core.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

log = logging.getLogger(__name__)

SAMPLE = "sample"
SAMPLE_FOLDER = Path(__file__).parent / "embedded" / "sample"
AUDIO_COLUMNS = ("audio", "file_name", "path", "file", "filename")
TEXT_COLUMNS = ("transcription", "text", "sentence", "transcript", "normalized_text")
SPEAKER_COLUMNS = ("speaker_id", "speaker", "client_id")
STRINGS = ("string", "large_string")
# Files of rows, as `load_dataset` names their readers.
FORMS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json"}
# What is in a cell when a quote was not closed: a line that begins with the name of a recording.
JOINED = r"\n[^\n\t,;]*\.\w{2,4}\"?[\t,;]"
TABLES = (".parquet", ".csv", ".tsv", ".jsonl")  # that a folder's parts may be given by
SHARD = re.compile(r"-\d{5}-of-\d{5}$")  # "train-00000-of-00002.parquet", as the Hub writes them
TEST_SPLITS = ("test", "validation", "dev", "eval")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that matter; None means the first that is there of the usual names."""

    audio: str | None = None
    text: str | None = None


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
    files = _files(name)
    base = split.split("[")[0]
    try:
        if files is None:
            _ask_hub(name)
            rows = datasets.load_dataset(name, config, split=split)
        else:
            if base not in files.splits:
                raise DataError(_no_split(name, base, list(files.splits)))
            rows = datasets.load_dataset(
                files.form, data_files=files.patterns, split=split, **files.options
            )
        if files and files.form == "csv":
            _refuse_joined(rows, name)
    except DataError:
        raise
    except Exception as error:
        raise DataError(_why(name, config, base, error)) from error
    # A path in a metadata file counts from where that file lies.
    start = Path(files.splits[base][0]).parent if files else Path()
    return _only_what_matters(rows, name, columns or Columns(), start)


def splits(name: str, config: str | None = None) -> list[str]:
    """The names of the parts of a dataset."""
    files = _files(name)
    if files is not None:
        return list(files.splits)
    import datasets

    try:
        _ask_hub(name)
        return datasets.get_dataset_split_names(name, config)
    except Exception as error:
        raise DataError(_why(name, config, "", error)) from error


def test_split(names: list[str]) -> str | None:
    """The part to measure on, where a dataset has one."""
    return next((name for name in TEST_SPLITS if name in names), None)


@dataclass(frozen=True)
class _Files:
    form: str  # as load_dataset names the reader
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
    if first and len(first[0]) > len(names):
        raise DataError(
            f"{path} has {len(first[0])} columns in its second line but names {len(names)}: put "
            'transcripts with commas in quotes ("like, so").'
        )
    # As pandas reads it what it has written, and a spreadsheet that ends its lines with a comma.
    return [name or f"Unnamed: {index}" for index, name in enumerate(names)]


def _refuse_joined(rows: Dataset, name: str) -> None:
    """Raises DataError where one transcript holds the rows after it."""
    import pyarrow.compute

    for column in rows.column_names:
        values = rows.data.table[column].cast("string")
        joined = pyarrow.compute.match_substring_regex(values, JOINED)
        if found := values.filter(joined)[:1].to_pylist():
            raise DataError(
                f"{name} has rows in a transcript, {found[0][:60]!r}: a quote there is opened and "
                'not closed. Leave it out, or write "" for it in a cell that is in quotes.'
            )


def _files(name: str) -> _Files | None:
    """How a local dataset is read; None when `name` can only be an id of the Hub."""
    path = SAMPLE_FOLDER if name == SAMPLE else Path(name).expanduser()
    if path.is_file():
        if path.suffix.lower() not in FORMS:
            raise DataError(
                f"{name} is not a dataset: give a .csv, .jsonl or .parquet file, or a folder with "
                "metadata.csv or metadata.jsonl."
            )
        return _Files(FORMS[path.suffix.lower()], {"train": [str(path)]})
    if path.is_dir():
        for metadata in ("metadata.csv", "metadata.jsonl"):
            if (path / metadata).exists():
                return _Files(FORMS[Path(metadata).suffix], {"train": [str(path / metadata)]})
            parts = _parts(path.glob(f"*/{metadata}"), lambda file: file.parent.name)
            if parts:
                return _Files(FORMS[Path(metadata).suffix], parts)
        for ending in TABLES:
            parts = _parts(path.glob(f"*{ending}"), lambda file: SHARD.sub("", file.stem))
            if len(parts) == 1 and not parts.keys() & {"train", *TEST_SPLITS}:
                parts = {"train": next(iter(parts.values()))}
            if parts:
                return _Files(FORMS[ending], parts)
        raise DataError(
            f"The folder {name} holds no metadata.csv, metadata.jsonl or tables such as train.csv "
            "and test.csv: add a metadata.csv with the columns file_name and transcription."
        )
    if path.suffix.lower() in FORMS or len(path.parts) > 2 or name.startswith((".", "/", "~")):
        raise DataError(f"{name} does not exist: check the path.")
    return None


def _parts(files: Iterable[Path], name: Callable[[Path], str]) -> dict[str, list[str]]:
    """Files by the `name` of their part, spelt as `datasets` wants it: "speaker 1" is speaker_1."""
    parts: dict[str, list[str]] = {}
    for file in sorted(files):
        parts.setdefault(re.sub(r"\W", "_", name(file)), []).append(str(file))
    for part, paths in parts.items():
        if len(folders := {str(Path(path).parent) for path in paths}) > 1:
            raise DataError(
                f"{' and '.join(sorted(folders))} would both be the part '{part}': rename one."
            )
    return parts


def _only_what_matters(rows: Dataset, name: str, columns: Columns, start: Path) -> Dataset:
    """Just `audio`, `transcription` and `speaker`, under these names.

    Where recordings are given by paths, these are relative to the folder `start`.
    """
    import datasets

    sound = _column(rows, name, "recordings", columns.audio, AUDIO_COLUMNS, "--audio_column")
    words = _column(rows, name, "transcripts", columns.text, TEXT_COLUMNS, "--text_column")
    speaker = next((c for c in SPEAKER_COLUMNS if c in rows.column_names), None)
    chosen = [c for c in (sound, words, speaker) if c]
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
    elif not isinstance(feature, datasets.Audio) and not (
        isinstance(feature, dict) and "bytes" in feature
    ):
        raise DataError(
            f"The column '{sound}' of {name} holds {feature}, not recordings: choose another with "
            f"--audio_column. There are: {', '.join(rows.column_names)}."
        )
    if getattr(rows.features["transcription"], "dtype", "") not in STRINGS:
        raise DataError(
            f"The column '{words}' of {name} holds {rows.features['transcription']}, not text: "
            "choose another with --text_column."
        )
    return rows.cast_column("audio", datasets.Audio(decode=False))


def _column(
    rows: Dataset, name: str, what: str, asked: str | None, usual: tuple[str, ...], flag: str
) -> str:
    found = asked if asked in rows.column_names else None
    if asked is None:
        found = next((c for c in usual if c in rows.column_names), None)
    if found is None:
        wanted = f"'{asked}'" if asked else f"one of {', '.join(usual)}"
        raise DataError(
            f"{name} has no column of {what} ({wanted}): there are {', '.join(rows.column_names)}. "
            f"Choose one with {flag}."
        )
    return found


def _from(row: dict[str, Any], start: Path) -> dict[str, Any]:
    path = row["audio"]
    return {"audio": {"bytes": None, "path": str(_find(start, path)) if path else ""}}


def _find(start: Path, path: str) -> Path:
    """Also where a Mac wrote its Korean or French names apart (NFD), or Windows its folders."""
    spellings = (path, *(normalize(form, path) for form in ("NFC", "NFD")), path.replace("\\", "/"))
    return next((start / name for name in spellings if _is_there(start / name)), start / path)


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
    said = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    if isinstance(cause, UnicodeDecodeError):
        return f"{name} is not in UTF-8: save it as CSV in UTF-8."
    from datasets.exceptions import DatasetNotFoundError

    if isinstance(error, DatasetNotFoundError):
        return (
            f"'{name}' is neither a file or folder here nor a dataset on the Hub that you may "
            f"read: {said}"
        )
    if "Config name is missing" in str(error) or "BuilderConfig" in str(error):
        there = re.findall(r"'([\w.-]+)'", re.split("available", str(error), flags=re.I)[-1])[:60]
        return (
            f"{name} comes in configurations ({', '.join(there) or said}): choose one with "
            f"--dataset_config{f', {config!r} is none of them' if config else ''}."
        )
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
    return Path((row["audio"] or {}).get("path") or f"row {index}").name
