"""How fast is it? What the guide tells people to call beside ours, in turns, in one run.

    python -m asr_core benchmark inference
    python -m asr_core benchmark training

Speeds are seconds of audio per second. A machine's own speed drifts while it works, so what counts
is the ratio: the median over rounds of (guide's seconds / ours), both taken in the same round.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer

RATE = 16_000
CLIENTS = 8


@dataclass(frozen=True)
class Row:
    """One way to do the work: the speed of its median round, and its ratio to the first way."""

    name: str
    speed: float  # seconds of audio per second
    ratio: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", choices=["inference", "training"], default="inference")
    parser.add_argument("--rounds", type=int, default=3, help="of each way, after one to warm up")
    parser.add_argument("--clips", type=int, default=24, help="of 2 to 20 seconds, for inference")


def run(options: argparse.Namespace) -> None:
    print(machine(), end="\n\n")
    if options.what == "training":
        from asr_core import benchmark_training, models

        models.quiet()
        rows = benchmark_training.measure(options.rounds)
        print(benchmark_training.table(rows, benchmark_training.accuracy()))
        lists, ours = (size / 1e6 for size in benchmark_training.disk())
        print(
            f"\nPrepared data on disk: {lists:.2f} MB as the guide's lists, {ours:.2f} MB as ours."
        )
        return
    sounds = clips(options.clips)
    print(table("wav2vec2-base, random weights", against_the_guide(sounds, options.rounds)))
    print(table(f"embedded, {CLIENTS} clients", together(sounds, options.rounds)))


def machine() -> str:
    """What the figures hold for."""
    import torch

    from asr_core import models

    hardware = models.hardware()
    chip = (
        torch.cuda.get_device_name() if hardware.device.startswith("cuda") else platform.processor()
    )
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return (
        f"{chip or platform.machine()}, {torch.get_num_threads()} threads, {hardware}; "
        f"Python {platform.python_version()}, {libraries}"
    )


def clips(count: int) -> list[np.ndarray]:
    """Noise of 2 to 20 seconds: the time that a model takes does not depend on what it hears."""
    draw = np.random.default_rng(0)
    return [
        draw.normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
        for seconds in draw.permutation(np.linspace(2, 20, count))
    ]


def against_the_guide(sounds: list[np.ndarray], rounds: int) -> list[Row]:
    """The guide's `pipeline(...)` and ours on wav2vec2-base's shape."""
    from transformers import pipeline

    from asr_core.recognizer import Recognizer

    with tempfile.TemporaryDirectory() as folder:
        _save_base(Path(folder))
        guide = pipeline("automatic-speech-recognition", model=folder)
        best = Recognizer(folder, language_model="none")
        plain = Recognizer(folder, dtype="float32", language_model="none")

    def by_guide() -> None:
        for sound in sounds:
            guide({"raw": sound.copy(), "sampling_rate": RATE})

    ways = {
        "guide: pipeline(...), one clip after the other": by_guide,
        f"ours on {best.hardware}": lambda: _one_by_one(best, sounds),
        f"ours on {plain.hardware}": lambda: _one_by_one(plain, sounds),
    }
    return measure(ways, sum(map(len, sounds)) / RATE, rounds)


def together(sounds: list[np.ndarray], rounds: int) -> list[Row]:
    """Clients one after the other, and all at the same time."""
    from asr_core.recognizer import Recognizer

    recognizer = Recognizer("embedded", language_model="none")

    def at_once() -> None:
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda sound: recognizer.transcribe((RATE, sound)), sounds))

    ways = {
        "one after the other": lambda: _one_by_one(recognizer, sounds),
        f"{CLIENTS} at once": at_once,
    }
    return measure(ways, sum(map(len, sounds)) / RATE, rounds)


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


def table(title: str, rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"| {title} | times real time | ratio |", "| --- | ---: | ---: |"]
    lines += [f"| {row.name} | {row.speed:.1f} | {row.ratio:.2f} |" for row in rows]
    return "\n".join(lines) + "\n"


def _one_by_one(recognizer: Recognizer, sounds: list[np.ndarray]) -> None:
    for _ in recognizer.transcribe_many((RATE, sound) for sound in sounds):
        pass


def _save_base(folder: Path) -> None:
    """A model of wav2vec2-base's shape, with the embedded model's letters."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2Processor

    from asr_core.models import EMBEDDED_FOLDER

    processor = Wav2Vec2Processor.from_pretrained(EMBEDDED_FOLDER)
    processor.save_pretrained(folder)
    torch.manual_seed(0)
    config = Wav2Vec2Config(vocab_size=len(processor.tokenizer))
    Wav2Vec2ForCTC(config).save_pretrained(folder)
