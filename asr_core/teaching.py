"""Teach it: a visitor's own sentences, learnt by `train.py`, and what came of it.

A lesson belongs to one visitor. Its recordings and its model lie in a folder of its own and go with
it, and so does all that training writes. One lesson is taught at a time.
"""

from __future__ import annotations

import atexit
import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

from asr_core import audio, comparison, page
from asr_core.engine import Engine
from asr_core.errors import AsrError, AudioError, DataError, ModelError
from asr_core.models import EMBEDDED
from asr_core.phrases import say

LEAST = 6  # recordings to begin with
HELD_OUT = 3  # every third recording is not learnt but measured on
REPEATS = 4  # times that each sentence is learnt for once of each of the sample's
RATE = 16_000  # Hz, of recordings as they are kept
LONGEST = 20.0  # seconds, as `train.py` leaves out what is longer
GLANCE = 0.5  # seconds between two looks at how the training goes
TRAIN = Path(__file__).parents[1] / "train.py"
# The preset is for the small embedded model. A large one knows more, learns in smaller steps, and
# would not be done within minutes if it were shown the sample as well.
LARGE = "--freeze feature_encoder --learning_rate 5e-5 --num_train_epochs 5".split()


def allowed(public: bool = False) -> bool:
    """Whether visitors may teach: `ASR_TEACH` says so, or else this is no public host."""
    wish = os.environ.get("ASR_TEACH", "").strip()
    if wish:
        return wish != "0"
    return not public and "SPACE_ID" not in os.environ


class Lesson:
    """Sentences to read aloud, recordings of some of them, and the model that learnt from these.

    `model` is the name under which `Engine` has that model, None before there is one.
    """

    def __init__(self, engine: Engine, sentences: Sequence[str]) -> None:
        self.engine = engine
        self.sentences = list(sentences)
        self.clips: dict[int, Path] = {}
        self.base: str | None = ""
        self.model: str | None = None
        self.cancelled = False
        self.process: subprocess.Popen | None = None
        self._home = tempfile.TemporaryDirectory(prefix="asr-lesson-")

    @property
    def folder(self) -> Path:
        return Path(self._home.name)

    def record(self, index: int, path: str, sentence: str) -> None:
        """Keep a recording of sentence `index`, which was said as `sentence`.

        Raises AudioError when it cannot be learnt from, DataError when nothing is said to be in it.
        """
        if not sentence.strip():
            raise DataError("Write down what is said in the recording.")
        samples = audio.load(path, RATE)
        if np.abs(samples).max() < audio.SILENCE:
            raise AudioError(
                "The recording is silent: check that the right microphone is chosen and not muted."
            )
        if len(samples) > LONGEST * RATE:
            raise AudioError(f"The recording is longer than {LONGEST:g} s: say one sentence only.")
        kept = self.folder / f"{index:02}.wav"
        sf.write(kept, samples, RATE, subtype="PCM_16")
        self.clips[index], self.sentences[index] = kept, sentence.strip()

    def forget(self, index: int) -> None:
        """Delete the recording of sentence `index`."""
        if index in self.clips:
            self.clips.pop(index).unlink()

    def next(self, index: int) -> int:
        """The sentence to read after `index`: the next without a recording, else `index`."""
        others = [*range(index + 1, len(self.sentences)), *range(index)]
        return next((i for i in others if i not in self.clips), index)

    def parts(self) -> tuple[list[int], list[int]]:
        """Sentences to learn and sentences to measure on, which have no text in common.

        Raises DataError when there are no two of them.
        """
        train, test, learnt = [], [], set()
        for place, index in enumerate(sorted(self.clips)):
            words = " ".join(self.sentences[index].casefold().split())
            held_out = place % HELD_OUT == HELD_OUT - 1
            (test if held_out else train).append((index, words))
            if not held_out:
                learnt.add(words)
        test = [index for index, words in test if words not in learnt]
        if not test:
            raise DataError("All recordings are of the same sentence: say different ones.")
        return [index for index, _ in train], test

    def keep(self, model: Path) -> None:
        """Take over what was just taught, in the place of what was taught before."""
        shutil.rmtree(self.folder / "model", ignore_errors=True)
        self.model = self.engine.lend(model.rename(self.folder / "model"), self.model)

    def cancel(self) -> None:
        """Stop learning at once."""
        self.cancelled = True
        _stop(self.process)

    def close(self) -> None:
        """Delete everything."""
        self.cancel()
        if self.model:
            self.engine.forget(self.model)
            self.model = None
        self.clips.clear()
        self._home.cleanup()


