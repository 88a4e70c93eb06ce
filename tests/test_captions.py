"""Live captions: no sound is lost, nothing comes after Stop, failures are one sentence."""

from __future__ import annotations

import threading

import numpy as np
from test_page import Engine

from asr_core import captions
from asr_core.captions import Session
from asr_core.errors import AudioError, ModelError
from asr_core.live import Caption
from asr_core.transcript import Transcript, Word

PIECE = (48_000, np.zeros(24_000, np.int16))


def word(text: str) -> Word:
    return Word(text, 0.0, 0.1, 0.9)


class Counter:
    """Stands in for a Recognizer and its session: hears a word in every piece of sound."""

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.heard, self.gate = 0, gate

    def live(self):
        return self

    def feed(self, samples: np.ndarray, rate: int) -> Caption:
        if self.gate:
            self.gate.wait(10)
        if np.isnan(samples).any():
            raise AudioError("The recording holds samples that are not numbers.")
        self.heard += 1
        return Caption(tuple(word(str(n)) for n in range(1, self.heard)), (word(str(self.heard)),))

    def finish(self) -> Transcript:
        return Transcript(tuple(word(str(n)) for n in range(1, self.heard + 1)), 0.5 * self.heard)


def test_sound_that_comes_faster_than_it_is_understood_is_not_lost():
    gate = threading.Event()
    engine, session = Engine(Counter(gate)), Session()
    for _ in range(20):
        assert captions.hear(engine, session, PIECE).transcript is None
    gate.set()
    assert captions.stop(session).transcript.text == " ".join(map(str, range(1, 21)))


def test_words_that_may_change_are_marked():
    shown = captions.rows(Caption((word("SETTLED"),), (word("MAYBE"),)))
    assert [(text, mark) for text, _, _, mark in shown] == [("SETTLED", ""), ("MAYBE", "tentative")]


def test_a_long_session_sends_no_more_than_a_short_one():
    shown = captions.rows(Caption(tuple(word("X") for _ in range(10_000)), (word("Y"),)))
    assert len(shown) == captions.SHOWN + 1


def test_sound_after_stop_is_ignored():
    engine, session = Engine(Counter()), Session()
    captions.hear(engine, session, PIECE)
    assert captions.stop(session).transcript.text == "1"
    assert captions.hear(engine, session, PIECE) is None


def test_stop_without_sound():
    assert "There is no recording yet" in captions.stop(Session()).notice


def test_a_failure_while_listening_is_said_once():
    engine, session = Engine(Counter()), Session()
    broken = (48_000, np.full(10, np.nan, np.float32))
    captions.hear(engine, session, broken)
    assert "samples that are not numbers" in captions.stop(session).notice


def test_a_model_that_does_not_come():
    session = Session()
    captions.hear(Engine(ModelError("No such model.")), session, PIECE)
    assert "No such model." in captions.stop(session).notice
