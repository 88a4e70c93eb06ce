"""Live captions: no sound is lost or heard twice, failures are one sentence, memory is bounded."""

from __future__ import annotations

import base64
import threading
from dataclasses import replace

import numpy as np
import pytest
from test_page import Engine
from tiny import Ear, babble

from asr_core import captions
from asr_core.captions import Session
from asr_core.errors import ModelError
from asr_core.live import Caption
from asr_core.transcript import Transcript, Word

RATE = 16_000


class Listener(Ear):
    """A recognizer that waits at the gate before it listens."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, batch):
        if self.gate:
            self.gate.wait(10)
        return super().forward(batch)


def pcm(sound: np.ndarray) -> np.ndarray:
    return (32767 * sound).astype("<i2")


def browser(session: Session, sound: np.ndarray, step: int = 4000) -> None:
    """Put in all of `sound`, as a browser does that keeps what has not arrived."""
    first = 0
    while first < len(sound):
        last = first + step >= len(sound)
        first = session.put(RATE, first, sound[first : first + step], last)


def word(text: str) -> Word:
    return Word(text, 0.0, 0.1, 0.9)


def test_sound_that_comes_faster_than_it_is_understood_is_not_lost():
    sound, gate, session = pcm(babble(20)), threading.Event(), Session()
    shown = captions.listen(Engine(Listener(gate)), session)
    next(shown)
    browser(session, sound)
    gate.set()
    *_, last = shown
    assert last.transcript.words == Ear().transcribe((RATE, sound)).words


def test_a_message_that_is_sent_twice_is_heard_once():
    sound, session = pcm(babble(5)), Session()
    assert session.put(RATE, 0, sound[:30_000], False) == 30_000
    assert session.put(RATE, 0, sound[:50_000], False) == 50_000  # the answer was lost on the way
    assert session.put(RATE, 20_000, sound[20_000:], True) == len(sound)
    *_, last = captions.listen(Engine(Ear()), session)
    assert last.transcript.words == Ear().transcribe((RATE, sound)).words


def test_a_gap_is_asked_for_again():
    session = Session()
    session.put(RATE, 0, pcm(babble(1)), False)
    assert session.put(RATE, 30_000, pcm(babble(1)), False) == RATE


def test_a_gap_ends_no_session_that_waits_for_sound():
    session, second, heard = Session(), pcm(babble(1)), []
    listener = threading.Thread(target=lambda: heard.extend(session.pieces()), daemon=True)
    listener.start()
    listener.join(0.1)  # it waits by now
    assert session.put(RATE, RATE, second, False) == 0
    listener.join(0.1)
    assert session.put(RATE, 0, second, True) == RATE
    listener.join(10)
    assert [len(samples) for _, samples in heard] == [RATE]


def test_the_last_sound_is_heard_also_when_it_comes_while_one_listens():
    session, second = Session(), pcm(babble(1))
    session.put(RATE, 0, second, False)
    pieces = session.pieces()
    next(pieces)
    session.put(RATE, RATE, second, True)
    assert [len(samples) for _, samples in pieces] == [RATE]


def test_more_than_can_be_listened_to_stays_in_the_browser():
    session, second = Session(), pcm(babble(1))
    arrived = [session.put(RATE, n * RATE, second, False) for n in range(60)]
    assert arrived[-1] == captions.AHEAD * RATE
    assert len(next(session.pieces())[1]) == RATE
    assert session.put(RATE, arrived[-1], second, False) > arrived[-1]


def test_captions_come_while_one_speaks():
    session = Session()
    shown = captions.listen(Engine(Ear()), session)
    assert "Listening" in next(shown).notice
    for n in range(4):
        session.put(RATE, n * RATE, pcm(babble(1, seed=n)), False)
        heard = next(shown)
        assert heard.running
        assert heard.words


def test_a_browser_that_is_gone_ends_the_session(monkeypatch):
    monkeypatch.setattr(captions, "AWAY", 0.01)
    session, sound = Session(), pcm(babble(2))
    session.put(RATE, 0, sound, False)
    *_, last = captions.listen(Engine(Ear()), session)
    assert last.transcript.words == Ear().transcribe((RATE, sound)).words
    assert session.put(RATE, len(sound), sound, False) == len(sound)  # too late


def test_what_our_page_sends_is_taken():
    sound = pcm(babble(1))
    sessions = {"key": Session()}
    message = ["key", RATE, 0, base64.b64encode(sound.tobytes()).decode(), True]
    assert captions.receive(sessions, message) == len(sound)
    rate, samples = next(sessions["key"].pieces())
    assert rate == RATE
    assert np.array_equal(samples, sound)


@pytest.mark.parametrize(
    "message",
    [
        None,
        [],
        "key",
        ["another", RATE, 0, "", False],
        [["key"], RATE, 0, "", False],
        ["key", "x", 0, "", False],
        ["key", RATE, None, "", False],
        ["key", RATE, 0, "no base64", False],
        ["key", RATE, 0, "AAAA", False],
        ["key", RATE, 0, 7, False],
        ["key", -1, 0, "", False],  # of which no sound ever waits too long
        ["key", float("inf"), 0, "", False],
        ["key", RATE, float("inf"), "", False],
        ["key", RATE, -9, "", False],
        ["key", 7_999, 0, "", False],
        ["key", RATE, 0, base64.b64encode(bytes(2 * 31 * RATE)).decode(), False],
    ],
)
def test_what_our_page_would_never_send_is_refused(message):
    assert captions.receive({"key": Session()}, message) is None


def test_a_browser_learns_that_its_session_is_over():
    sessions = captions.Sessions()
    message = ["key", RATE, 0, "", False]
    assert captions.receive(sessions, message) is None  # its turn has not come
    sessions["key"] = Session()
    assert captions.receive(sessions, message) == 0
    sessions["key"] = captions.ENDED
    assert captions.receive(sessions, message) == -1
    for number in range(2 * captions.REMEMBERED):
        sessions[f"{number}"] = captions.ENDED
    assert len(sessions) == captions.REMEMBERED


def test_of_the_sessions_that_are_over_the_oldest_are_forgotten():
    sessions = captions.Sessions()
    sessions["long"] = Session()
    for number in range(captions.REMEMBERED):
        sessions[f"{number}"] = captions.ENDED
    sessions["long"] = captions.ENDED
    assert "long" in sessions and "0" not in sessions


def test_a_rate_that_no_microphone_has_is_said_plainly():
    session = Session()
    session.put(-5, 0, pcm(babble(1)), True)
    *_, last = captions.listen(Engine(Ear()), session)
    assert "-5 samples a second" in last.notice


def test_words_that_may_change_are_marked():
    shown = captions.rows(Caption((word("SETTLED"),), (word("MAYBE"),)))
    assert [(text, mark) for text, _, _, mark, _ in shown] == [
        ("SETTLED", ""),
        ("MAYBE", "tentative"),
    ]


def test_a_long_session_sends_no_more_than_a_short_one():
    shown = captions.rows(Caption(tuple(word("X") for _ in range(10_000)), (word("Y"),)))
    assert len(shown) == captions.SHOWN + 1


def test_stop_without_sound():
    session = Session()
    session.put(RATE, 0, pcm(babble(0)), True)
    *_, last = captions.listen(Engine(Ear()), session)
    assert "There is no recording yet" in last.notice


SAID = Transcript((Word("HELLO", 1.0, 1.5, 0.9), Word("WORLT", 2.0, 2.5, 0.9)), 3.0)


def test_a_session_goes_on_below_the_one_before():
    session, sound = Session(), pcm(babble(5))
    browser(session, sound)
    first, *others, last = captions.listen(Engine(Ear()), session, before=SAID)
    assert all(view.words[1][0] == "WORLT" for view in (first, *others, last))
    assert {view.transcript.text for view in (first, *others)} == {"HELLO WORLT"}
    assert not first.transcript.complete and last.transcript.complete
    alone = Ear().transcribe((RATE, sound))
    assert last.transcript.duration == 3.0 + alone.duration
    for word, heard in zip(last.transcript.words[2:], alone.words, strict=True):
        assert word.start == pytest.approx(heard.start + 3) and word.text == heard.text
    assert others[-1].words[2][1] >= 3.0


@pytest.mark.parametrize("engine", [Engine(Ear()), Engine(ModelError("No such model."))])
def test_what_was_said_before_stays_when_nothing_comes_of_a_session(engine):
    session = Session()
    session.put(RATE, 0, pcm(babble(0)), True)
    *_, last = captions.listen(engine, session, before=SAID)
    assert last.transcript is SAID and [text for text, *_ in last.words] == ["HELLO", "WORLT"]
    assert "problem" in last.notice


def test_what_was_said_before_is_what_the_last_session_ended_with_as_corrected():
    former = Session()
    former.transcript = SAID
    threading.Timer(0.1, former.done.set).start()
    assert captions.said_before([former], "", 7.0) == replace(SAID, duration=7.0)
    assert former.done.is_set()  # it was waited for
    assert captions.said_before([former], "Hello, world", 7.0).text == "Hello, world"
    assert captions.said_before([former], "", 0.0).duration == 2.5  # a browser that cannot count
    assert captions.said_before([], None, 7.0) == Transcript((), 7.0)
    assert captions.said_before([], "It was lost", 7.0).text == "It was lost"


def test_what_was_heard_before_a_failure_stays():
    class Failing(Ear):
        passes = 0

        def forward(self, batch):
            self.passes += 1
            if self.passes > 40:
                raise RuntimeError("the memory is full")
            return super().forward(batch)

    session = Session()
    browser(session, pcm(babble(20)))
    *_, before, last = captions.listen(Engine(Failing()), session)
    assert before.words
    assert [text for text, *_ in last.words] == [text for text, *_ in before.words]
    assert last.transcript.text == " ".join(text for text, *_ in before.words)
    assert "problem" in last.notice and not last.running


def test_a_model_that_does_not_come():
    *_, last = captions.listen(Engine(ModelError("No such model.")), Session())
    assert "No such model." in last.notice
    assert not last.running
