"""Programs as people start them: how soon they answer, how many they serve, what memory they take.

Each runs in a process of its own, so that nothing is warm and nothing else is counted.
"""

from __future__ import annotations

import itertools
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from asr_core import data
from asr_core.benchmark import Row, measure
from asr_core.errors import AsrError

ROOT = Path(__file__).parents[1]
RATE = 16_000
CLIENTS = 8
CLIPS = (1, 20)  # seconds that one has, of a recording cut into many
EACH = 3  # sentences that a client wants written down, one after the other
LOOK = 0.005  # seconds between two looks at a program's memory
MB = 1e6


@dataclass(frozen=True)
class Served:
    """The page's endpoint with one client and with many."""

    rows: list[Row]
    finished: tuple[float, float]  # seconds after which the first and the last of many were done
    growth: float  # MB of memory that many take more than one

    def __str__(self) -> str:
        first, last = self.finished
        return (
            f"{CLIENTS} clients with the same work, all at once, were done after {first:.1f} to "
            f"{last:.1f} s; they took {self.growth:.0f} MB more than one."
        )


def serve(rounds: int) -> Served:
    """Transcribe through a running page: one client after the other, then all at once."""
    from gradio_client import Client, handle_file

    with tempfile.TemporaryDirectory() as folder, _app() as (page, url):
        files = _sample(Path(folder))[:EACH]
        seconds = sum(map(_seconds, files))
        clients = [Client(url, verbose=False) for _ in range(CLIENTS)]
        finished: list[float] = []

        def work(client: Client) -> None:
            for file in files:
                client.predict(handle_file(str(file)), api_name="/transcribe")
            finished.append(time.perf_counter())

        def at_once() -> None:
            finished.clear()
            with ThreadPoolExecutor(CLIENTS) as pool:
                list(pool.map(work, clients))

        def one_by_one() -> None:
            for client in clients:
                work(client)

        one_by_one()
        before = page.memory_info().rss
        ways = {
            "the page's endpoint, embedded: one client after the other": one_by_one,
            f"the page's endpoint, embedded: {CLIENTS} clients at once": at_once,
        }
        with _peak(page) as peak:
            rows = measure(ways, CLIENTS * seconds, rounds)
        began = time.perf_counter()
        at_once()
        done = (min(finished) - began, max(finished) - began)
        return Served(rows, done, (peak() - before) / MB)


def memory(model: str, minutes: tuple[float, ...]) -> str:
    """What a file of each length takes beyond the loaded model, and how soon its words come.

    And what the longest one takes when it comes as clips, no two of one length.
    """
    lines = [
        f"| {model} | MB above the loaded model | first words after | times real time |",
        "| --- | ---: | ---: | ---: |",
    ]
    spawn = multiprocessing.get_context("spawn")
    files = [(f"{length:g} minutes", length, False) for length in minutes]
    clips = f"{max(minutes):g} minutes in clips of {CLIPS[0]} to {CLIPS[1]} s"
    for name, length, cut in [*files, (clips, max(minutes), True)]:
        with ProcessPoolExecutor(1, mp_context=spawn) as fresh:
            growth, first, speed = fresh.submit(_hear, model, length, cut).result()
        lines.append(f"| {name} | {growth:.0f} | {first:.2f} s | {speed:.0f} |")
    return "\n".join(lines)


def startup(rounds: int) -> str:
    """From a command to its first answer, the median of `rounds`."""
    command = [sys.executable, "-m", "asr_core"]
    with tempfile.TemporaryDirectory() as folder:
        file = str(_sample(Path(folder))[0])
        ways: dict[str, Callable[[], float]] = {
            "`python app.py`: the page answers": _until_the_page_answers,
            "`python -m asr_core transcribe` of a sentence": lambda: _run(
                [*command, "transcribe", file, "--model", "embedded"]
            ),
            "`python -m asr_core --help`": lambda: _run([*command, "--help"]),
        }
        lines = ["| start | seconds |", "| --- | ---: |"]
        for name, way in ways.items():
            taken = [way() for _ in range(rounds + 1)][1:]
            lines.append(f"| {name} | {statistics.median(taken):.2f} |")
    return "\n".join(lines)


def _hear(model: str, minutes: float, cut: bool) -> tuple[float, float, float]:
    """MB of growth, seconds until the first words, and the speed, of a file of that length."""
    from asr_core import models
    from asr_core.recognizer import Recognizer

    models.quiet()
    recognizer = Recognizer(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "long.wav")
        _repeat(_sample(Path(folder)), minutes * 60, path)
        process = psutil.Process()
        before, began, first = process.memory_info().rss, time.perf_counter(), 0.0
        with _peak(process) as peak:
            heard = recognizer.transcribe_many(_cut(path)) if cut else recognizer.stream(path)
            for transcript in heard:
                if transcript.words and not first:
                    first = time.perf_counter() - began
        took = time.perf_counter() - began
        return (peak() - before) / MB, first, _seconds(path) / took


def _cut(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """A file at `RATE`, in clips of all lengths."""
    import soundfile

    lengths = np.random.default_rng(0)
    with soundfile.SoundFile(path) as file:
        while len(clip := file.read(int(lengths.uniform(*CLIPS) * RATE), dtype="float32")):
            yield RATE, clip


@contextmanager
def _peak(process: psutil.Process) -> Iterator[Callable[[], int]]:
    """The most memory, in bytes, that `process` holds at any time within."""
    highest, over = process.memory_info().rss, threading.Event()

    def look() -> None:
        nonlocal highest
        while not over.wait(LOOK):
            highest = max(highest, process.memory_info().rss)

    watching = threading.Thread(target=look)
    watching.start()
    try:
        yield lambda: highest
    finally:
        over.set()
        watching.join()


@contextmanager
def _app(ready: bool = True) -> Iterator[tuple[psutil.Process, str]]:
    """A running page that answers, and where; when `ready`, with its model loaded."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--model", "embedded", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as app:
        try:
            while not _answers(url):
                if app.poll() is not None:
                    raise AsrError("app.py ended before its page answered: start it by itself.")
                time.sleep(0.02)
            if ready:
                next(line for line in app.stdout if line.startswith("Ready"))
            yield psutil.Process(app.pid), url
        finally:
            app.terminate()
            app.communicate()  # or what it still says would find a pipe that is closed


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def _until_the_page_answers() -> float:
    began = time.perf_counter()
    with _app(ready=False):
        return time.perf_counter() - began


def _run(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def _sample(folder: Path) -> list[Path]:
    """Sentences of the sample as WAV files at `RATE`."""
    import soundfile

    from asr_core import audio

    files = []
    for index, row in enumerate(data.load(data.SAMPLE, split="test[:8]")):
        files.append(folder / f"{index}.wav")
        soundfile.write(files[-1], audio.load(data.row_source(row), RATE), RATE)
    return files


def _repeat(files: list[Path], seconds: float, path: Path) -> None:
    """A file of that length that says again and again what the `files` do."""
    with wave.open(str(path), "wb") as long:
        for file in itertools.cycle(files):
            with wave.open(str(file)) as part:
                if not long.getnframes():
                    long.setparams(part.getparams())
                long.writeframesraw(part.readframes(part.getnframes()))
            if long.tell() >= seconds * RATE:
                break


def _seconds(file: Path) -> float:
    with wave.open(str(file)) as opened:
        return opened.getnframes() / opened.getframerate()
