"""A folder of recordings becomes a folder of transcripts, and a run that ended early goes on."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
import recordings
import tiny

import asr_core.__main__ as commands
from asr_core import archive
from asr_core.archive import Job, Jobs, short_names
from asr_core.errors import OptionError
from asr_core.recognizer import Recognizer

PLACES = ["first.wav", "2024/talk.wav", "2024/may/talk.wav", "2024/may/Talk.flac"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny.wav2vec2(tmp_path_factory.mktemp("model"), norm="layer"))


@pytest.fixture
def talks(tmp_path) -> Path:
    for seed, place in enumerate(PLACES):
        file = tmp_path / "talks" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(recordings.sound(1.0, seed))
    for other in ("notes.txt", "2024/._talk.wav", ".trash/gone.wav"):
        file = tmp_path / "talks" / other
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"not a recording")
    return tmp_path / "talks"


@pytest.fixture
def run(capsys, caplog, model, talks):
    """The exit status and messages of `transcribe` from `talks` to `out` beside it."""
    caplog.set_level("INFO")

    def run(*arguments: object) -> tuple[int, str]:
        wish = ["--model", model, "--output_dir", str(talks.parent / "out")]
        caplog.clear()
        status = commands.main(["transcribe", str(talks), *wish, *map(str, arguments)])
        return status, capsys.readouterr().err + caplog.text

    return run


def written(folder: Path) -> dict[str, str]:
    """What lies in a folder: names and texts."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_transcripts_lie_in_folders_like_those_of_the_recordings(run, talks, model):
    status, errors = run("--format", "srt")
    assert status == 0
    out = written(talks.parent / "out")
    assert sorted(out) == [
        *("2024/may/Talk.flac.srt", "2024/may/talk.wav.srt", "2024/talk.srt", "first.srt"),
    ]
    assert "already" not in errors
    said = Recognizer(model).transcribe(talks / "2024/talk.wav")
    assert said.words[0].text in out["2024/talk.srt"]


def test_a_run_that_was_interrupted_goes_on(run, talks, monkeypatch, capsys):
    out, ready = talks.parent / "out", Recognizer.transcribe_as_ready

    def interrupted(self, sources):
        yield from itertools.islice(ready(self, sources), 2)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "transcribe_as_ready", interrupted)
        status, errors = run()
    assert status == 130
    assert "Traceback" not in errors
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.txt")}
    assert len(before) == 2
    status, errors = run()
    assert status == 0
    assert "2 of 4 transcripts are there already" in errors
    assert len(written(out)) == 4  # and nothing half written beside them
    assert {path: path.stat().st_mtime_ns for path in before} == before
    status, errors = run()
    assert status == 0
    assert "4 of 4 transcripts are there already" in errors
    assert "tiny" not in errors and "on cpu" not in errors  # the model is not even loaded


def test_a_transcript_is_written_when_it_is_ready(run, talks, model, monkeypatch):
    out, stream = talks.parent / "out", Recognizer.stream

    def slow(self, source):
        if Path(source).name == "first.wav":  # it is begun first, and takes longest
            give_up = time.monotonic() + 10
            while (there := len([*out.rglob("*.txt")])) < len(PLACES) - 1:
                assert time.monotonic() < give_up, there
                time.sleep(0.01)
        return stream(self, source)

    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "stream", slow)
        assert run()[0] == 0
    said = Recognizer(model).transcribe_many(talks / place for place in PLACES)
    assert sorted(written(out).values()) == sorted(f"{each.text}\n" for each in said)


def test_what_is_there_is_kept_unless_it_shall_be_written_anew(run, talks):
    own = talks.parent / "out/2024/talk.txt"
    own.parent.mkdir(parents=True)
    own.write_text("written by hand")
    os.utime(own, (0, 0))  # long before the recording
    run()
    assert own.read_text() == "written by hand"
    status, errors = run("--overwrite")
    assert status == 0
    assert "already" not in errors
    assert own.read_text() != "written by hand"


