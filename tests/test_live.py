"""Live captions: early, then final, and in the end what the offline transcript says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tiny import Ear, babble

from asr_core import audio, data
from asr_core.beam import BeamDecoder
from asr_core.errors import AudioError
from asr_core.recognizer import OVERLAP, WINDOW, Recognizer


def speak(session, samples: np.ndarray, piece: int = 1600, rate: int = 16_000) -> list:
    return [session.feed(samples[i : i + piece], rate) for i in range(0, len(samples), piece)]


def talk(seconds: float, rate: int = 16_000) -> np.ndarray:
    """Sentences of the sample, one after the other."""
    rows = data.load(data.SAMPLE, split="test")
    sound = np.concatenate([audio.load(data.row_source(row), rate) for row in rows])
    return sound[: round(seconds * rate)]


@pytest.mark.parametrize("seconds", [0.03, 0.5, 3.0, 9.97, 20.0, 20.01, 47.3])
def test_the_whole_equals_the_offline_transcript(seconds):
    sound = babble(seconds + 0.02)[: int(seconds * 16_000)]
    session = Ear().live()
    speak(session, sound)
    assert session.finish().words == Ear().transcribe((16_000, sound)).words


@pytest.fixture(scope="module")
def fluent() -> Recognizer:
    """The recognizer with the model that comes with the package, and with its language model."""
    return Recognizer()


@pytest.mark.parametrize("language_model", [True, False])
@pytest.mark.parametrize(("seconds", "rate"), [(12, 16_000), (33, 16_000), (27, 48_000)])
def test_a_real_model_hears_a_recording_as_it_hears_a_file(fluent, seconds, rate, language_model):
    sound = talk(seconds, rate)
    recognizer = fluent.using(language_model)
    assert isinstance(recognizer.decoder(), BeamDecoder) == language_model
    session = recognizer.live()
    speak(session, sound, piece=rate // 5, rate=rate)
    said, offline = session.finish().words, recognizer.transcribe((rate, sound)).words
    assert said
    # Who computes with another number of threads adds up in another order, and may round otherwise.
    for one, other in zip(said, offline, strict=True):
        assert replace(one, confidence=other.confidence) == other
        assert one.confidence == pytest.approx(other.confidence, abs=2e-4)


@pytest.mark.parametrize("piece", [100, 1600, 4001, 7999])
def test_how_the_sound_is_cut_into_pieces_does_not_matter(embedded, piece):
    sound = babble(8)
    whole, cut = embedded.live(), embedded.live()
    speak(whole, sound, piece=8000)
    speak(cut, sound, piece=piece)
    assert cut.finish() == whole.finish()


def test_settled_words_never_change(embedded):
    session = embedded.live()
    captions = speak(session, talk(40))
    assert len(captions[-1].settled) > 1
    for before, after in pairwise(captions):
        assert after.settled[: len(before.settled)] == before.settled
    assert session.finish().words[: len(captions[-1].settled)] == captions[-1].settled


def test_a_word_appears_within_a_second_of_its_end():
    sound = babble(30)
    session = Ear().live()
    heard = 0
    end_of = {}  # first moment at which so many words were shown
    for at in range(0, len(sound), 1600):
        caption = session.feed(sound[at : at + 1600], 16_000)
        heard += 1600
        for word in (*caption.settled, *caption.tentative):
            end_of.setdefault((word.text, word.start), heard / 16_000)
    for word in session.finish().words[:-1]:
        assert end_of[word.text, word.start] - word.end <= 1.0


def test_a_second_costs_the_same_in_the_first_minute_and_in_the_tenth():
    ear = Ear()
    session = ear.live()
    sound = babble(60)
    looks = []
    for _ in range(10):
        ear.windows.clear()
        speak(session, sound)
        looks.append(sum(ear.windows))
    assert max(ear.windows) <= WINDOW * ear.rate
    assert max(looks[1:]) <= 1.05 * min(looks[1:])


def test_a_burst_after_a_pause_is_caught_up_in_bounded_windows():
    ear = Ear()
    session = ear.live()
    session.feed(babble(120), ear.rate)
    assert max(ear.windows) <= WINDOW * ear.rate
    assert len(ear.windows) <= 120 / (WINDOW - 2 * OVERLAP) + 1
    assert session.finish().words == Ear().transcribe((ear.rate, babble(120))).words


def test_what_ends_within_twenty_seconds_is_heard_in_one_piece_as_a_file_is():
    for samples, whole in ((320_000, True), (320_001, False)):
        live, file = Ear(), Ear()
        session = live.live()
        session.feed(babble(20.02)[:samples], 16_000)
        session.finish()
        file.transcribe((16_000, babble(20.02)[:samples]))
        assert (live.windows[-1] == samples) == (file.windows == [samples]) == whole


def test_words_lie_within_the_recording_and_in_order(embedded):
    session = embedded.live()
    speak(session, babble(12, rate=8000), piece=1000, rate=8000)
    said = session.finish()
    assert said.duration == pytest.approx(12, abs=0.01)
    assert all(0 <= w.start < w.end <= said.duration for w in said.words)
    assert all(a.end <= b.start for a, b in pairwise(said.words))


def test_a_microphone_may_deliver_stereo_integers():
    sound = babble(5)
    pcm = (np.stack([sound, sound], axis=1) * 32767).astype(np.int16)
    session = Ear().live()
    speak(session, pcm)
    assert session.finish().text == Ear().transcribe((16_000, sound)).text


def test_a_microphone_may_use_its_buffer_again():
    sound, buffer, session = babble(5), np.zeros(1600, np.float32), Ear().live()
    for piece in sound.reshape(-1, len(buffer)):
        buffer[:] = piece
        session.feed(buffer, 16_000)
    buffer[:] = 0
    assert session.finish().words == Ear().transcribe((16_000, sound)).words


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_piece_of_what_are_no_numbers_is_left_out_and_the_next_ones_are_heard(rate):
    sound = babble(3, rate=rate)
    session, whole = Ear().live(), Ear().live()
    session.feed(sound[:rate], rate)
    with pytest.raises(AudioError, match="are no sound"):
        session.feed(np.full(1600, np.nan, np.float32), rate)
    session.feed(sound[rate:], rate)
    speak(whole, sound, piece=rate, rate=rate)
    assert session.finish() == whole.finish()


def test_what_has_ended_hears_nothing_more():
    session = Ear().live()
    session.feed(babble(1), 16_000)
    session.finish()
    for more in (session.finish, lambda: session.feed(babble(1), 16_000)):
        with pytest.raises(AudioError, match="This session has ended: begin another"):
            more()


def test_nobody_speaking_is_not_spelt_out(embedded):
    session = embedded.live()
    captions = speak(session, np.zeros(80_000, np.float32))
    assert captions[-1].text == ""
    said = session.finish()
    assert said.text == ""
    assert "silent" in said.warnings[0]


def test_stopping_before_anything_was_heard_is_said_plainly():
    with pytest.raises(AudioError, match="holds no audio"):
        Ear().live().finish()


@pytest.mark.parametrize(
    "samples, sentence",
    [
        (np.full(1600, np.nan, np.float32), "are no sound"),
        (np.full(1600, 999), "int64, which do not say what is loudest"),
        (np.zeros((1, 1600), np.float32), r"shape \(1, 1600\)"),
        (np.zeros((2, 2, 2), np.float32), r"shape \(2, 2, 2\)"),
        (np.float32(0.5), r"shape \(\)"),
        (np.ones(1600, bool), "is not .sample rate, samples."),
    ],
)
def test_a_broken_microphone_is_said_plainly(samples, sentence):
    with pytest.raises(AudioError, match=sentence):
        Ear().live().feed(samples, 16_000)