class Point(NamedTuple):
    """Of a line called `name`; a value of None only says that there will be such a line."""

    step: int
    value: float | None
    name: str


class View(NamedTuple):
    """What the page shows of a lesson: a sentence, its course so far, and what came of it.

    `result` is HTML, and `archive` a zip file with the model.
    """

    notice: str
    losses: Sequence[Point] = ()
    rates: Sequence[Point] = ()
    steps: int = 0  # in all
    result: str = ""
    archive: str | None = None
    running: bool = False


def teach(lesson: Lesson | None, model: str | None, language: str = "en") -> Iterator[View]:
    """Views of a lesson while `model` learns, the last with what came of it.

    `model` is one of the host's names; a model that was taught is taught anew from its own base,
    because it has heard what is held out now.
    """
    count = len(lesson.clips) if lesson else 0
    if lesson is None or count < LEAST:
        few = say("teach_few", language, count=count, least=LEAST)
        yield View(page.notice("problem", few))
        return
    if model != lesson.model:
        lesson.base = model
    lesson.cancelled = False
    view = View(_notice("busy", "teach_begin", language), running=True)
    folder = lesson.folder / "new"
    try:
        yield view
        train, test = lesson.parts()
        flags = write(lesson, folder, train, test)
        if not _begin(lesson, flags, folder):
            yield View(_notice("problem", "teach_taken", language))
            return
        entries: list[dict] = []
        began = 0.0
        while lesson.process.poll() is None:
            if lesson.cancelled:  # before there was a process to stop
                _stop(lesson.process)
            time.sleep(GLANCE)
            known, entries = len(entries), _diary(folder)
            began = began if known else time.monotonic()
            if len(entries) > known:
                said = _progress(entries[-1], time.monotonic() - began, language)
                steps = entries[-1]["steps"]
                view = View(said, *_lines(entries, language), steps, running=True)
                yield view
        if lesson.cancelled:
            yield view._replace(notice=_notice("done", "teach_cancelled", language), running=False)
            return
        _check(lesson.process.returncode, folder)
        yield view._replace(notice=_notice("busy", "teach_measure", language))
        lesson.keep(folder / "model")
        said, result = _compare(lesson, test, language)
        archive = str(_archive(lesson.folder / "model"))
        yield view._replace(notice=said, result=result, archive=archive, running=False)
    except Exception as error:
        said = page.complaint(error, language)
        if not isinstance(error, AsrError):
            said = say("teach_failed", language)
        yield view._replace(notice=page.notice("problem", said), running=False)
    finally:
        _stop(lesson.process)
        shutil.rmtree(folder, ignore_errors=True)


_running: subprocess.Popen | None = None
_turn = threading.Lock()


def _begin(lesson: Lesson, flags: list[str], folder: Path) -> bool:
    """Start `train.py` for a lesson, unless another one is being taught."""
    global _running
    with _turn:
        if _running and _running.poll() is None:
            return False
        # What `datasets` keeps of the sentences goes with the lesson, too.
        environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "cache")}
        with (folder / "log.txt").open("wb") as output:
            _running = lesson.process = subprocess.Popen(
                [sys.executable, str(TRAIN), *flags],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the app, which ends this at once
            )
        return True


@atexit.register
def _stop_running() -> None:
    _stop(_running)


def _stop(process: subprocess.Popen | None) -> None:
    if process and process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # with all that read recordings for it
        process.wait()