def test_a_recording_that_is_newer_than_its_transcript_is_transcribed_again_if_asked(run, talks):
    out = talks.parent / "out"
    run()
    (out / "first.txt").write_text("of what had been copied until then")
    os.utime(out / "first.txt", (0, 0))
    assert "1 of 4 are older than their recordings; --update writes those anew." in run()[1]
    assert (out / "first.txt").read_text() == "of what had been copied until then"
    status, errors = run("--update")
    assert status == 0
    assert "3 of 4 transcripts are there already" in errors
    assert (out / "first.txt").read_text() != "of what had been copied until then"
    os.utime(talks / "first.wav", (4e9, 4e9))  # by a clock that is wrong
    assert "3 of 4 transcripts are there already" in run("--update")[1]
    assert "4 of 4 transcripts are there already" in run("--update")[1]


def test_of_a_recording_that_is_still_being_written_there_is_no_transcript(run, talks, monkeypatch):
    ready = Recognizer.transcribe_as_ready

    def meanwhile(self, sources):
        for number, result in ready(self, sources):
            if result.source == "first.wav":
                with (talks / "first.wav").open("ab") as file:
                    file.write(bytes(1000))
            yield number, result

    with monkeypatch.context() as patch:
        patch.setattr(Recognizer, "transcribe_as_ready", meanwhile)
        status, errors = run()
    assert status == 1
    assert "first.wav is still being written: start again when it is complete." in errors
    assert "1 of 4 could not be transcribed" in errors
    assert "first.txt" not in written(talks.parent / "out")
    assert run()[0] == 0
    assert "first.txt" in written(talks.parent / "out")


def test_a_bad_recording_is_named_with_its_folder_and_tried_again(run, talks):
    bad = talks / "2024/bad.mp3"
    bad.write_bytes(b"not a recording")
    status, errors = run()
    assert status == 1
    assert "bad.mp3 is cut short or not audio" in errors
    assert str(Path("2024/bad.mp3")) in errors
    assert "1 of 5 could not be transcribed" in errors
    assert len(written(talks.parent / "out")) == 4
    bad.write_bytes(recordings.sound(1.0))
    status, errors = run()
    assert status == 0
    assert "4 of 5 transcripts are there already" in errors


def test_a_person_sees_how_far_it_is(run, monkeypatch, talks):
    (talks / "bad.wav").write_bytes(b"not a recording")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _, errors = run()
    assert "5/5" in errors
    assert "->" not in errors  # instead of a line for each
    assert any(line.startswith("asr_core transcribe: bad.wav") for line in errors.splitlines())


def test_parts_are_the_whole_and_share_nothing(run, talks):
    out = talks.parent / "out"
    seen: set[str] = set()
    for number in (1, 2, 3):
        run("--part", f"{number}/3")
        now = set(written(out))
        assert seen <= now
        seen = now
    assert len(seen) == len(PLACES)
    elsewhere = talks.rename(talks.parent / "the same on another machine")
    for number in (1, 2, 3):
        names = [job.name for job in Jobs([str(elsewhere)], out, "txt", (number, 3))]
        again = [job.name for job in Jobs([f"{elsewhere}/"], out, "srt", (number, 3))]
        assert names == again and len(names) < len(PLACES)


def test_a_part_is_the_same_wherever_the_folder_is_mounted(tmp_path):
    parts = []
    for place in ("here", "elsewhere/deep"):
        (tmp_path / place).mkdir(parents=True)
        for number in range(20):
            (tmp_path / place / f"{number}.wav").touch()
        jobs = Jobs([str(tmp_path / place)], tmp_path / "out", "txt", (1, 3))
        parts.append([job.name for job in jobs])
    assert parts[0] == parts[1]


def test_what_a_run_that_was_killed_left_half_written_is_removed(run, talks):
    out = talks.parent / "out"
    left, lasting = out / f"2024/.{16 * 'a'}.partial", out / f"2024/.{16 * 'b'}.partial"
    strange = out / "2024/.film.partial"
    (out / "2024").mkdir(parents=True)
    for file in left, lasting, strange:
        file.write_text("half")
        os.utime(file, (0, 0))
    os.utime(lasting)  # another run may be at it
    assert run()[0] == 0
    assert not left.exists()
    assert lasting.exists() and strange.exists()


