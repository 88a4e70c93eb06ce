"""What the server remembers of visitors goes with them, and who waits does not hold up others."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio import route_utils
from gradio.state_holder import StateHolder
from starlette.requests import ClientDisconnect
from waiting import run

import app
from asr_core import page, visitors
from asr_core.engine import Engine
from asr_core.errors import ModelError
from asr_core.transcribe_tab import SAMPLES
from asr_core.visitors import (
    OURS,
    drop_broken_uploads,
    drop_parts,
    forget,
    forget_in_time,
    remember_files_of_assistants,
    sweep,
)


def test_programs_and_closed_tabs_are_forgotten_in_time():
    deleted: list[str] = []
    with gr.Blocks() as demo:
        said = gr.State("", delete_callback=deleted.append)
    holder = StateHolder()
    holder.set_blocks(demo)
    for key in ("program", "closed", "open", "new"):
        session = holder[key]
        if key != "program":
            session[said._id] = f"what was said in {key}"
        session.is_closed = key in ("closed", "new")
    for key in ("program", "closed", "open"):
        holder.time_last_used[key] = datetime.now() - timedelta(hours=2)
    forget(holder, keep=3600)
    assert set(holder.session_data) == set(holder.time_last_used) == {"open", "new"}
    assert holder["open"][said._id] == "what was said in open"
    assert deleted == ["what was said in closed"]


def test_a_session_that_holds_nothing_is_forgotten_after_a_minute():
    with gr.Blocks() as demo:
        said = gr.State("")
    holder = StateHolder()
    holder.set_blocks(demo)
    for key in ("program", "new", "closed", "open"):
        session = holder[key]
        if key in ("closed", "open"):
            session[said._id] = f"what was said in {key}"
        session.is_closed = key == "closed"
        if key != "new":
            holder.time_last_used[key] = datetime.now() - timedelta(minutes=2)
    forget(holder, keep=3600)
    assert set(holder.session_data) == {"new", "closed", "open"}


def test_a_crowd_of_programs_does_not_push_out_what_tabs_hold():
    deleted: list[str] = []
    with gr.Blocks() as demo:
        said = gr.State("", delete_callback=deleted.append)
    holder = StateHolder()
    holder.set_blocks(demo)
    holder.capacity = 3
    forget_in_time(holder, keep=3600)
    for tab in ("first", "second"):
        holder[tab][said._id] = tab
    for program in range(10):
        assert not holder[f"program {program}"].state_data
    assert list(holder.session_data) == ["first", "second", "program 9"]
    for tab in ("third", "fourth"):
        holder[tab][said._id] = tab
    assert list(holder.session_data) == list(holder.time_last_used) == ["second", "third", "fourth"]
    assert deleted == ["first"]  # there was nothing less to be forgotten, and it ends as it should


def test_what_is_corrected_at_once_is_not_undone_when_gradio_sends_the_last_view_again(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("asr_core.captions.AWAY", 0.01)
    demo = app.build(Engine("embedded"))
    fns = {fn.fn.__qualname__.split(".")[0]: fn.fn for fn in demo.fns.values() if _is_run(fn.fn)}
    visitor = SimpleNamespace(headers={"accept-language": "en"})
    (clip,) = page.samples(tmp_path, 1)
    for tab, inputs in (("transcribe_tab", (clip.path, 1, [1])), ("live_tab", ("key", 0, [], ""))):
        *_, shown, last = fns[tab](visitor, *inputs, "", True, "")
        assert "done" in str(shown) or "problem" in str(shown)
        assert last == gr.skip()


def _is_run(function) -> bool:
    return getattr(function, "__name__", "") in ("on_recording", "on_record")


def test_what_is_shown_stays_when_its_transcript_is_forgotten():
    demo = app.build(Engine("embedded"))
    fns = [fn for fn in demo.fns.values() if fn.fn and fn.fn.__name__ == "on_edit"]
    assert fns
    visitor = SimpleNamespace(headers={"accept-language": "en"})
    for fn in fns:
        transcript, words, notice = fn.fn(None, "What is shown", visitor)
        assert transcript == words == gr.skip()
        assert "The server has no transcript of this" in notice


def test_sample_clips_do_not_lie_where_recordings_are_swept():
    demo = app.build(Engine("embedded"))
    (load,) = (fn.fn for fn in demo.fns.values() if fn.fn and fn.fn.__name__ == "load_example")
    (clips,) = (each for each in demo.blocks.values() if each.get_block_name() == "dataset")
    path = Path(load((0, clips.raw_samples[0]))["value"]["path"])
    assert path.is_relative_to(SAMPLES.name) and path.exists()


def test_recordings_of_assistants_are_swept_like_any_other(monkeypatch, tmp_path):
    from gradio import mcp

    monkeypatch.setattr(mcp, "DEFAULT_TEMP_DIR", str(tmp_path))
    demo = app.build(Engine("embedded"))
    demo.mcp_server_obj = mcp.GradioMCPServer(demo)
    remember_files_of_assistants(demo)
    sent = {"recording": "data:audio/wav;base64,AAAA", "format": "srt"}
    made = demo.mcp_server_obj.convert_strings_to_filedata(sent, [["recording"]])
    (kept,) = (str(path) for path in tmp_path.rglob("*") if path.is_file())
    assert made["recording"]["path"] == kept and made["format"] == "srt"
    assert kept in demo.upload_file_set


def test_after_a_machine_has_slept_other_runs_may_first_give_a_sign(tmp_path):
    own, other = tmp_path / f"{OURS}own", tmp_path / f"{OURS}other"
    for folder in (own, other):
        folder.mkdir()
        os.utime(folder, (0, 0))
    sweep(own, keep=3600)
    assert other.exists()
    sweep(own, keep=3600)
    assert not other.exists()


def test_what_a_killed_run_left_behind_is_deleted_in_time_and_nothing_else(tmp_path, monkeypatch):
    names = (f"{OURS}killed", f"{OURS}running", f"{OURS}own", "somebody-elses")
    for name in names:
        (tmp_path / name / "abc").mkdir(parents=True)
        (tmp_path / name / "abc" / "talk.wav").write_text("sound")
        os.utime(tmp_path / name / "abc" / "talk.wav", (0, 0))
        hours = {f"{OURS}running": 0, f"{OURS}own": 0.5}.get(name, 2)
        os.utime(tmp_path / name, 2 * (time.time() - 3600 * hours,))
    (tmp_path / f"{OURS}link").symlink_to(tmp_path / "somebody-elses")
    stat = Path.stat

    def vanished(path, **options):
        if path.name == f"{OURS}gone":  # another run has just deleted it
            raise FileNotFoundError(path)
        return stat(path, **options)

    (tmp_path / f"{OURS}gone").mkdir()
    monkeypatch.setattr(Path, "stat", vanished)
    sweep(tmp_path / f"{OURS}own", keep=3600)
    left = {str(path.parent.parent.name) for path in tmp_path.rglob("talk.wav")}
    assert left == set(names[1:])
    assert (tmp_path / f"{OURS}own").stat().st_mtime > time.time() - 60  # others leave it alone


def test_a_run_whose_place_was_deleted_has_it_again(tmp_path):
    sweep(tmp_path / "gone" / f"{OURS}own", keep=3600)
    assert (tmp_path / "gone" / f"{OURS}own").is_dir()


def test_what_cannot_be_forgotten_once_is_forgotten_the_next_time(monkeypatch, caplog):
    tried, again = [], threading.Event()

    def failing(*_) -> None:
        tried.append("once")
        if len(tried) == 1:
            raise RuntimeError("dictionary changed size")
        again.set()
        threading.Event().wait()  # not for ever again

    monkeypatch.setattr(visitors, "forget", failing)
    monkeypatch.setattr(visitors, "EMPTY", 0.01)
    forget_in_time(StateHolder(), keep=3600)
    assert again.wait(20)
    assert "could not be deleted: dictionary changed size" in caplog.text


def test_an_upload_that_never_became_whole_is_deleted_in_time_and_nothing_else(tmp_path):
    for name in ("broken", "coming", "abc/whole.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("sound")
        if name != "coming":
            os.utime(tmp_path / name, (0, 0))
    drop_parts(tmp_path, keep=3600)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"coming", "abc/whole.wav"}  # gradio knows of the last and deletes it itself


@pytest.mark.parametrize("reason", [ClientDisconnect(), OSError(errno.ENOSPC, "disk full")])
def test_an_upload_that_breaks_off_is_deleted_at_once(tmp_path, monkeypatch, reason):
    monkeypatch.setattr(route_utils, "GradioMultiPartParser", route_utils.GradioMultiPartParser)
    drop_broken_uploads()
    there = []

    async def stream():
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\nsound'
        there.extend(tmp_path.iterdir())
        raise reason

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    request = SimpleNamespace(headers=headers, stream=stream)
    with pytest.raises(type(reason)):
        run(route_utils.upload_fn(request, tmp_path, 1000, None))
    assert there and not list(tmp_path.iterdir())


def test_what_a_run_keeps_of_visitors_goes_with_it(tmp_path):
    """In a process of its own, as it changes where temporary files are."""
    killed = tmp_path / "temporary" / f"{OURS}killed" / "asr-lesson-1"
    killed.mkdir(parents=True)
    os.utime(killed.parent, (0, 0))
    code = (
        "import os, tempfile, time\n"
        "from asr_core.visitors import folders_of_this_run\n"
        "folders_of_this_run(every=0.01, keep=3600)\n"
        "broken = tempfile.mkstemp(dir=os.environ['GRADIO_TEMP_DIR'])[1]\n"
        "os.utime(broken, (0, 0))\n"
        "while os.path.exists(broken): time.sleep(0.01)\n"
        "for place in (os.environ['GRADIO_TEMP_DIR'], None):\n"
        "    print(tempfile.mkstemp(dir=place)[1])\n"
    )
    places = {"GRADIO_TEMP_DIR": tmp_path / "uploads", "TMPDIR": tmp_path / "temporary"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {name: str(place) for name, place in places.items()},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    upload, lesson = (Path(line) for line in ran.stdout.split())
    assert upload.is_relative_to(tmp_path / "uploads")
    assert lesson.is_relative_to(tmp_path / "temporary")
    assert not [path for place in places.values() for path in place.iterdir()]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_crowd_that_waits_for_the_model_does_not_hold_up_the_page(monkeypatch):
    loaded = threading.Event()

    def slow(self, name=None):
        loaded.wait(60)
        raise ModelError("There is none.")

    monkeypatch.setattr(Engine, "recognizer", slow)
    demo = app.build(Engine("embedded"))
    _, address, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        number = next(
            index for index, fn in demo.fns.items() if fn.fn and fn.fn.__name__ == "on_load"
        )
        for visitor in range(60):  # gradio has 40 threads
            body = f'{{"data": [""], "fn_index": {number}, "session_hash": "v{visitor}"}}'
            request = urllib.request.Request(
                f"{address}gradio_api/queue/join",
                body.encode(),
                {"Content-Type": "application/json"},
            )
            urllib.request.urlopen(request, timeout=30).close()
        with urllib.request.urlopen(address, timeout=30) as page:
            assert page.status == 200
        assert not loaded.is_set()
    finally:
        loaded.set()
        demo.close()
