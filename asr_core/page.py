"""What the page does, without a browser: generators of what to show next.

Every function takes plain values and yields plain values; `app.py` wires them to components.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from asr_core.engine import Engine
from asr_core.errors import AsrError
from asr_core.models import EMBEDDED
from asr_core.phrases import say
from asr_core.transcript import Transcript

log = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "embedded" / "sample" / "test.parquet"


class View(NamedTuple):
    """The transcript so far and a sentence about it."""

    text: str
    notice: str


def transcribe(engine: Engine, path: str | None, language: str = "en") -> Iterator[View]:
    """Views of the transcript of a recording while it is read, the whole of it at the end."""
    if path is None:
        yield View("", notice("problem", say("nothing_recorded", language)))
        return
    text = ""
    try:
        if not engine.ready():
            yield View("", notice("busy", say("loading_queued", language)))
        for transcript in engine.recognizer().stream(path):
            text = transcript.text
            yield View(text, state(transcript, language))
    except AsrError as error:
        yield View(text, notice("problem", str(error)))
    except Exception:
        log.exception("A transcription failed")
        yield View(text, notice("problem", say("unexpected", language)))


def state(transcript: Transcript, language: str) -> str:
    """How far a transcript is, or what is to be said about it when it is complete."""
    if not transcript.complete:
        return notice("busy", say("working", language, read=clock(transcript.duration)))
    if transcript.warnings:
        return notice("problem", " ".join(transcript.warnings))
    count, duration = len(transcript.words), clock(transcript.duration)
    return notice("done", say("done", language, words=count, duration=duration))


def model_line(engine: Engine, language: str = "en") -> Iterator[str]:
    """Which model answers, first that it is being loaded, then where and how precisely it runs."""
    if not engine.ready():
        yield notice("busy", say("loading", language))
    try:
        recognizer, choice = engine.recognizer(), engine.choice()
    except AsrError as error:
        yield notice("problem", str(error))
        return
    except Exception:
        log.exception("The model cannot be loaded")
        yield notice("problem", say("unexpected", language))
        return
    line = say("model", language, name=choice.name, hardware=recognizer.hardware)
    if choice.name == EMBEDDED and choice.reason:
        line += " " + say("embedded", language, reason=choice.reason)
    yield notice("done", line)


def notice(kind: str, text: str) -> str:
    """HTML of a sentence; `kind` is busy, done or problem. The text may hold a visitor's words."""
    return f'<p class="notice {kind}">{escape(text)}</p>'


def clock(seconds: float) -> str:
    """Minutes and seconds, as players show them: 0:07, 12:30, 1:02:03."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Sample(NamedTuple):
    path: str
    sentence: str


def samples(folder: Path, count: int = 3) -> list[Sample]:
    """The first clips of the embedded data set, each by another voice, written to `folder`."""
    import pyarrow.parquet as pq

    table = pq.read_table(SAMPLE, columns=["audio", "transcription"]).slice(0, count)
    clips = []
    for row in table.to_pylist():
        path = folder / Path(row["audio"]["path"]).name
        path.write_bytes(row["audio"]["bytes"])
        clips.append(Sample(str(path), row["transcription"]))
    return clips