def test_machines_that_number_their_processes_alike_write_side_by_side(tmp_path, monkeypatch):
    mine, yours = (Job(name, tmp_path / f"{name}.txt", name) for name in ("mine", "yours"))
    fsync = os.fsync

    def meanwhile(file: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        yours.write("what you said")
        fsync(file)

    monkeypatch.setattr(os, "fsync", meanwhile)
    mine.write("what I said")
    assert written(tmp_path) == {"mine.txt": "what I said", "yours.txt": "what you said"}


def test_transcripts_are_written_where_rights_cannot_be_set(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("as on a memory stick")

    monkeypatch.setattr(Path, "chmod", refuse)
    Job("talk", tmp_path / "talk.txt", "talk").write("what I said")
    assert written(tmp_path) == {"talk.txt": "what I said"}


@pytest.mark.parametrize("part", ["0/2", "3/2", "2", "a/b", "1/0", "-1/2"])
def test_a_part_that_cannot_be_is_told(run, part, capsys):
    with pytest.raises(SystemExit) as ended:
        run(f"--part={part}")
    assert ended.value.code == 2
    assert "is not like 1/8" in capsys.readouterr().err


def test_what_cannot_be_done_with_a_folder_is_told_before_any_work(talks, tmp_path):
    with pytest.raises(OptionError, match="--output_dir is needed"):
        Jobs([str(talks)], None, "txt")
    with pytest.raises(OptionError, match="transcribe it by itself"):
        Jobs([str(talks), str(talks / "first.wav")], tmp_path, "txt")


def test_a_folder_without_recordings(run, talks):
    for path in talks.rglob("*"):
        if path.is_file():
            path.unlink()
    status, errors = run()
    assert status == 1
    assert "There are no recordings in" in errors


def test_a_full_disk_is_one_sentence(run, talks):
    (talks.parent / "out").write_text("a file in the way")
    status, errors = run()
    assert status == 1
    assert "cannot be written" in errors
    assert "Traceback" not in errors


def test_of_a_large_archive_no_list_is_kept(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).mkdir()
    # One folder after the other, 30,000 files in all.
    folders = [(tmp_path / name, [], [f"{n}.wav" for n in range(10_000)]) for name in "abc"]
    every = Jobs([str(tmp_path)], Path("out"), "txt")
    monkeypatch.setattr("os.walk", lambda folder, **_: iter(folders))
    tracemalloc.start()
    assert sum(1 for _ in every) == 30_000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 15_000_000  # a list of the jobs would take twice that


def test_names_stay_apart():
    assert short_names(["a.wav", "b.mp3"]) == {"a.wav": "a", "b.mp3": "b"}
    for names in (
        ["talk.wav", "talk.mp3", "talk.wav.flac"],
        ["Talk.wav", "talk.mp3", "other.mp3"],
        ["a.wav", "a.mp3", "a.wav.mp3", "a.wav.mp3.flac", "a.wav.flac"],
    ):
        kept = [short.casefold() for short in short_names(names).values()]
        assert len(set(kept)) == len(names)


def test_a_transcript_that_may_be_of_another_recording_of_that_name_is_told(
    talks, model, capsys, caplog
):
    caplog.set_level("INFO")
    out, other = talks.parent / "out", talks / "first.flac"
    other.write_bytes(recordings.sound(1.0))
    os.utime(other, (0, 0))  # made before the transcript, and brought here after it

    def run(*files: Path) -> str:
        caplog.clear()
        wish = ["--model", model, "--output_dir", str(out)]
        assert commands.main(["transcribe", *map(str, files), *wish]) == 0
        return caplog.text

    assert "may be of" not in run(talks / "first.wav")
    assert "may be of" not in run(talks / "2024/talk.wav")
    assert f"1 may be of other recordings, as {out / 'first.txt'} of first.wav, which" in run(other)
    assert "may be of" not in run(talks / "2024/talk.wav")
    assert "may be of" not in run(other, talks / "first.wav")  # each gets one of its own
    assert {"first.flac.txt", "first.wav.txt"} < set(written(out))


def test_links_are_followed_once(talks, tmp_path):
    elsewhere = tmp_path / "disk2"
    elsewhere.mkdir()
    (elsewhere / "more.wav").write_bytes(recordings.sound(1.0))
    (talks / "2023").symlink_to(elsewhere)
    (talks / "2024/round").symlink_to(talks)
    names = [job.name for job in Jobs([str(talks)], tmp_path / "out", "txt")]
    assert sorted(names) == sorted([*PLACES, "2023/more.wav"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="There are no named pipes here.")
def test_nobody_waits_for_a_named_pipe(talks, tmp_path):
    before = [job.name for job in Jobs([str(talks)], tmp_path / "out", "txt")]
    os.mkfifo(talks / "from_the_studio.wav")
    assert [job.name for job in Jobs([str(talks)], tmp_path / "out", "txt")] == before


def test_a_folder_that_cannot_be_read_is_named_and_the_rest_goes_on(run, talks, monkeypatch):
    walk = os.walk

    def locked(folder, onerror, followlinks):
        onerror(PermissionError(13, "Permission denied", str(folder / "lost+found")))
        return walk(folder, onerror=onerror, followlinks=followlinks)

    monkeypatch.setattr("os.walk", locked)
    status, errors = run()
    assert status == 1
    assert f"{talks / 'lost+found'} cannot be read: permission denied." in errors
    assert len(written(talks.parent / "out")) == len(PLACES)


def test_a_recording_that_cannot_even_be_looked_at_is_named_and_the_rest_goes_on(
    run, talks, monkeypatch
):
    def refuse(path):
        if path.name == "first.wav":
            raise PermissionError(13, "Permission denied", str(path))
        return False

    monkeypatch.setattr("pathlib.Path.is_fifo", refuse)
    status, _ = run()
    assert status == 0  # here it can be read after all
    assert len(written(talks.parent / "out")) == len(PLACES)


def test_a_folder_may_have_any_name(run, talks):
    (talks / "2024").rename(talks / "transcripts")
    assert run()[0] == 0
    status, errors = run()
    assert status == 0
    assert f"{len(PLACES)} of {len(PLACES)} transcripts are there already" in errors


def test_names_that_are_hard_to_write_do_not_end_the_run(run, talks):
    (talks / ("회" * 83 + "ab.wav")).write_bytes(recordings.sound(1.0))  # 255 bytes
    (talks / os.fsdecode("회의.wav".encode("cp949"))).write_bytes(recordings.sound(1.0))
    status, errors = run("--format", "json")
    assert status == 1
    assert "1 of 6 could not be transcribed" in errors
    assert "file name too long" in errors
    assert len(written(talks.parent / "out")) == len(PLACES) + 1


def test_what_goes_away_during_a_run_is_told(run, talks, monkeypatch):
    walk, walks = os.walk, []

    def shrinking(folder, **options):
        walks.append(folder)
        if len(walks) == 2:  # the first only counts
            (talks / "2024").rename(talks.parent / "elsewhere")
        return walk(folder, **options)

    monkeypatch.setattr("os.walk", shrinking)
    status, errors = run()
    assert status == 1
    assert "3 of 4 were no longer there" in errors
    assert set(written(talks.parent / "out")) == {"first.txt"}


def test_a_folder_that_goes_away_during_a_run_is_named(run, talks, monkeypatch):
    walk, walks = os.walk, []

    def locked(folder, onerror, followlinks):
        walks.append(folder)
        if len(walks) == 2:
            onerror(OSError(5, "Input/output error", str(folder / "2025")))
        return walk(folder, onerror=onerror, followlinks=followlinks)

    monkeypatch.setattr("os.walk", locked)
    status, errors = run()
    assert status == 1
    assert errors.count(f"{talks / '2025'} cannot be read: input/output error.") == 1


def test_a_folder_that_vanishes_once_it_is_listed_is_passed_over(talks, tmp_path, monkeypatch):
    walk = os.walk

    def vanishing(folder, **options):
        for place, below, names in walk(folder, **options):
            if Path(place).name == "2024":
                (talks / "2024").rename(tmp_path / "elsewhere")
            yield place, below, names

    monkeypatch.setattr("os.walk", vanishing)
    jobs = Jobs([str(talks)], tmp_path / "out", "txt")
    assert [job.name for job in jobs] == ["first.wav"]
    assert jobs.unread == {str(talks / "2024"): "no such file or directory"}


def test_what_is_in_the_way_of_one_transcript_is_in_the_way_of_no_other(run, talks):
    out = talks.parent / "out"
    (out / "first.txt").mkdir(parents=True)
    (talks / "more.txt").mkdir()
    (talks / "more.txt/part.wav").write_bytes(recordings.sound(1.0))
    (out / "more.txt").write_text("what was heard in more.wav")
    status, errors = run()
    assert status == 1
    assert "first.txt cannot be written: is a directory" in errors
    assert "2 of 5 could not be transcribed" in errors
    assert len(written(out)) == len(PLACES)  # the others, and the one that was there


def test_a_folder_of_somebody_else_is_in_the_way_of_what_belongs_there_only(
    run, talks, monkeypatch
):
    whole = archive.whole

    def locked(path):
        if path.parent.name == "2024":
            raise PermissionError(errno.EACCES, "Permission denied")
        return whole(path)

    monkeypatch.setattr(archive, "whole", locked)
    status, errors = run()
    assert status == 1
    assert "talk.txt cannot be written: permission denied" in errors
    assert "1 of 4 could not be transcribed" in errors
    assert len(written(talks.parent / "out")) == 3


def test_what_another_run_does_meanwhile_is_no_loss(run, talks, monkeypatch):
    walk, walks, done = os.walk, [], talks.parent / "out" / "first.txt"

    def meanwhile(folder, **options):
        walks.append(folder)
        if len(walks) == 2:  # the first only counts
            done.parent.mkdir(exist_ok=True)
            done.write_text("by the other run")
        return walk(folder, **options)

    monkeypatch.setattr("os.walk", meanwhile)
    status, errors = run()
    assert (status, done.read_text()) == (0, "by the other run")
    assert "no longer there" not in errors
    assert len(written(talks.parent / "out")) == len(PLACES)


@pytest.mark.parametrize("part", range(1, 5))
def test_an_archive_that_is_not_there_is_no_empty_part(run, talks, part):
    talks.rename(talks.parent / "elsewhere")
    status, errors = run("--part", f"{part}/4")
    assert status == 1
    assert "does not exist: check the path." in errors
    talks.mkdir()
    status, errors = run("--part", f"{part}/4")
    assert status == 1
    assert f"There are no recordings in {talks}." in errors


@pytest.mark.parametrize("ending", ["bwf", "m2t", "mp2", "MTS", "ts", "vob", "weba", "ogv"])
def test_recordings_of_cameras_and_radio_stations_are_found(talks, tmp_path, ending):
    (talks / f"a.{ending}").write_bytes(b"")
    names = [job.name for job in Jobs([str(talks)], tmp_path / "out", "txt")]
    assert f"a.{ending}" in names


def test_a_part_may_be_empty(run, talks):
    parts = range(1, 51)
    statuses = [run("--part", f"{part}/50") for part in parts]
    assert not any(status for status, _ in statuses)
    assert sum("no recordings in that part" in said for _, said in statuses) >= 46
    assert len(written(talks.parent / "out")) == len(PLACES)


def test_an_empty_name_is_not_the_folder_one_is_in(tmp_path):
    with pytest.raises(OptionError, match="has no name"):
        Jobs([""], tmp_path, "txt")
