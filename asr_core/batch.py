"""Several files at once: each by itself, so that a bad one fails alone; all in one zip file."""

from __future__ import annotations

import io
import os
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import NamedTuple

from asr_core import page
from asr_core.engine import NO_WISH, Engine, Wish
from asr_core.phrases import say
from asr_core.subtitles import FORMATS, render
from asr_core.transcript import Transcript

TOUCH = 60.0  # seconds
HEAD = 80  # characters of a transcript that the table shows


class Batch(NamedTuple):
    """What the page shows of a batch."""

    table: str
    notice: str
    running: bool
    lines: tuple[Line, ...] = ()


class Line(NamedTuple):
    """A line of the table; `state` is HTML, name and result are text.

    `transcript` is what has been heard so far, None where nothing has.
    """

    name: str
    state: str
    result: str = ""
    running: bool = True
    transcript: Transcript | None = None


def transcribe_files(
    engine: Engine, paths: list[str] | None, language: str = "en", wish: Wish = NO_WISH
) -> Iterator[Batch]:
    """One file after the other; the last batch is the whole."""
    if not paths:
        yield Batch("", page.notice("problem", say("files_none", language)), False)
        return
    waiting = page.notice("busy", say("waiting", language))
    lines = [Line(Path(path).name, waiting) for path in paths]
    finished = 0
    if not engine.ready(wish.model):
        said = page.notice("busy", say("loading", language))
        yield Batch(table(lines, language), said, True, tuple(lines))
    fresh = -TOUCH
    for index, path in enumerate(paths):
        for view in page.transcribe(engine, path, language, wish):
            if time.monotonic() > fresh + TOUCH:
                fresh = time.monotonic()
                for still in paths[index:]:  # or they are swept away as old while they wait
                    with suppress(OSError):
                        os.utime(still)
            heard = view.text
            if view.running:  # its end is more telling than its beginning
                shown = "… " * (len(heard) > HEAD) + heard[-HEAD:]
            else:
                shown = heard[:HEAD] + " …" * (len(heard) > HEAD)
            name, transcript = lines[index].name, view.transcript
            lines[index] = Line(name, view.notice, shown, view.running, transcript)
            heard_all = not view.running and transcript and transcript.complete
            finished += bool(heard_all and transcript.words)
            running = view.running or index + 1 < len(paths)
            failed = 0 if running else len(paths) - finished
            kind = "busy" if running else "problem" if failed else "done"
            key = "files_failed" if failed else "files_done"
            said = say(key, language, done=finished, count=len(paths), failed=failed)
            shown = table(lines, language)
            yield Batch(shown, page.notice(kind, said), running, tuple(lines))


def cancelled(lines: Iterable[Line], language: str = "en") -> str:
    """The table when nobody wants to wait for what is not finished."""

    def state(line: Line) -> str:
        if not line.running:
            return line.state
        key = "cancelled" if line.result else "files_cancelled"
        return page.notice("done", say(key, language))

    return table([line._replace(state=state(line)) for line in lines], language)


def table(lines: Sequence[Line], language: str = "en") -> str:
    """HTML of the files and what became of them."""
    keys = ("file", "state", "result")
    titles = "".join(f'<th scope="col">{say(key, language)}</th>' for key in keys)
    rows = "".join(
        f"<tr><td>{escape(line.name)}</td>"
        # Where there are no words, what there is to say needs their place on a phone.
        + (
            f'<td>{line.state}</td><td dir="auto">{escape(line.result)}</td></tr>'
            if line.result
            else f'<td colspan="2">{line.state}</td></tr>'
        )
        for line in lines
    )
    seconds = sum(line.transcript.duration for line in lines if line.transcript)
    return (
        f'<table class="files" data-seconds="{seconds:.0f}">'
        f"<thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
    )


def zipped(lines: Iterable[Line]) -> bytes | None:
    """A zip file with every transcript in every format, None where there are none.

    Names that occur twice are numbered, and those of recordings that were not heard to the end say
    so: "talk (partial)".
    """
    file = io.BytesIO()
    taken: set[str] = set()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        for transcript in (line.transcript for line in lines):
            if transcript is None or not (transcript.complete or transcript.words):
                continue
            stem = Path(transcript.source).stem or "transcript"
            if not transcript.complete:
                stem += " (partial)"
            name, number = stem, 1
            while name.casefold() in taken:  # some file systems take "Talk" for "talk"
                number += 1
                name = f"{stem} ({number})"
            taken.add(name.casefold())
            for format in FORMATS:
                pack.writestr(f"{name}.{format}", render(transcript, format))
    return file.getvalue() if taken else None
