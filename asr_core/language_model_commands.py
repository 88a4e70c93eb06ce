"""`python -m asr_core language-model build|tune`: make a language model, and weigh it."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr_core.errors import at_least_one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    build = actions.add_parser("build", help="learn from text files")
    build.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="a sentence a line, with spaces between words; plain, .gz, .bz2, .xz or .zst",
    )
    build.add_argument("--output", required=True, metavar="DIR", help="folder to write")
    build.add_argument("--order", type=int, default=3, help="words looked at together, 1 to 6")
    build.add_argument("--size", type=float, default=100.0, help="pruned to so many megabytes")
    build.add_argument("--vocabulary", type=int, default=65_536, help="the commonest words only")
    build.add_argument("--min_count", type=int, default=1, help="leave out words rarer than this")

    tune = actions.add_parser("tune", help="find its weights on a dataset, and store them in it")
    tune.add_argument("folder", metavar="DIR", help="of the language model")
    tune.add_argument("--model", default="embedded", help="that hears the recordings")
    tune.add_argument(
        "--dataset", required=True, nargs="+", help="as for `evaluate`; several add up"
    )
    tune.add_argument("--dataset_config", help="as in 'en-US', of every dataset")
    tune.add_argument("--audio_column", help="column of recordings")
    tune.add_argument("--text_column", help="column of transcripts")
    tune.add_argument("--split", help="as in 'test[:100]'; default: the test part if there is one")
    tune.add_argument("--max_samples", type=int, help="of each dataset, evenly picked")
    tune.add_argument(
        "--augment",
        default="none",
        help="change the recordings, as for train.py: if the model has learnt from them, so that "
        "it is not more sure of them than of others",
    )
    tune.add_argument("--beam", type=int, help="hypotheses to keep; more are slower")
    tune.add_argument("--dry_run", action="store_true", help="measure and print, store nothing")


def run(options: argparse.Namespace) -> int:
    return {"build": _build, "tune": _tune}[options.action](options)


def _build(options: argparse.Namespace) -> int:
    from asr_core import language_model_files, language_model_sources

    language_model_sources.build(
        options.texts,
        options.output,
        order=options.order,
        megabytes=options.size,
        vocabulary=options.vocabulary,
        minimum=options.min_count,
    )
    size = (Path(options.output) / language_model_files.NUMBERS).stat().st_size
    print(f"{options.output}: {size / 1e6:.1f} MB")
    return 0


def _tune(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from asr_core import augmentation, data, language_model_files, models, tuning
    from asr_core.lexicon import Vocabulary
    from asr_core.recognizer import Recognizer

    models.quiet()
    at_least_one("--max_samples", options.max_samples)
    augmentation.of(options.augment, 1)  # what is misspelt is said before anything is loaded
    known = language_model_files.load(options.folder)
    if options.beam is not None:
        known = known.with_weights(width=options.beam)
    recognizer = Recognizer(options.model, language_model="none")
    Vocabulary.of(recognizer.alphabet, known)  # one of another alphabet is refused at once
    rows, columns = [], data.Columns(options.audio_column, options.text_column)
    for dataset in options.dataset:
        split = options.split or data.measured_split(dataset, options.dataset_config)
        part = data.load(dataset, options.dataset_config, split, columns)
        most = min(options.max_samples or len(part), len(part))
        part = part.select([i * len(part) // most for i in range(most)])  # from all of it
        rows += [part]
    heard = tuning.listen(
        recognizer,
        tqdm((row for part in rows for row in part), total=sum(map(len, rows)), unit="clip"),
        augmentation.of(options.augment, recognizer.rate),
    )
    found = tuning.tune(recognizer, known, heard)
    print(found, f"{options.folder}: {found.weights}", sep="\n")  # also where no disk keeps them
    if not options.dry_run:
        # Names only: where they lie on this machine is nobody's business.
        names = [Path(name).name if Path(name).exists() else name for name in options.dataset]
        about = {"heard": found.heard, "tuned_on": names, "wer": round(found.wer, 4)}
        language_model_files.save_weights(options.folder, found.weights, **about)
    return 0
