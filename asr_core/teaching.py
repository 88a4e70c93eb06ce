"""Teach it: a visitor's `Lesson`, learnt by `train.py`, and what came of it.

One lesson is taught at a time.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from asr_core import comparison, page
from asr_core.errors import AsrError, ModelError, OptionError
from asr_core.lesson import LEAST, Lesson, copies, host_flags, stop, write, zipped
from asr_core.phrases import say

GLANCE = 0.5  # seconds between two looks at how the training goes
QUIET = 5.0  # seconds without news, after which the last view is shown again
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
TRAIN = Path(__file__).parents[1] / "train.py"


def allowed(public: bool = False) -> bool:
    """Whether visitors may teach: `ASR_TEACH` says so, or else this is no `public` page.

    Raises OptionError when what it says cannot be understood, or what `ASR_TEACH_FLAGS` says.
    """
    host_flags()
    wish = os.environ.get("ASR_TEACH", "").strip().lower()
    if not wish:
        return not public
    if wish not in (*YES, *NO):
        raise OptionError(f"ASR_TEACH={wish} is neither yes nor no: set it to 1 or 0.")
    return wish in YES


def check() -> None:
    """Raises OptionError where `train.py` does not know what `ASR_TEACH_FLAGS` says."""
    if given := host_flags():
        from asr_core import flags

        try:
            flags.parse(["--preset", "teach", *given])
        except OptionError as error:
            raise OptionError(f"ASR_TEACH_FLAGS={' '.join(given)}: {error}") from error
        except SystemExit:  # after the help that it asks for
            raise OptionError("ASR_TEACH_FLAGS asks for help: give flags to learn by.") from None


class Point(NamedTuple):
    """Of a line called `name`; a value of None only says that there will be such a line."""

    step: int
    value: float | None
    name: str


class View(NamedTuple):
    """What the page shows of a lesson: a sentence, its course so far, and what came of it.

    `result` is HTML, and `download` a zip file with the model.
    """

    notice: str
    losses: Sequence[Point] = ()
    rates: Sequence[Point] = ()
    steps: int = 0  # in all
    result: str = ""
    download: str | None = None
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
        train, test = (copies(lesson, part, folder / "clips") for part in lesson.parts())
        flags = write(lesson, folder, train, test)
        if not _begin(lesson, flags, folder):
            yield View(_notice("problem", "teach_taken", language))
            return
        entries: list[dict] = []
        began, shown = 0.0, time.monotonic()
        while lesson.process.poll() is None:
            if lesson.cancelled:  # before there was a process to stop
                stop(lesson.process)
            time.sleep(GLANCE)
            known, entries = len(entries), _diary(folder)
            began = began if known else time.monotonic()
            if len(entries) > known:
                said = _progress(entries[-1], time.monotonic() - began, language)
                steps = entries[-1]["steps"]
                view = View(said, *_lines(entries, language), steps, running=True)
            elif time.monotonic() < shown + QUIET:
                continue
            yield view  # also without news: only here gradio can end this, when a visitor has gone
            shown = time.monotonic()
        if lesson.cancelled:
            yield view._replace(notice=_notice("done", "teach_cancelled", language), running=False)
            return
        _check(lesson.process.returncode, folder)
        yield view._replace(notice=_notice("busy", "teach_measure", language))
        lesson.keep(folder / "model")
        said, result = _compare(lesson, test, language)
        packed = str(zipped(lesson.folder / "model"))
        yield view._replace(notice=said, result=result, download=packed, running=False)
    except Exception as error:
        said = page.complaint(error, language)
        if not isinstance(error, AsrError):
            said = say("teach_failed", language)
        yield view._replace(notice=page.notice("problem", said), running=False)
    finally:
        stop(lesson.process)
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
    stop(_running)


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
    key, left = "teach_step", ""
    if step:
        key, left = "teach_left", page.clock(seconds / step * (steps - step))
    said = say(key, language, step=step, steps=steps, left=left)
    bar = f'<progress aria-label="{said}" value="{step}" max="{steps}"></progress>'
    return page.notice("busy", said, bar)


def _check(returncode: int, folder: Path) -> None:
    """Raises ModelError with what `train.py` says went wrong, or RuntimeError with all it says."""
    if returncode:
        said = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip()
        last = said.rpartition("\n")[2]
        if last.startswith("train.py: "):
            raise ModelError(last.removeprefix("train.py: "))
        raise RuntimeError(said)


def _compare(lesson: Lesson, test: list[page.Sample], language: str) -> tuple[str, str]:
    """A sentence and HTML about the held-out sentences, before and after, as the page hears."""
    from asr_core.evaluation import evaluate

    rows = [{"audio": {"path": clip.path}, "transcription": clip.sentence} for clip in test]
    before = evaluate(lesson.engine.recognizer(lesson.base), rows)
    after = evaluate(lesson.engine.recognizer(lesson.model), rows)
    key = "teach_better" if after.cer < before.cer else "teach_no_better"
    rates = {
        "before": f"{before.wer:.0%}",
        "after": f"{after.wer:.0%}",
        "cer_before": f"{before.cer:.0%}",
        "cer_after": f"{after.cer:.0%}",
    }
    items = []
    for old, new in zip(before.rows, after.rows, strict=True):
        items.append(f"<li>{escape(test[old.index].sentence)}<dl>")
        for phrase, row in (("teach_before", old), ("teach_after", new)):
            compared = comparison.compare(row.reference, row.hypothesis)
            marked = comparison.markup(compared, language)
            items.append(f"<dt>{say(phrase, language)}</dt><dd>{marked}</dd>")
        items.append("</dl></li>")
    said = say("teach_done", language, count=len(test), **rates) + " " + say(key, language)
    return page.notice("done", said), f'<ul class="lesson">{"".join(items)}</ul>'


def _notice(kind: str, key: str, language: str) -> str:
    return page.notice(kind, say(key, language))
