"""Several files: each is told by itself, one bad file fails alone, all end in the zip file."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace

import pytest
from gradio_client.utils import is_valid_file
from test_page import Engine

from asr_core import batch
from asr_core.engine import Engine as FullEngine
from asr_core.errors import AudioError
from asr_core.transcript import Transcript, Word


class Listener:
    """Stands in for a Recognizer: hears a word that is the file's name, and refuses bad ones."""

    def stream(self, source: str):
        if "bad" in source:
            raise AudioError(f"{source} is <damaged>.")
        name = source.removesuffix(".wav")
        yield Transcript((), 0.5, source, complete=False)
        said = () if "silent" in source else (Word(name.upper(), 0.0, 0.4, 0.9),)
        yield Transcript(said, 1.0, source)


def line(transcript: Transcript) -> batch.Line:
    return batch.Line(transcript.source, "", running=False, transcript=transcript)


def transcribe(monkeypatch, *paths: str) -> list[batch.Batch]:
    monkeypatch.setattr("asr_core.page.length", lambda path: 1.0)
    return list(batch.transcribe_files(Engine(Listener()), list(paths)))


def test_a_bad_file_fails_alone(monkeypatch):
    *_, last = transcribe(monkeypatch, "one.wav", "bad.wav", "two.wav", "silent.wav")
    heard = [line.transcript and line.transcript.text for line in last.lines]
    assert heard == ["ONE", None, "TWO", ""]
    assert "bad.wav is &lt;damaged&gt;." in last.table
    said = "2 of 4 transcribed; 2 could not be: see below."  # in one, nothing was said
    assert said in last.notice and "problem" in last.notice
    assert not last.running


def test_of_a_cancelled_batch_what_is_finished_stays_and_the_rest_waits_no_longer(monkeypatch):
    views = transcribe(monkeypatch, "one.wav", "two.wav", "three.wav")
    view = next(view for view in views if "ONE" in view.table and "waiting" in view.table)
    table = batch.cancelled(view.lines)
    assert "ONE" in table and "three.wav" in table
    assert "waiting" not in table and "busy" not in table
    assert table.count("Cancelled before anything was heard") == 2


def test_of_a_file_that_is_cancelled_what_was_heard_is_in_the_table_and_the_zip_file(monkeypatch):
    class Slow(Listener):
        def stream(self, source: str):
            *_, whole = super().stream(source)
            yield replace(whole, complete=source.startswith("one"))

    monkeypatch.setattr("asr_core.page.length", lambda path: 1.0)
    paths = ["one.wav", "two.wav", "three.wav"]
    views = batch.transcribe_files(Engine(Slow()), paths)
    view = next(view for view in views if "TWO" in view.table)
    table = batch.cancelled(view.lines)
    assert "TWO" in table
    assert table.count("What was heard so far stays here") == 1
    assert table.count("Cancelled before anything was heard") == 1
    with zipfile.ZipFile(io.BytesIO(batch.zipped(view.lines))) as zipped:
        said = {name: zipped.read(name) for name in zipped.namelist() if name.endswith(".txt")}
    assert said == {"one.txt": b"ONE\n", "two (partial).txt": b"TWO\n"}


def test_files_wait_for_their_turn_in_the_table(monkeypatch):
    first, *others, last = transcribe(monkeypatch, "one.wav", "two.wav")
    assert first.running and all(view.running for view in others) and not last.running
    assert first.table.count("waiting") == 1
    assert first.table.index("one.wav") < first.table.index("two.wav")


def test_files_that_wait_are_not_swept_away_as_old(monkeypatch, tmp_path):
    paths = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for path in paths:
        path.touch()
        os.utime(path, (0, 0))
    transcribe(monkeypatch, *map(str, paths))
    assert all(path.stat().st_mtime > 1e9 for path in paths)


def test_of_a_long_transcript_the_newest_words_are_shown_and_in_the_end_the_first(monkeypatch):
    class Long(Listener):
        def stream(self, source: str):
            said = tuple(Word(f"WORD{n}", n, n + 1, 0.9) for n in range(100))
            yield Transcript(said, 100.0, source, complete=False)
            yield Transcript(said, 100.0, source)

    monkeypatch.setattr("asr_core.page.length", lambda path: 100.0)
    *_, running, last = batch.transcribe_files(Engine(Long()), ["talk.wav"])
    assert "WORD99</td>" in running.table and "WORD0 " not in running.table
    assert ">WORD0 " in last.table and "WORD99" not in last.table


def test_names_of_files_and_words_stay_text():
    table = batch.table([batch.Line("<b>.wav", "", "<i>")])
    assert "&lt;b&gt;.wav" in table and "&lt;i&gt;" in table


def test_no_files():
    (only,) = batch.transcribe_files(Engine(Listener()), None)
    assert "There are no files yet" in only.notice


def test_there_is_no_zip_file_of_nothing():
    assert batch.zipped(()) is None
    assert batch.zipped([batch.Line("bad.wav", "")]) is None
    unheard = Transcript((), 0.0, "talk.wav", complete=False)
    assert batch.zipped([batch.Line("talk.wav", "", transcript=unheard)]) is None


def test_the_zip_file_holds_every_file_in_every_format_once():
    same = [Transcript((Word(text, 0.0, 0.4, 0.9),), 1.0, "call.wav") for text in ("A", "B")]
    with zipfile.ZipFile(io.BytesIO(batch.zipped(map(line, same)))) as zipped:
        assert len(zipped.namelist()) == len(set(zipped.namelist())) == 10
        assert zipped.read("call.txt") == b"A\n"
        assert zipped.read("call (2).txt") == b"B\n"
        assert zipped.testzip() is None


def test_files_that_wait_long_are_kept_fresh(monkeypatch, tmp_path):
    paths = [tmp_path / "one.wav", tmp_path / "two.wav"]
    for path in paths:
        path.touch()
    monkeypatch.setattr("asr_core.page.length", lambda path: 1.0)
    monkeypatch.setattr(batch, "TOUCH", 0.0)
    made = batch.transcribe_files(Engine(Listener()), list(map(str, paths)))
    next(made)
    os.utime(paths[1], (0, 0))  # an hour later the first one is still being read
    next(made)
    assert paths[1].stat().st_mtime > 1e9


@pytest.mark.parametrize("paths", [("Talk.mp3", "talk.wav"), ("talk.wav", "Talk.mp3")])
def test_names_in_the_zip_file_differ_also_for_who_ignores_case(paths):
    said = [Transcript((), 1.0, name) for name in paths]
    names = zipfile.ZipFile(io.BytesIO(batch.zipped(map(line, said)))).namelist()
    assert len({name.casefold() for name in names}) == len(names)


def test_files_are_taken_by_their_endings_wherever_the_server_runs(monkeypatch):
    import app

    demo = app.build(FullEngine("embedded"))
    files = next(each for each in demo.blocks.values() if each.elem_id == "files")
    monkeypatch.setattr("gradio_client.utils.get_mimetype", lambda path: None)
    for name in ("talk.flac", "TALK.M4A", "talk.ogg", "talk.caf", "talk.w64", "talk.ts"):
        assert is_valid_file(name, files.file_types), name
    assert not is_valid_file("talk.txt", files.file_types)
