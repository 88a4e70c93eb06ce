"""`python -m asr_core transcribe`: write down what is said in recordings."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from asr_core import archive, subtitles
from asr_core.command_options import make_folder, model_arguments, recognizer_of
from asr_core.errors import AsrError, AudioError, DataError, OptionError, printable, readable
from asr_core.files import sweep

if TYPE_CHECKING:
    from asr_core.audio import Source
    from asr_core.transcript import Transcript

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="recordings, - for standard input, or a folder"
    )
    model_arguments(parser)
    parser.add_argument("--format", choices=subtitles.FORMATS, default="txt")
    parser.add_argument(
        "--output_dir",
        type=Path,
        help="write FILE's name with the format's ending there; what is there already is kept. "
        "Without it, one is printed; of several, each line begins with the name (txt) or is an "
        "object with the path (json)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="write anew what is in --output_dir already"
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="write those anew that are older than their recordings, which may have been copied in "
        "part only when they were heard",
    )
    parser.add_argument(
        "--part",
        type=_part,
        default=(1, 1),
        metavar="K/N",
        help="only the K-th of N parts of a folder, for N machines",
    )


def _part(written: str) -> tuple[int, int]:
    number, _, count = written.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{written!r} is not like 1/8 to 8/8.")
    return int(number), int(count)


def run(options: argparse.Namespace) -> int:
    jobs = archive.Jobs(options.files, options.output_dir, options.format, options.part)
    if _several(options) and options.format not in ("txt", "json"):
        raise OptionError(
            f"{len(options.files)} files would be one wrong {options.format} file: give "
            "--output_dir, or --format txt or json."
        )
    states = Counter(job.state for job in jobs)
    count = states.total()
    stay = _kept(options)
    kept = sum(states[state] for state in stay)
    unread = _tell_unread(jobs, told=set())
    if not count and options.part != (1, 1) and _any(options):
        log.info("There are no recordings in that part of %s.", printable(options.files[0]))
        return 1 if unread else 0
    if not count:
        raise OptionError(f"There are no recordings in {printable(options.files[0])}.")
    if kept:
        log.info(
            "%d of %d transcripts are there already; --overwrite writes them anew.", kept, count
        )
        doubtful = [(job, other) for job, other in jobs.doubtful() if job.state in stay]
        for job, other in doubtful[:1]:
            log.warning(
                "%d may be of other recordings, as %s of %s, which lies beside %s: if so, give "
                "another --output_dir.",
                *(len(doubtful), printable(job.target), printable(other), printable(job.source)),
            )
    if archive.State.OLD in stay and (old := states[archive.State.OLD]):
        log.warning(
            "%d of %d are older than their recordings; --update writes those anew.", old, count
        )
    if kept and "-" in options.files:
        raise OptionError(
            f"{options.output_dir} holds a transcript of standard input already, maybe of another: "
            "move it, or add --overwrite."
        )
    seen = failures = 0
    if todo := count - kept:
        seen, failures = _transcribe_jobs(jobs, todo, options)
    unread = _tell_unread(jobs, told=unread)  # a disk may go away meanwhile
    if failures and options.output_dir:
        log.info("%d of %d could not be transcribed.", failures, todo)
    if gone := max(0, count - seen) if todo else 0:
        log.warning("asr_core transcribe: %d of %d were no longer there.", gone, todo)
    return 1 if failures or unread or gone else 0


def _any(options: argparse.Namespace) -> bool:
    """Whether there is anything in any part. Raises OptionError where a path is wrong."""
    for path in options.files:
        if path != "-" and not Path(path).exists():
            raise OptionError(f"{printable(path)} does not exist: check the path.")
    return any(True for _ in archive.Jobs(options.files, options.output_dir, options.format))


def _tell_unread(jobs: archive.Jobs, told: set[str]) -> set[str]:
    """Name the folders that could not be read, but for those that were `told`; all of them."""
    for folder, why in jobs.unread.items():
        if folder not in told:
            log.warning("asr_core transcribe: %s cannot be read: %s.", printable(folder), why)
    return set(jobs.unread)


def _transcribe_jobs(
    jobs: archive.Jobs, count: int, options: argparse.Namespace
) -> tuple[int, int]:
    """Transcribe what is not done, about `count`; how many jobs there are, and failures."""
    if options.output_dir:
        make_folder(options.output_dir)
    recognizer = recognizer_of(options, options.model)
    log.info("%s", recognizer)
    kept, seen = _kept(options), Counter(all=0)
    begun: dict[int, tuple[archive.Job, tuple[int, int]]] = {}  # never is there a list of all

    def left() -> Iterator[Source]:
        """What is to be made, and was not by another run that began meanwhile; all are `seen`."""
        swept = None
        for job in jobs:
            seen["all"] += 1
            if job.state not in kept:
                if job.target and job.target.parent != swept:
                    sweep(swept := job.target.parent)
                begun[seen["begun"]] = job, job.look()
                seen["begun"] += 1
                yield _source(job)

    if options.output_dir:
        results = recognizer.transcribe_as_ready(left())
    else:  # printed in the order of the files
        results = enumerate(recognizer.transcribe_many(left(), return_errors=True))
    failures = 0
    with _progress(count, options) as bar:
        for number, result in results:
            job, before = begun.pop(number)
            if job.look() not in (before, archive.NOTHING):
                name = printable(Path(job.source).name)
                result = AudioError(
                    f"{name} is still being written: start again when it is complete."
                )
            failed = isinstance(result, AsrError)
            complaints = [result] if failed else [*result.warnings]
            written = _written(job, result, options)
            if written is not None:
                try:
                    _deliver(job, written, changed=before[1], quiet=not bar.disable)
                except DataError as error:
                    failed = True
                    complaints.append(error)
            where = "" if Path(job.name).name == job.name else f" ({printable(job.name)})"
            for complaint in complaints:
                bar.write(f"asr_core transcribe: {complaint}{where}", file=sys.stderr)
            failures += failed
            bar.update()
    return seen["all"], failures


def _kept(options: argparse.Namespace) -> set[archive.State]:
    """Which transcripts stay as they are: a person may have corrected one that is older."""
    if options.overwrite:
        return set()
    return {archive.State.DONE} | (set() if options.update else {archive.State.OLD})


def _progress(count: int, options: argparse.Namespace):
    """A bar for a person who waits for files; what is printed shows by itself how far it is."""
    from tqdm import tqdm

    shown = count > 1 and options.output_dir and sys.stderr.isatty()
    return tqdm(total=count, unit="file", smoothing=0, disable=not shown)


def _several(options: argparse.Namespace) -> bool:
    """Whether what is printed has to be told apart."""
    return options.output_dir is None and len(options.files) > 1


def _source(job: archive.Job) -> Source:
    if job.source != "-":
        return job.source
    if sys.stdin is None:
        raise AudioError("There is no standard input: give the path of a recording.")
    return sys.stdin.buffer


def _written(
    job: archive.Job, result: Transcript | AsrError, options: argparse.Namespace
) -> str | None:
    """A result as it is printed or saved; None of one that failed, but in lines of JSON."""
    failed = isinstance(result, AsrError)
    if not _several(options):
        return None if failed else subtitles.render(result, options.format)
    if options.format == "json":
        about = {"error": str(result)} if failed else result.to_dict()
        return json.dumps({"path": readable(job.source), **about}, ensure_ascii=False)
    return None if failed else f"{printable(job.source)}: {result.text}"


def _deliver(job: archive.Job, written: str, changed: int, quiet: bool) -> None:
    if job.target is None:
        print(written, end="" if written.endswith("\n") else "\n", flush=True)
    else:
        job.write(written, changed)
        if not quiet:
            log.info("%s -> %s", printable(job.source), printable(job.target))