def write(lesson: Lesson, folder: Path, train: list[int], test: list[int]) -> list[str]:
    """The lesson as a data set in `folder`; returns the flags of `train.py` for it."""
    engine, data = lesson.engine, folder / "data"
    base = lesson.base or engine.choice().name
    language_model = engine.recognizer(lesson.base).language_model
    parts = {"train": train * REPEATS, "test": test}
    for part, indices in parts.items():
        (data / part).mkdir(parents=True)
        rows = [(lesson.clips[i], lesson.sentences[i]) for i in indices]
        if part == "train" and base == EMBEDDED:
            rows += page.samples(data / part, None, part)
        with (data / part / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("file_name", "transcription"), *rows])
    flags = ["--preset", "teach", "--model", base, *([] if base == EMBEDDED else LARGE)]
    flags += ["--dataset", str(data), "--output_dir", str(folder / "model")]
    if language_model:
        flags += ["--language_model", language_model.name]
    return [*flags, *shlex.split(os.environ.get("ASR_TEACH_FLAGS", ""))]


def _diary(folder: Path) -> list[dict]:
    """What the training has logged so far."""
    from asr_core.watch import DIARY

    try:
        lines = (folder / "model" / DIARY).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines.rpartition("\n")[0].splitlines()]


def _lines(entries: list[dict], language: str) -> tuple[list[Point], list[Point]]:
    """Losses and error rates."""

    def line(name: str, phrase: str) -> list[Point]:
        label = say(phrase, language)
        points = [Point(entry["step"], entry[name], label) for entry in entries if name in entry]
        return points or [Point(0, None, label)]

    losses = line("loss", "teach_loss") + line("eval_loss", "teach_loss_held_out")
    return losses, line("eval_wer", "teach_wer") + line("eval_cer", "teach_cer")


def _progress(entry: dict, seconds: float, language: str) -> str:
    """How far it is after `seconds`, with the time left as soon as that can be told."""
    step, steps = entry["step"], entry["steps"]
    bar = f'<progress value="{step}" max="{steps}"></progress>'
    key, left = "teach_step", ""
    if step:
        key, left = "teach_left", page.clock(seconds / step * (steps - step))
    return page.notice("busy", say(key, language, step=step, steps=steps, left=left), bar)


def _check(returncode: int, folder: Path) -> None:
    """Raises ModelError with what `train.py` says went wrong, or RuntimeError with all it says."""
    if returncode:
        said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip()
        last = said.rpartition("\n")[2]
        if last.startswith("train.py: "):
            raise ModelError(last.removeprefix("train.py: "))
        raise RuntimeError(said)


def _compare(lesson: Lesson, test: list[int], language: str) -> tuple[str, str]:
    """A sentence and HTML about the held-out sentences, before and after, as the page hears."""
    from asr_core.evaluation import evaluate

    rows = [
        {"audio": {"path": str(lesson.clips[i])}, "transcription": lesson.sentences[i]}
        for i in test
    ]
    before = evaluate(lesson.engine.recognizer(lesson.base), rows)
    after = evaluate(lesson.engine.recognizer(lesson.model), rows)
    key = "teach_better" if after.cer < before.cer else "teach_no_better"
    rates = {
        "before": f"{before.wer:.0%}",
        "after": f"{after.wer:.0%}",
        "cer_before": f"{before.cer:.0%}",
        "cer_after": f"{after.cer:.0%}",
    }
    titles = {kind: say(kind, language) for kind in ("substitution", "deletion", "insertion")}
    items = []
    for old, new in zip(before.rows, after.rows, strict=True):
        items.append(f"<li>{escape(lesson.sentences[test[old.index]])}<dl>")
        for phrase, row in (("teach_before", old), ("teach_after", new)):
            compared = comparison.compare(row.reference, row.hypothesis)
            marked = comparison.markup(compared, titles)
            items.append(f"<dt>{say(phrase, language)}</dt><dd>{marked}</dd>")
        items.append("</dl></li>")
    said = say("teach_done", language, count=len(test), **rates) + " " + say(key, language)
    return page.notice("done", said), f'<ul class="lesson">{"".join(items)}</ul>'


def _archive(model: Path) -> Path:
    """A zip file with what makes the model work and what describes it."""
    from asr_core import hub

    path = model.with_name("taught-model.zip")
    with zipfile.ZipFile(path, "w") as zipped:  # weights do not get smaller
        for name in hub.files(model):
            zipped.write(model / name, name)
    return path


def _notice(kind: str, key: str, language: str) -> str:
    return page.notice(kind, say(key, language))
