"""How fast is it? What the guide tells people to call beside ours, in turns, in one run.

    python -m asr_core benchmark inference     # the guide's call and ours, many at once, decoding
    python -m asr_core benchmark memory        # three hours of sound, in one piece and in many
    python -m asr_core benchmark startup       # from a command to its first answer
    python -m asr_core benchmark agreement     # the words, whatever makes it fast
    python -m asr_core benchmark training

Speeds are seconds of audio per second. A machine's own speed drifts while it works, so what counts
is the ratio: the median over rounds of (guide's seconds / ours), both taken in the same round.
"""

from __future__ import annotations

import argparse
import math
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from asr_core.errors import OptionError, at_least_one

WHAT = ("inference", "memory", "startup", "agreement", "training")


@dataclass(frozen=True)
class Row:
    """One way to do the work: the speed of its median round, and its ratio to the first way."""

    name: str
    speed: float  # seconds of audio per second
    ratio: float | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=WHAT, default="inference")
    parser.add_argument("--rounds", type=int, default=3, help="of each way, after one to warm up")
    parser.add_argument("--clips", type=int, default=12, help="of 2 to 20 seconds, for inference")
    parser.add_argument(
        "--compile", action="store_true", help="a row with torch.compile, too, for inference"
    )
    parser.add_argument("--minutes", type=float, default=180, help="of the long file, for memory")
    parser.add_argument("--model", default="embedded", help="for memory and agreement")
    parser.add_argument(
        "--dataset", default="sample", help="for agreement and training, as for `evaluate`"
    )
    parser.add_argument("--test_dataset", default="sample", help="for training: to measure on")
    parser.add_argument("--max_samples", type=int, help="of the first rows of --dataset only")


def run(options: argparse.Namespace) -> None:
    from asr_core import models

    for name in ("rounds", "clips", "max_samples"):  # now, and not after all else was measured
        at_least_one(f"--{name}", getattr(options, name))
    if not 0 < options.minutes < math.inf:
        raise OptionError(f"--minutes {options.minutes:g}: give minutes, as in 180.")
    models.quiet()
    print(machine(), end="\n\n", flush=True)
    if options.what == "training":
        from asr_core import benchmark_training

        rows = benchmark_training.measure(options.rounds)
        data = options.dataset, options.test_dataset, options.max_samples
        learnt = [benchmark_training.accuracy(head, *data) for head in ("fresh", "trained")]
        print(benchmark_training.table(rows, learnt))
        lists, ours = (size / 1e6 for size in benchmark_training.disk())
        print(
            f"\nPrepared data on disk: {lists:.2f} MB as the guide's lists, {ours:.2f} MB as ours."
        )
    elif options.what == "inference":
        from asr_core import benchmark_inference, benchmark_programs

        rows = benchmark_inference.measure_all(options.clips, options.rounds, options.compile)
        try:
            served = benchmark_programs.serve(options.rounds)
        except ModuleNotFoundError as error:  # a machine for models only
            print(table("transcribing", rows))
            print(f"The page was not measured: {error}.")
        else:
            print(table("transcribing", [*rows, *served.rows]))
            print(served)
    elif options.what == "agreement":
        from asr_core import benchmark_agreement

        print(benchmark_agreement.table(options.model, options.dataset, options.max_samples))
    else:
        from asr_core import benchmark_programs

        if options.what == "memory":
            print(benchmark_programs.memory(options.model, (10, options.minutes)))
        else:
            print(benchmark_programs.startup(options.rounds))


def machine() -> str:
    """What the figures hold for."""
    import torch

    from asr_core import models

    hardware = models.hardware()
    on_gpu = hardware.device.startswith("cuda")
    chip = torch.cuda.get_device_name() if on_gpu else _processor()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return (
        f"{chip}, {torch.get_num_threads()} threads, {hardware}; "
        f"Python {platform.python_version()}, {libraries}"
    )


def measure(ways: dict[str, Callable[[], None]], audio: float, rounds: int) -> list[Row]:
    """Each way once in every round; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, work in ways.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    first = next(iter(seconds.values()))[1:]
    return [
        Row(
            name,
            audio / statistics.median(taken[1:]),
            statistics.median(a / b for a, b in zip(first, taken[1:], strict=True)),
        )
        for name, taken in seconds.items()
    ]


def table(title: str, rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"| {title} | times real time | ratio |", "| --- | ---: | ---: |"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.name} | {row.speed:.1f} | {ratio} |")
    return "\n".join(lines) + "\n"


def _processor() -> str:
    """The processor's name, which only Linux keeps in a file."""
    file = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", file.read_text()) if file.exists() else None
    return named[1] if named else platform.processor() or platform.machine()
