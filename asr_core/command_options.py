"""What several commands share: options, what they choose, and files that are written."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from asr_core.errors import OptionError, reason
from asr_core.start import quick_start

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer


def model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="embedded", help="'embedded', a directory or an id of the Hub"
    )
    parser.add_argument(
        "--language_model", default="auto", metavar="DIR", help="'auto': the model's own; or 'none'"
    )
    parser.add_argument("--hotwords", default="", help="words and names to favour, with commas")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--dtype", default="auto", help="auto, float32, bfloat16, float16, or on a CPU int8"
    )


def recognizer_of(options: argparse.Namespace, model: str) -> Recognizer:
    with quick_start():
        from asr_core import Recognizer

        return Recognizer(
            model, options.device, options.dtype, options.language_model, options.hotwords
        )


def dataset_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset",
        required=True,
        help="id of the Hub, folder with metadata, .csv, .tsv, .jsonl, .parquet, or 'sample'",
    )
    parser.add_argument("--dataset_config", help="as in 'en-US'")
    parser.add_argument(
        "--split", help="as in 'test[:100]'; default: the test part if there is one"
    )
    parser.add_argument("--max_samples", type=int, help="of the first rows only")
    parser.add_argument("--audio_column", help="column of recordings")
    parser.add_argument("--text_column", help="column of transcripts")
    parser.add_argument("--speaker_column", help="column of who speaks, if of no usual name")


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"{path} cannot be written: {reason(error)}.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OptionError(f"{path} cannot be written: permission denied.")


def make_room(path: Path) -> None:
    """For a file. Raises OptionError where there can be none."""
    if path.is_dir():
        raise OptionError(f"{path} cannot be written: it is a folder, and a file is wanted.")
    make_folder(path.parent)


def write(path: Path, written: str) -> None:
    make_room(path)
    try:
        path.write_text(written, encoding="utf-8")
    except OSError as error:
        raise OptionError(f"{path} cannot be written: {reason(error)}.") from error
