"""`python app.py` as a command: quick help, one sentence for what cannot be, page before model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from textwrap import dedent

import pytest
from browser import PATIENCE, ROOT, App, free_port, long_recording, silence
from gradio_client import Client, handle_file
from gradio_client.utils import Status

from app import options, reach_ourselves


def test_help_needs_neither_torch_nor_gradio():
    program = (
        "import sys; sys.argv = ['app.py']; import app\n"
        "try: app.options(['--help'])\n"
        "except SystemExit: print(sorted({'torch', 'gradio', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--model" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("port", ["0", "70000", "x"])
def test_a_port_that_is_none(port, capsys):
    with pytest.raises(SystemExit) as ended:
        options(["--port", port])
    assert ended.value.code == 2
    assert "--port" in capsys.readouterr().err


def test_a_port_in_the_environment_that_is_none(monkeypatch, capsys):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "abc")
    with pytest.raises(SystemExit):
        options([])
    assert "GRADIO_SERVER_PORT=abc is not a port" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["abc", "0", ""])
def test_a_number_of_ports_in_the_environment_that_is_none(monkeypatch, capsys, count):
    monkeypatch.setenv("GRADIO_NUM_PORTS", count)
    with pytest.raises(SystemExit):
        options([])
    assert f"GRADIO_NUM_PORTS={count} is no number of ports" in capsys.readouterr().err


def test_an_address_in_the_environment_that_is_not_this_machines():
    environment = {"GRADIO_SERVER_NAME": "192.0.2.1", "GRADIO_NUM_PORTS": "3"}
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, **environment, "GRADIO_SERVER_PORT": "7900"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "Nothing can be served at 192.0.2.1, port 7900 to 7902: " in done.stderr


@pytest.mark.browser
def test_a_port_that_is_taken(app):
    command = [sys.executable, "app.py", "--port", str(app.port)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert f"port {app.port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_who_no_longer_reads_what_is_printed_is_not_told_of_ports():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "app.py", "--model", "embedded", "--port", str(free_port())]
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300
        )
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert done.stderr == "app.py: Nobody reads what is printed: send it to a file.\n"


@pytest.mark.slow
def test_the_app_ends_without_a_traceback_while_somebody_is_served(tmp_path):
    running = App(tmp_path, "--model", "embedded", OMP_NUM_THREADS="2")
    try:
        running.wait_for("Ready: embedded")
        sound = handle_file(long_recording(tmp_path / "long.wav", 10))
        job = Client(running.url, verbose=False).submit(sound, api_name="/transcribe")
        while job.status().code != Status.PROCESSING:
            time.sleep(0.1)
        running._process.send_signal(signal.SIGINT)
        running._process.wait(PATIENCE / 1000)
    finally:
        running.close()
    assert "Traceback" not in running.log


@pytest.mark.parametrize("end", ["SIGTERM", "SIGHUP"])
def test_the_page_is_up_before_the_model_and_uploads_go_when_a_host_ends_the_app(tmp_path, end):
    temp = tmp_path / "uploads"
    # Neither a proxy that leads nowhere nor an old terminal is in its way.
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    running = App(temp, "--model", "embedded", PYTHONIOENCODING="cp1252", **proxy)
    try:
        assert "Ready" not in running.log
        running.wait_for("Ready: embedded")
        sound = handle_file(silence(tmp_path / "talk.wav"))
        Client(running.url, verbose=False).submit(sound, api_name="/transcribe")
        deadline = time.monotonic() + PATIENCE / 1000
        while not list(temp.rglob("talk.wav")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running._process.send_signal(signal.Signals[end])
        running._process.wait(PATIENCE / 1000)
    finally:
        running.close()
    assert list(temp.iterdir()) == []


def test_who_ends_the_app_in_the_middle_of_an_import_is_heard(tmp_path):
    """Where Python lets no exception through: in the callback of a lock that has been dropped."""
    (tmp_path / "sitecustomize.py").write_text(
        dedent("""
        import os, signal, sys, weakref

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == "matplotlib.pyplot":
                    lock = Finder()
                    unneeded = weakref.ref(lock, lambda _: os.kill(os.getpid(), signal.SIGTERM))
                    del lock

        sys.meta_path.insert(0, Finder())
        """)
    )
    running = App(tmp_path / "uploads", "--model", "embedded", PYTHONPATH=str(tmp_path))
    try:
        assert running._process.wait(PATIENCE / 1000) == 0, running.log
    finally:
        running._process.kill()
    assert "Ready: embedded" in running.log
    assert "Traceback" not in running.log


def started(*arguments: str, **environment: str) -> tuple[int | None, str]:
    """The exit status of `app.py`, None where it says that it is ready, and what it has printed."""
    with subprocess.Popen(
        [sys.executable, "app.py", "--model", "embedded", "--port", str(free_port()), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        printed = ""
        for line in process.stdout:
            printed += line
            if "Ready: " in line and not environment:
                process.terminate()
                return None, printed
    return process.returncode, printed


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_the_page_is_served_at_an_address_of_the_newer_kind():
    status, printed = started("--host", "::1")
    assert status is None, printed
    assert "Open http://[::1]:" in printed


@pytest.mark.parametrize(
    "before, after",
    [
        ({}, "localhost,127.0.0.1,::1,192.0.2.1"),
        ({"NO_PROXY": "hub.corp"}, "hub.corp,localhost,127.0.0.1,::1,192.0.2.1"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, "b,localhost,127.0.0.1,::1,192.0.2.1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_what_the_host_reaches_without_a_proxy_stays_so(monkeypatch, before, after):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, before.get(name, ""))
    reach_ourselves("192.0.2.1")
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == after


def test_flags_for_lessons_that_there_are_not_are_told_at_once():
    status, printed = started(ASR_TEACH_FLAGS="--nonsense 3")
    assert status == 1
    assert "app.py: ASR_TEACH_FLAGS=--nonsense 3: There is no option --nonsense" in printed
    assert "Traceback" not in printed
