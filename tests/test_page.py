"""What the page says and does, without a browser: always one sentence, never a traceback."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from asr_core import page
from asr_core.engine import OWN, Wish
from asr_core.errors import AudioError, ModelError
from asr_core.models import Choice
from asr_core.phrases import ENGLISH, KOREAN, PHRASES, language, say
from asr_core.transcript import Transcript, Word

HELLO = Transcript((Word("HELLO", 0.2, 0.6, 0.95), Word("WORLT", 0.7, 1.1, 0.31)), 1.5, "hi.wav")


class Speaker:
    """Stands in for a Recognizer: yields what it is given, raises what is an exception."""

    hardware = "cpu, float32"

    def __init__(self, *results: Transcript | Exception) -> None:
        self.results = results

    def stream(self, source: str):
        for result in self.results:
            if isinstance(result, Exception):
                raise result
            yield result


class Engine:
    """Stands in for an Engine whose model is there at once, or fails to come."""

    longest = math.inf

    def __init__(self, recognizer, choice: Choice | None = None, ready: bool = True) -> None:
        self._recognizer, self._choice, self._ready = recognizer, choice or Choice("m"), ready

    def ready(self, name=None) -> bool:
        return self._ready

    def choice(self) -> Choice:
        return self._choice

    def recognizer(self, name=None):
        if isinstance(self._recognizer, Exception):
            raise self._recognizer
        return self._recognizer

    def listener(self, wish):
        return self.recognizer(wish.model)

    def stream(self, recording, wish):
        return self.recognizer(wish.model).stream(recording)


@pytest.fixture
def wav(tmp_path) -> str:
    import numpy as np
    import soundfile as sf

    path = tmp_path / "hi.wav"
    sf.write(path, np.ones(24_000, np.float32) / 4, 16_000)
    return str(path)


def test_words_come_with_times_and_doubts(wav):
    *_, last = page.transcribe(Engine(Speaker(HELLO)), wav)
    assert last.words == [
        ["HELLO", 0.2, "0:00 · 95%", "", True],
        ["WORLT", 0.7, "0:00 · 31%", "unsure", True],
    ]
    assert last.text == "HELLO WORLT"
    assert not last.running
    assert "2 words in 0:01" in last.notice


def test_characters_are_not_counted_as_words():
    words = tuple(Word(c, i, i + 1, 0.9, space=not i) for i, c in enumerate("天气很好"))
    assert "4 characters in 0:04" in page.outcome(Transcript(words, 4.0))
    first, second = HELLO.words  # before the first there is nothing to part it from
    spaced = replace(HELLO, words=(replace(first, space=False), second))
    assert "2 words in 0:01" in page.outcome(spaced)


def test_words_heard_before_a_failure_stay(wav):
    half = Transcript(HELLO.words[:1], 0.7, "hi.wav", complete=False)
    engine = Engine(Speaker(half, AudioError("hi.wav is damaged.")))
    *_, before, last = page.transcribe(engine, wav)
    assert before.running
    assert not last.running
    assert last.text == "HELLO"
    assert "hi.wav is damaged." in last.notice


def test_waiting_for_the_model_is_said(wav):
    first, *_ = page.transcribe(Engine(Speaker(HELLO), ready=False), wav)
    assert say("loading_queued") in first.notice


def test_waiting_for_the_model_that_was_chosen_is_said(wav, monkeypatch):
    engine = Engine(Speaker(HELLO))
    monkeypatch.setattr(engine, "ready", lambda name: name != "big")
    first, *_ = page.transcribe(engine, wav, wish=Wish("big"))
    assert say("loading_queued") in first.notice


def test_of_a_recording_that_is_too_long_the_bar_shows_what_will_be_heard(wav, monkeypatch):
    engine = Engine(Speaker(replace(HELLO, complete=False), HELLO))
    monkeypatch.setattr(engine, "longest", 3600.0)
    monkeypatch.setattr(page, "length", lambda path: 7200.0)
    first, *_ = page.transcribe(engine, wav)
    assert "0:01 of 1:00:00" in first.notice


def test_cancel_is_for_what_takes_longer_than_a_moment(monkeypatch):
    running, done = page.View([], "", None, True), page.View([], "", None, False)

    def shown(seconds: list[float], views: list[page.View], at_once: bool = False) -> list:
        now = iter([0.0, *seconds])
        monkeypatch.setattr(page.time, "monotonic", lambda: next(now))
        return [wanted for _, wanted in page.cancellable(iter(views), at_once)]

    assert shown([0.1, 0.2], [running, done]) == [False, None]
    assert shown([0.1, 0.9, 1.0, 1.0], [running, running, running, done]) == [
        *(False, True, None, False)
    ]
    assert shown([0.1, 0.2], [running, done], at_once=True) == [True, False]


@pytest.mark.parametrize(
    ("engine", "sentence"),
    [
        (Engine(ModelError("The model 'x' cannot be loaded.")), "The model &#x27;x&#x27; cannot"),
        (Engine(RuntimeError("secret /home/host/path")), "Something went wrong"),
        (Engine(Speaker(ValueError("secret"))), "Something went wrong"),
    ],
)
def test_failures_are_one_sentence_without_internals(engine, sentence, wav):
    *_, last = page.transcribe(engine, wav)
    assert sentence in last.notice
    assert "secret" not in last.notice


def test_what_is_not_the_visitors_business_is_told_to_the_host(wav, caplog):
    list(page.transcribe(Engine(Speaker(ValueError("secret"))), wav))
    assert "ValueError: secret" in caplog.text


def test_the_embedded_model_says_why_it_is_there():
    choice = Choice("embedded", "the Hub could not be reached")
    *_, line = page.model_line(Engine(Speaker(), choice))
    assert "embedded on cpu, float32" in line
    assert "the Hub could not be reached" in line


def test_a_model_that_does_not_come_is_said_on_the_model_line():
    *_, line = page.model_line(Engine(ModelError("No such model."), ready=False))
    assert "No such model." in line


@pytest.mark.parametrize(
    ("chosen", "named"), [("big", "Model: big on"), (f"{OWN}1a2b", say("taught")), (None, "m on")]
)
def test_the_model_line_names_the_model_that_was_chosen(chosen, named):
    (line,) = page.model_line(Engine(Speaker()), model=chosen)
    assert named in line and OWN not in line


def test_a_file_name_cannot_become_markup():
    assert "<script>" not in page.notice("problem", "<script>alert(1)</script>.wav is no audio")


def test_time_left_follows_the_speed(monkeypatch):
    now = iter([0.0, 1.0, 10.0])
    monkeypatch.setattr(page.time, "monotonic", lambda: next(now))
    progress = page.Progress(100.0)
    assert "left" not in progress(10.0)  # too early to tell
    assert "0:25 of 1:40, about 0:30 left" in progress(25.0)


@pytest.mark.parametrize("declared", [None, 0.0])
def test_progress_without_a_known_length(declared):
    assert "0:00 so far" in page.Progress(declared)(0.0)
    assert "0:30 so far" in page.Progress(declared)(30.0)


def test_no_time_left_is_told_before_anything_was_read(monkeypatch):
    now = iter([0.0, 10.0])
    monkeypatch.setattr(page.time, "monotonic", lambda: next(now))
    notice = page.Progress(100.0)(0.0)
    assert "0:00 of 1:40" in notice and "left" not in notice


def test_a_bar_that_moves_is_not_read_out_again_and_again():
    assert 'aria-live="off"' in page.Progress(10.0)(1.0)
    assert "aria-live" not in page.outcome(HELLO)


def test_more_sound_than_the_file_declared():
    assert 'value="12.0" max="12.0"' in page.Progress(10.0)(12.0)


def test_downloads_hold_the_corrections():
    name, contents = page.download(HELLO, "Hello, world", "json")
    assert name == "hi.json"
    assert json.loads(contents)["text"] == "Hello, world"


def test_a_download_of_what_has_no_name_has_one():
    assert page.download(replace(HELLO, source=""), "Hello", "srt").name == "transcript.srt"


@pytest.mark.parametrize(
    ("any_way", "a_second", "kept"), [(10, 0, "hello ther"), (0, 6, "hello the")]
)
def test_a_correction_is_no_longer_than_anybody_writes(monkeypatch, any_way, a_second, kept):
    monkeypatch.setattr(page, "WRITTEN", any_way)
    monkeypatch.setattr(page, "WRITTEN_A_SECOND", a_second)
    assert page.edit(HELLO, "hello there, you all").text == kept


def test_while_words_come_a_download_holds_them_whatever_the_field_for_corrections_holds():
    coming = replace(HELLO, complete=False)
    for nothing in ("", " \n", None):
        assert page.download(coming, nothing, "txt").contents == "HELLO WORLT\n"
    assert page.download(coming, "Hello", "txt").contents == "Hello\n"


def test_who_deletes_all_of_the_text_gets_none_of_it():
    assert page.rows(page.edit(HELLO, " ")) == []
    assert page.download(HELLO, "", "txt").contents.strip() == ""
    assert page.download(HELLO, "", "json").name == "hi.json"


def test_a_text_that_the_server_no_longer_knows_is_told():
    assert "transcribe the recording again" in page.lost("HELLO WORLT")
    assert "다시 글로 옮기세요" in page.lost("HELLO WORLT", "ko")
    assert page.lost(" ") == page.lost(None) == ""


def test_a_recording_that_was_deleted_while_it_waited_is_said(tmp_path):
    *_, last = page.transcribe(Engine(Speaker(HELLO)), str(tmp_path / "gone.wav"))
    assert "gone.wav is no longer here" in last.notice


def test_a_download_before_anything_was_said():
    assert page.download(None, "", "srt") is None


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00"), (59.9995, "0:59"), (61, "1:01"), (3599.999, "59:59"), (3725, "1:02:05")],
)
def test_clock(seconds, shown):
    assert page.clock(seconds) == shown


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("fr-FR,ko;q=0.5", "en"),
        ("ko;q=0.9,en;q=0.8", "ko"),
        ("KO-kr", "ko"),
        ("de", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_language_follows_the_browser(accept, expected):
    assert language(accept) == expected


def test_every_phrase_is_there_in_every_language_with_the_same_blanks():
    import string

    def blanks(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert set(PHRASES) == {"en", "ko"}
    assert list(KOREAN) == list(ENGLISH)
    for key, text in ENGLISH.items():
        assert blanks(KOREAN[key]) == blanks(text), key


def test_help_names_the_tabs_as_they_are_named():
    for phrases in PHRASES.values():
        assert phrases["tab_files"] in phrases["recording_help"]


def test_samples_can_be_played(tmp_path):
    from asr_core import audio

    clips = page.samples(tmp_path)
    assert len({clip.sentence for clip in clips}) == len(clips) == 3
    assert all(len(audio.load(clip.path, 8000)) > 8000 for clip in clips)


def test_failures_are_korean_for_a_korean_visitor(wav):
    engine = Engine(Speaker(AudioError("hi.wav has no sound track.")))
    *_, last = page.transcribe(engine, wav, "ko")
    assert "hi.wav: 소리가 없는 영상입니다." in last.notice
    silent = Transcript((), 1.0, warnings=("No words were recognised in hi.wav.",))
    assert "hi.wav: 알아들은 낱말이 없습니다." in page.outcome(silent, "ko")
    assert "견줄 글이 없습니다" in page.compare(HELLO, "", "ko")[0]
    choice = Choice("embedded", "the Hub could not be reached, so big is not available")
    *_, line = page.model_line(Engine(Speaker(), choice), "ko")
    assert "Hub에 닿지 않아 big 모델을 쓸 수 없습니다" in line


def test_the_more_there_is_to_show_the_less_often_it_is_shown(wav, monkeypatch):
    now = iter(range(10**6))  # seconds; each look at the clock is one later
    monkeypatch.setattr("asr_core.page.time.monotonic", lambda: next(now))
    growing = [Transcript(HELLO.words, 1.0, "hi.wav", complete=False)] * 200
    views = list(page.transcribe(Engine(Speaker(*growing, HELLO)), wav))
    assert 2 < len(views) < 30
    assert views[-1].transcript is HELLO and not views[-1].running
