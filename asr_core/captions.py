"""Live captions for the page: a session for each visitor, fed with what the browser sends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from asr_core import page
from asr_core.engine import NO_WISH, Engine, Wish
from asr_core.phrases import say
from asr_core.transcript import Transcript

if TYPE_CHECKING:
    from asr_core.live import Caption, LiveSession

SHOWN = 300  # words on the page while one speaks, so that an hour costs no more than a minute


class Session:
    """From one press on Record to the next press on Stop.

    gradio keeps only the newest piece of sound while the one before is worked on (`queueing.py`),
    so pieces are only collected as they arrive, and a thread of the session's own listens to them.
    Sound that arrives after Stop, as the last piece may, is not taken for a new session.
    """

    def __init__(self) -> None:
        self.caption: Caption | None = None
        self.over = False
        self._live: LiveSession | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._jobs: deque[Future] = deque()

    def feed(self, begin: Callable[[], LiveSession], rate: int, samples: np.ndarray) -> None:
        """Take a piece of sound. Raises what listening to the ones before has raised."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="captions")
        while self._jobs and self._jobs[0].done():
            self._jobs.popleft().result()
        self._jobs.append(self._thread.submit(self._listen, begin, rate, samples))

    def finish(self) -> Transcript | None:
        """Everything that was said, None if nothing was heard."""
        self.over = True
        for job in self._jobs:
            job.result()
        if self._thread:
            self._thread.shutdown(wait=False)
        return self._live.finish() if self._live else None

    def _listen(self, begin: Callable[[], LiveSession], rate: int, samples: np.ndarray) -> None:
        self._live = self._live or begin()
        self.caption = self._live.feed(samples, rate)


class Captions(NamedTuple):
    """What the page shows: words, a sentence, and at the end the transcript."""

    words: list[list]
    notice: str
    transcript: Transcript | None = None


def hear(
    engine: Engine,
    session: Session,
    sound: tuple[int, np.ndarray] | None,
    language: str = "en",
    wish: Wish = NO_WISH,
) -> Captions | None:
    """The captions once `sound` (Hz, samples) is heard too; None where nothing changes."""
    if session.over or sound is None:
        return None
    try:
        session.feed(lambda: engine.listener(wish).live(), *sound)
    except Exception as error:
        session.over = True
        return Captions([], page.notice("problem", page.complaint(error, language)))
    caption = session.caption
    if caption is None:
        key = "live_speak" if engine.ready(wish.model) else "loading"
        return Captions([], page.notice("busy", say(key, language)))
    return Captions(rows(caption), page.notice("busy", say("live_speak", language)))


def stop(session: Session, language: str = "en") -> Captions:
    """The whole transcript, like that of any recording."""
    try:
        transcript = None if session.over else session.finish()
    except Exception as error:
        return Captions([], page.notice("problem", page.complaint(error, language)))
    if transcript is None:
        return Captions([], page.notice("problem", say("nothing_recorded", language)))
    return Captions(page.rows(transcript), page.outcome(transcript, language), transcript)


def rows(caption: Caption) -> list[list]:
    """Words as `page.rows` gives them; while they are still coming, certainty is not shown."""
    marked = [
        *((word, "") for word in caption.settled[-SHOWN:]),
        *((word, "tentative") for word in caption.tentative),
    ]
    return [[word.text, word.start, page.clock(word.start), mark] for word, mark in marked]
