"""What the page does, without a browser: generators of what to show next.

They make plain values of an engine and plain values; the tabs wire them to components.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from asr_core import comparison
from asr_core.audio import Recording
from asr_core.data import SAMPLE_FOLDER
from asr_core.editing import edited
from asr_core.engine import NO_WISH, OWN, Engine, Wish
from asr_core.errors import AsrError, AudioError
from asr_core.models import EMBEDDED, Choice
from asr_core.phrases import language as language_of
from asr_core.phrases import say
from asr_core.subtitles import render
from asr_core.transcript import Transcript
from asr_core.translation import translate

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger(__name__)

VISITORS = 4  # served at once, in turns; the others see their place in the queue
UNSURE = 0.7  # confidence under which a word looks uncertain
# Characters of a correction: whatever the recording, and for a second of it. Nobody writes more.
WRITTEN, WRITTEN_A_SECOND = 200_000, 50
SPARING = 20  # times what showing the words took, until they are shown again
MOMENT = 0.5  # seconds after which one may want to cancel
HORIZON = 2.0  # seconds of work after which the time left can be told


class Run(Protocol):
    """What is shown of something that takes a while."""

    running: bool


Running = TypeVar("Running", bound=Run)


class View(NamedTuple):
    """What the page shows of a transcript: its words, a sentence about it, whether more comes."""

    words: list[list]
    notice: str
    transcript: Transcript | None = None
    running: bool = False

    @property
    def text(self) -> str:
        return self.transcript.text if self.transcript else ""


def transcribe(
    engine: Engine, path: str | None, language: str = "en", wish: Wish = NO_WISH
) -> Iterator[View]:
    """Views of the transcript of a recording while it is read, the whole of it at the end."""
    if path is None:
        yield View([], notice("problem", say("nothing_recorded", language)), None, False)
        return
    transcript = None
    try:
        if not engine.ready(wish.model):
            yield View([], notice("busy", say("loading_queued", language)), None, True)
        transcripts = engine.stream(path, wish)
        total = length(path)
        progress = Progress(total and min(total, engine.longest), language)
        for transcript in sparingly(transcripts):
            done = transcript.complete
            said = outcome(transcript, language) if done else progress(transcript.duration)
            yield View(rows(transcript), said, transcript, not done)
    except Exception as error:
        said = notice("problem", complaint(error, language))
        yield View(rows(transcript), said, transcript, False)


def sparingly(transcripts: Iterator[Transcript]) -> Iterator[Transcript]:
    """Those that are shown: all the words of hours less often, or showing them takes longest."""
    due = 0.0
    for transcript in transcripts:
        began = time.monotonic()
        if transcript.complete or began >= due:
            yield transcript
            due = time.monotonic() + SPARING * (time.monotonic() - began)


def rows(transcript: Transcript | None) -> list[list]:
    """Words for the browser: text, start, what the pointer is told, how it looks, space before it.

    Lists, because gradio sends of those only what has changed.
    """
    return [
        [
            word.text,
            word.start,
            f"{clock(word.start)} · {word.confidence:.0%}",
            "unsure" if word.confidence < UNSURE else "",
            word.space,
        ]
        for word in (transcript.words if transcript else ())
    ]


def edit(transcript: Transcript | None, text: str | None) -> Transcript | None:
    """The transcript with the visitor's corrections."""
    text = text or ""
    if transcript is None or not (transcript.complete or text.strip()):
        return transcript  # while words come, there is no text yet
    text = text[: WRITTEN + round(WRITTEN_A_SECOND * transcript.duration)]
    if text.split() == transcript.text.split():
        return transcript
    return edited(transcript, text)


def lost(text: str | None, language: str = "en") -> str:
    """What there is to say where the page shows a text and the server has no transcript of it.

    gradio takes a page whose connection broke for closed, and is never told otherwise.
    """
    return notice("problem", say("lost", language)) if (text or "").strip() else ""


class File(NamedTuple):
    """A file that the browser saves; it is never written on the server."""

    name: str
    contents: str


def download(transcript: Transcript | None, text: str | None, format: str) -> File | None:
    """The corrected transcript in one of `subtitles.FORMATS`; None where there is nothing yet."""
    transcript = edit(transcript, text)
    if transcript is None:
        return None
    stem = Path(transcript.source).stem or "transcript"
    return File(f"{stem}.{format}", render(transcript, format))


def outcome(transcript: Transcript, language: str = "en") -> str:
    """What there is to say about a finished transcript."""
    if transcript.warnings:
        return notice("problem", " ".join(translate(w, language) for w in transcript.warnings))
    count, duration = len(transcript.words), clock(transcript.duration)
    unspaced = not all(word.space for word in transcript.words[1:])
    key = "done_one" if count == 1 else "done_unspaced" if unspaced else "done"
    return notice("done", say(key, language, words=count, duration=duration))


