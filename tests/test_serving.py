"""What is served is bounded: the size of a request, what is kept of calls, and who may wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import gradio as gr
import pytest
from browser import ROOT
from starlette.middleware import Middleware
from waiting import run

from app import root_path
from asr_core import page
from asr_core.api import Blocks, api
from asr_core.serving import LARGEST, Guard
from asr_core.transcript import Transcript, Word

UPLOAD = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}


class Growing:
    """An engine that hears one word after the other."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = threading.Event()

    def stream(self, recording, wish) -> Iterator[Transcript]:
        words = tuple(Word(f"WORD{i}", i, i + 1.0, 1.0) for i in range(self.count))
        for i in range(1, self.count + 1):
            yield Transcript(words[:i], float(i), complete=i == self.count)
        self.done.set()


def launch(demo: gr.Blocks) -> str:
    kwargs = {"middleware": [Middleware(Guard)]}
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, app_kwargs=kwargs)
    return url.rstrip("/")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Blocks() as demo:
        api(Growing(1))
    yield launch(demo)
    demo.close()


def answer(address: str, body: object = None, headers: dict = JSON) -> tuple[int, str]:
    try:
        request = urllib.request.Request(address, body, headers)
        with urllib.request.urlopen(request, timeout=60) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def call(words: int) -> bytes:
    return json.dumps({"data": [None, "txt", True, "x" * words]}).encode()


@pytest.mark.parametrize("place", ["call/transcribe", "queue/join", "call/upload"])
@pytest.mark.parametrize("whole", [True, False])  # declares its size, or comes in pieces
def test_a_request_too_large_is_refused_in_a_sentence(url, place, whole):
    body = call(LARGEST)
    pieces = body if whole else (body[i : i + 65_536] for i in range(0, len(body), 65_536))
    status, said = answer(f"{url}/gradio_api/{place}", pieces)
    assert status == 413
    assert (
        "larger than 4 MB: send the recording to /gradio_api/upload" in json.loads(said)["detail"]
    )


def test_what_is_smaller_is_taken_and_so_is_an_upload(url):
    assert answer(f"{url}/gradio_api/call/transcribe", call(LARGEST - 1000))[0] == 200
    head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    upload = head + bytes(2 * LARGEST) + b"\r\n--b--\r\n"
    assert answer(f"{url}/gradio_api/upload", upload, UPLOAD)[0] == 200


def test_what_is_no_request_passes():
    passed = []

    async def inner(*connection) -> None:
        passed.append(connection)

    for kind in ("websocket", "lifespan"):
        run(Guard(inner)({"type": kind}, len, print))
    assert passed == [({"type": kind}, len, print) for kind in ("websocket", "lifespan")]


def test_an_error_that_is_not_the_callers_is_not_hidden():
    async def inner(scope, receive, send) -> None:
        await send({"type": "http.response.start"})
        raise RuntimeError("ours")

    async def send(message) -> None:
        pass

    with pytest.raises(RuntimeError, match="ours"):
        run(Guard(inner)({"type": "http", "path": "/", "headers": []}, None, send))


def test_an_event_that_there_is_not_is_no_news_for_who_hosts(url, capfd):
    status, said = answer(f"{url}/gradio_api/call/transcribe/{'0' * 32}")
    assert status == 200
    assert said.startswith("event: error")
    assert answer(f"{url}/config")[0] == 200
    err = capfd.readouterr().err
    assert "Traceback" not in err and "ASGI" not in err


def test_what_nobody_listens_to_takes_little_memory(monkeypatch):
    monkeypatch.setattr(page, "SPARING", 0)
    engine = Growing(1000)
    with Blocks() as demo:
        api(engine)
    url = launch(demo)
    try:
        _, said = answer(f"{url}/gradio_api/call/transcribe", call(0))
        assert engine.done.wait(60)
        (messages,) = demo._queue.pending_messages_per_session.values()
        deadline = time.monotonic() + 60
        while "process_completed" not in [m.msg for m in messages._queue]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        kept = [m.output["data"][0] for m in messages._queue if getattr(m, "output", None)]
        *_, last = kept
        assert "WORD999" in last
        assert len(kept) > 900  # so that one who leaves is noticed soon
        assert sum(len(text) for text in {id(text): text for text in kept}.values()) < 15 * len(
            last
        )
        _, told = answer(f"{url}/gradio_api/call/transcribe/{json.loads(said)['event_id']}")
        assert "event: generating" in told
        assert last.strip() in json.loads(told.split("data: ")[-1])[0]
    finally:
        demo.close()


PROBE = """
import os
import gradio
import app

def launch(self, **options):
    print(self._resolve_ssr_mode(options.get("ssr_mode")), os.environ["GRADIO_ROOT_PATH"])
    print(self._queue.max_size, [m.cls.__name__ for m in options["app_kwargs"]["middleware"]])
    raise SystemExit

gradio.Blocks.launch = launch
app.serve("embedded", None, None, False)
"""


def test_the_page_is_served_by_us_alone_and_bounded():
    done = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SSR_MODE": "true", "GRADIO_ROOT_PATH": "speech/"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout.splitlines() == ["False /speech", "200 ['Guard']"], done.stderr


@pytest.mark.parametrize(
    "given, taken",
    [
        ("", ""),
        ("/", ""),
        ("speech", "/speech"),
        ("/speech/", "/speech"),
        (" a/b", "/a/b"),
        ("https://host/speech", "https://host/speech"),
    ],
)
def test_where_a_proxy_shows_the_page(given, taken):
    assert root_path(given) == taken


def test_when_too_many_wait_the_next_one_is_told():
    gate = threading.Event()
    with Blocks() as demo:
        text = gr.Textbox()
        text.change(lambda _: gate.wait(60) and None, text, api_name="wait", concurrency_limit=1)
    demo.queue(max_size=2)
    url = launch(demo)
    try:
        body = json.dumps({"data": ["x"]}).encode()
        answers = [answer(f"{url}/gradio_api/call/wait", body) for _ in range(6)]
        assert answers[0][0] == 200
        assert answers[-1][0] == 503
        assert "Queue is full" in json.loads(answers[-1][1])["detail"]
    finally:
        gate.set()
        demo.close()
