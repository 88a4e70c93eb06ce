"""`python -m asr_core evaluate`: measure a model on a dataset."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from asr_core.command_options import (
    dataset_arguments,
    make_room,
    model_arguments,
    recognizer_of,
    write,
)
from asr_core.errors import at_least_one

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    model_arguments(parser)
    dataset_arguments(parser)
    parser.add_argument("--baseline", help="another model, to stand beside this one")
    parser.add_argument("--json", type=Path, help="write every number and utterance there")
    parser.add_argument(
        "--html", type=Path, help="write a page there with the errors to read and the clips to play"
    )


def run(options: argparse.Namespace) -> int:
    from asr_core import evaluation, evaluation_page, mistakes, models

    models.quiet()
    for path in filter(None, (options.json, options.html)):
        make_room(path)  # now, and not after an hour of measuring
    rows = _rows(options)
    results = []
    for model in filter(None, (options.baseline, options.model)):
        recognizer = recognizer_of(options, model)
        log.info("%s, %d rows", recognizer, len(rows))
        results.append(evaluation.evaluate(recognizer, _shown(rows), options.dataset))
    result, baseline = results[-1], results[0] if options.baseline else None
    for row, why in result.failed.items():
        log.warning("%s was left out: %s", row, why)
    for row, why in result.doubtful.items():
        log.warning("%s was measured all the same: %s", row, why)
    for one in results:
        if one.warning:
            log.warning("%s", one.warning)
    try:  # before it is printed, as with `| head` nobody may read all of that
        if options.json:
            values = result.to_dict() | ({"baseline": baseline.to_dict()} if baseline else {})
            write(options.json, json.dumps(values, ensure_ascii=False, indent=1))
        if options.html:
            write(options.html, evaluation_page.render(result, rows, baseline))
    finally:  # also where the disk is full
        print(evaluation.side_by_side(baseline, result))
        print(mistakes.describe(result.rows))
    if options.html:
        log.info("The errors to read and the clips to play are in %s", options.html)
    return 0


def _rows(options: argparse.Namespace):
    """The rows to measure on: of the split asked for, else of the test part where there is one."""
    from asr_core import data

    at_least_one("--max_samples", options.max_samples)
    split = options.split
    if split is None:
        split = data.measured_split(options.dataset, options.dataset_config)
        log.info("Measuring on the part '%s'", split)
    columns = data.Columns(options.audio_column, options.text_column, options.speaker_column)
    rows = data.load(options.dataset, options.dataset_config, split, columns)
    if options.max_samples is not None:
        rows = rows.select(range(min(options.max_samples, len(rows))))
    return rows


def _shown(rows):
    """`rows` with a progress bar on a terminal."""
    from tqdm import tqdm

    return tqdm(rows, unit="clip", disable=not sys.stderr.isatty())