class Progress:
    """A bar with the time left for work on `total` seconds of sound, None where nobody knows."""

    def __init__(self, total: float | None, language: str = "en") -> None:
        self.total = total
        self.language = language
        self.start = time.monotonic()

    def __call__(self, read: float) -> str:
        took = time.monotonic() - self.start
        if not self.total:
            return notice("busy", say("working", self.language, read=clock(read)))
        total = max(self.total, read)
        done = f"{read / total:.0%}"
        bar = f'<progress aria-label="{done}" value="{read:.1f}" max="{total:.1f}"></progress>'
        values = {"read": clock(read), "total": clock(total)}
        if took < HORIZON or not read:
            return notice("busy", say("progress", self.language, **values), bar)
        left = clock(took / read * (total - read))
        return notice("busy", say("progress_left", self.language, **values, left=left), bar)


def length(path: str) -> float | None:
    """The duration that a file declares, in seconds. Raises AudioError when it cannot be read."""
    recording = Recording(path)
    if not Path(path).exists():  # it waited too long
        raise AudioError(
            f"{recording.name} is no longer here, as recordings are deleted: record or choose it "
            "again."
        )
    next(recording.blocks(16_000), None)
    return recording.duration


def complaint(error: Exception, language: str) -> str:
    """One sentence for whatever went wrong; what is not the visitor's business goes to the log."""
    if isinstance(error, AsrError):
        return translate(str(error), language)
    log.error("A visitor's request failed", exc_info=error)
    return say("unexpected", language)


def model_line(engine: Engine, language: str = "en", model: str | None = None) -> Iterator[str]:
    """Which model answers, first that it is being loaded, then where and how precisely it runs."""
    if not engine.ready(model):
        yield notice("busy", say("loading", language))
    try:
        recognizer = engine.recognizer(model)
        choice = Choice(model) if model else engine.choice()
    except Exception as error:
        yield notice("problem", complaint(error, language))
        return
    name = say("taught", language) if choice.name.startswith(OWN) else choice.name
    line = say("model", language, name=name, hardware=recognizer.hardware)
    if choice.name == EMBEDDED and choice.reason:
        line += " " + say("embedded", language, reason=translate(choice.reason, language))
    yield notice("done", line)


def compare(
    transcript: Transcript | None, said: str | None, language: str = "en"
) -> tuple[str, str]:
    """HTML of how right it is, and of what was heard beside what was really said."""
    if transcript is None:
        return notice("problem", say("nothing_yet", language)), ""
    try:
        compared = comparison.compare(said or "", transcript.text)
    except AsrError as error:
        return notice("problem", complaint(error, language)), ""
    rates = say(
        "compared",
        language,
        wer=f"{compared.wer:.1%}",
        cer=f"{compared.cer:.1%}",
        **{kind: compared.count(kind) for kind in comparison.ERRORS},
    )
    return notice("done", rates), comparison.markup(compared, language)


def notice(kind: str, text: str, extra: str = "") -> str:
    """HTML of a sentence; `kind` is busy, done or problem. The text may hold a visitor's words."""
    hush = ' aria-live="off"' if extra else ""  # a bar moves too often to be read out
    return f'<p class="notice {kind}"{hush}>{escape(text)}{extra}</p>'


def cancellable(views: Iterator[Running], at_once: bool) -> Iterator[tuple[Running, bool | None]]:
    """Each with whether "Cancel" is to be shown from now on, None where that is as before.

    Unless `at_once`, it is not shown for what is done within a `MOMENT`. Of updates of what is
    visible that come in a row, gradio may show the last but one (`update_state` in its `init.ts`
    waits in between, 6.31), and "Cancel" would stay.
    """
    began, shown = time.monotonic(), None
    for view in views:
        late = time.monotonic() > began + MOMENT
        wanted = view.running and (at_once or late or bool(shown))
        yield view, wanted if wanted != shown else None
        shown = wanted


def spoken(request: gr.Request) -> str:
    """The language to speak with the visitor who sent `request`."""
    return language_of(request.headers.get("accept-language"))


def clock(seconds: float) -> str:
    """Minutes and seconds, as players show them: 0:07, 12:30, 1:02:03."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Sample(NamedTuple):
    path: str
    sentence: str


def samples(folder: Path, count: int | None = 3, part: str = "test") -> list[Sample]:
    """The first clips of the embedded data set, each by another voice, written to `folder`."""
    import pyarrow.parquet as pq

    table = pq.read_table(
        SAMPLE_FOLDER / f"{part}.parquet", columns=["audio", "transcription"]
    ).slice(0, count)
    clips = []
    for row in table.to_pylist():
        path = folder / Path(row["audio"]["path"]).name
        path.write_bytes(row["audio"]["bytes"])
        clips.append(Sample(str(path), row["transcription"]))
    return clips
