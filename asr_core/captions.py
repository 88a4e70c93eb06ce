"""Live captions for the page: sound comes in by one door, captions go out by another.

gradio's own streaming keeps only the newest piece of sound while the one before is worked on, so
that words would vanish on a busy server (`/stream/{event_id}` in its `routes.py`). Here the browser
(`assets/microphone.js`) keeps what it has recorded until it is told that it has arrived, and sends
it again otherwise; a `Session` holds it until it is listened to.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import page
from asr_core.engine import NO_WISH, Engine, Wish
from asr_core.phrases import say
from asr_core.resampling import RATES
from asr_core.transcript import Transcript, Word

if TYPE_CHECKING:
    from asr_core.live import Caption

SHOWN = 300  # words on the page while one speaks, so that an hour costs no more than a minute
AHEAD = 30.0  # seconds of sound that are held on the server; the browser keeps what is more
MICROPHONES = range(8_000, RATES.stop)  # Hz
AWAY = 30.0  # seconds without a sound, after which a browser is taken to be gone


class Session:
    """The sound of one speaker, from Record to Stop: put in by one thread, taken by another.

    `transcript` is what became of it, once it is `done`.
    """

    def __init__(self, over: bool = False) -> None:
        self.arrived = 0  # samples so far
        self.transcript: Transcript | None = None
        self.done = threading.Event()
        self._pieces: list[tuple[int, np.ndarray]] = []
        self._over = over
        self._news = threading.Condition()

    def put(self, rate: int, first: int, samples: np.ndarray, last: bool) -> int:
        """Take the samples from number `first` on, those that are here already left out.

        Answers how many have arrived in all: fewer than were sent where one has to wait, as too
        much sound is waiting to be listened to.
        """
        with self._news:
            fresh = samples[max(0, self.arrived - first) :]
            waiting = sum(len(samples) / rate for rate, samples in self._pieces)
            if first <= self.arrived and waiting < AHEAD and not self._over:
                self._pieces.append((rate, fresh))
                self.arrived += len(fresh)
                self._over = last and self.arrived == first + len(samples)
                self._news.notify()  # of what is refused there is none: it would end the session
            return self.arrived

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, samples) as they come, until Stop, or until the browser is gone."""
        while True:
            with self._news:
                if not self._pieces and not self._over:
                    self._news.wait(AWAY)
                pieces, self._pieces = self._pieces, []
                self._over |= not pieces
            yield from pieces
            if self._over and not self._pieces:
                return


ENDED = Session(over=True)  # nothing arrives in it any more
REMEMBERED = 1000  # sessions that have ended
KEY = 36  # characters of a session's key, which our page makes: what others send is not kept longer


class Sessions(dict[str, Session]):
    """The sessions by their keys; those that have ended are remembered for a while as `ENDED`."""

    def __setitem__(self, key: str, session: Session) -> None:
        super().pop(key, None)  # the newest come last
        super().__setitem__(key, session)
        ended = [key for key, session in self.items() if session is ENDED]
        for key in ended[:-REMEMBERED]:
            del self[key]


def receive(sessions: dict[str, Session], message: Any) -> int | None:
    """How much of a session's sound has arrived, `message` included.

    None where there is no such session yet, -1 where there is none any more.

    `message` is [key of the session, rate, number of the first sample, 16 bit PCM in base64,
    whether it is the last], if it comes from our page.
    """
    try:
        key, rate, first, sound, last = message
        samples = np.frombuffer(base64.b64decode(sound, validate=True), "<i2")
        session = sessions[key]
        if session is ENDED:
            return -1
        if rate not in MICROPHONES or first < 0 or len(samples) > AHEAD * rate:
            return None  # resampled, little sound at a low rate would fill the memory
        return session.put(int(rate), int(first), samples, bool(last))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


NOTHING = Transcript((), 0.0)


def listen(
    engine: Engine,
    session: Session,
    language: str = "en",
    wish: Wish = NO_WISH,
    before: Transcript = NOTHING,
) -> Iterator[page.View]:
    """Captions while one speaks; after Stop the whole transcript, like that of any recording.

    They go on below `before`, what was said until the last Stop.
    """
    caption = None
    said_before = before if before.words else None
    meanwhile = said_before and replace(said_before, complete=False)
    try:
        key = "live_speak" if engine.ready(wish.model) else "loading"
        busy = page.notice("busy", say(key, language))
        yield page.View(rows(None, before), busy, meanwhile, running=True)
        live = engine.listener(wish).live()
        for rate, samples in session.pieces():
            caption = live.feed(samples, rate)
            busy = page.notice("busy", say("live_speak", language))
            yield page.View(rows(caption, before), busy, meanwhile, running=True)
        if not session.arrived:
            said = page.notice("problem", say("nothing_recorded", language))
            yield page.View(page.rows(said_before), said, said_before)
            return
        transcript = after(before, live.finish())
        yield page.View(page.rows(transcript), page.outcome(transcript, language), transcript)
    except Exception as error:
        said = page.notice("problem", page.complaint(error, language))
        words = (*caption.settled, *caption.tentative) if caption else ()
        heard = said_before
        if words:  # what was heard until then is not lost
            heard = after(before, Transcript(words, words[-1].end, complete=False))
        yield page.View(page.rows(heard), said, heard)


def said_before(former: list[Session], text: str | None, began: float) -> Transcript:
    """What the `former` session ended with, if any, as `text` has corrected it.

    So far, `began` seconds have been recorded, by the browser's account.
    """
    before = Transcript((), began)
    for session in former:
        session.done.wait()  # its last words may still be on their way
        before = session.transcript or before
    if text and text.strip():  # there is none while words come
        before = page.edit(before, text)
    return replace(before, duration=max(began, *(word.end for word in before.words[-1:]), 0.0))


def after(before: Transcript, heard: Transcript) -> Transcript:
    """Both, as of one recording."""
    words = (*before.words, *later(heard.words, before.duration))
    return replace(heard, words=words, duration=before.duration + heard.duration)


def later(words: Iterable[Word], seconds: float) -> Iterator[Word]:
    for word in words:
        start, end = round(word.start + seconds, 3), round(word.end + seconds, 3)
        yield replace(word, start=start, end=end)


def rows(caption: Caption | None, before: Transcript = NOTHING) -> list[list]:
    """Words as `page.rows` gives them; while they are still coming, certainty is not shown."""
    settled, tentative = (caption.settled[-SHOWN:], caption.tentative) if caption else ((), ())
    settled = [*before.words[-SHOWN:], *later(settled, before.duration)][-SHOWN:]
    marked = [
        *((word, "") for word in settled),
        *((word, "tentative") for word in later(tentative, before.duration)),
    ]
    return [
        [word.text, word.start, page.clock(word.start), mark, word.space] for word, mark in marked
    ]
