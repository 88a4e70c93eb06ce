"""Several files at once: each by itself, so that a bad one fails alone; all in one archive."""

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
    """What the page shows of a batch, and the transcripts that are finished."""

    table: str
    notice: str
    transcripts: list[Transcript]
    running: bool
    lines: tuple[Line, ...] = ()


class Line(NamedTuple):
    """A line of the table; `state` is HTML, name and result are text."""

    name: str
    state: str
    result: str = ""
    running: bool = True


def transcribe_files(
    engine: Engine, paths: list[str] | None, language: str = "en", wish: Wish = NO_WISH
) -> Iterator[Batch]:
    """One file after the other; the last batch is the whole."""
    if not paths:
        yield Batch("", page.notice("problem", say("files_none", language)), [], False)
        return
    waiting = page.notice("busy", say("waiting", language))
    lines = [Line(Path(path).name, waiting) for path in paths]
    finished: list[Transcript] = []
    if not engine.ready(wish.model):
        said = page.notice("busy", say("loading", language))
        yield Batch(table(lines, language), said, [], True, tuple(lines))
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
            lines[index] = Line(lines[index].name, view.notice, shown, view.running)
            if not view.running and view.transcript and view.transcript.complete:
                finished.append(view.transcript)
            said = say("files_done", language, done=len(finished), count=len(paths))
            running = view.running or index + 1 < len(paths)
            kind = "busy" if running else "done"
            shown = table(lines, language)
            yield Batch(shown, page.notice(kind, said), [*finished], running, tuple(lines))


def cancelled(lines: Iterable[Line], language: str = "en") -> str:
    """The table when nobody wants to wait for what is not finished."""
    said = page.notice("done", say("cancelled", language))
    return table([line._replace(state=said) if line.running else line for line in lines], language)


def table(lines: Sequence[Line], language: str = "en") -> str:
    """HTML of the files and what became of them."""
    keys = ("file", "state", "result")
    titles = "".join(f'<th scope="col">{say(key, language)}</th>' for key in keys)
    rows = "".join(
        f"<tr><td>{escape(line.name)}</td><td>{line.state}</td><td>{escape(line.result)}</td></tr>"
        for line in lines
    )
    return f'<table class="files"><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>'


def archive(transcripts: list[Transcript]) -> bytes:
    """A zip file with every transcript in every format; names that occur twice are numbered."""
    file = io.BytesIO()
    taken: set[str] = set()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for transcript in transcripts:
            stem = name = Path(transcript.source).stem or "transcript"
            number = 1
            while name.casefold() in taken:  # some file systems take "Talk" for "talk"
                number += 1
                name = f"{stem} ({number})"
            taken.add(name.casefold())
            for format in FORMATS:
                zipped.writestr(f"{name}.{format}", render(transcript, format))
    return file.getvalue()
