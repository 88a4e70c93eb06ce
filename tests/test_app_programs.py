"""The app for programs: gradio_client, HTTP as curl speaks it, and MCP, with the real clients."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from browser import MODEL
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from asr_core import Recognizer, page
from asr_core.api import Blocks, api
from asr_core.transcript import Transcript, Word


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> str:
    return page.samples(tmp_path_factory.mktemp("clips"), 1)[0].path


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(MODEL)


@pytest.fixture(scope="module")
def client(app) -> Client:
    return Client(app.url, verbose=False)


def test_the_endpoint_and_its_formats(client, clip):
    text = client.predict(handle_file(clip), api_name="/transcribe")
    content = json.loads(client.predict(handle_file(clip), "json", api_name="/transcribe"))
    assert content["text"] == text.strip()
    assert content["words"][0].keys() == {"text", "start", "end", "confidence", "space"}
    assert "-->" in client.predict(handle_file(clip), "vtt", api_name="/transcribe")


def test_wishes(client, clip, recognizer):
    def heard(**wishes) -> str:
        return client.predict(handle_file(clip), api_name="/transcribe", **wishes).strip()

    assert heard() == recognizer.transcribe(clip).text
    assert heard(language_model=False) == recognizer.using(False).transcribe(clip).text
    favoured = recognizer.using(True, "wallet, please").transcribe(clip).text
    assert heard(hotwords="wallet, please") == favoured
    with pytest.raises(AppError, match="The hotword '/etc/passwd7' cannot be spelt"):
        heard(hotwords="/etc/passwd7")


def test_nothing_else_is_offered(client):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {"/transcribe"}


def test_failures_are_one_sentence(client, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("no sound")
    with pytest.raises(AppError, match=r"bad\.wav is .*not audio that can be read"):
        client.predict(handle_file(str(bad)), api_name="/transcribe")
    with pytest.raises(AppError, match="There is no recording yet"):
        client.predict(None, api_name="/transcribe")


def test_files_of_the_server_cannot_be_read(client):
    payload = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError) as refused:
        client.predict(payload, api_name="/transcribe")
    assert "root" not in str(refused.value)


def test_recordings_at_an_address_are_fetched_by_ourselves(client):
    payload = {"path": "http:///talk.wav", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError, match=r"http:///talk\.wav cannot be fetched: "):
        client.predict(payload, api_name="/transcribe")


def test_plain_http(app, clip):
    """What `curl -F files=@call.flac URL/gradio_api/upload` and the two calls after it do."""
    boundary = uuid.uuid4().hex
    part = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="a.flac"\r\n\r\n'
    )
    body = part.encode() + Path(clip).read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    (path,) = json.loads(
        post(f"{app.url}/gradio_api/upload", body, f"multipart/form-data; boundary={boundary}")
    )
    address = f"{app.url}/gradio_api/call/transcribe"
    recording = {"path": path, "meta": {"_type": "gradio.FileData"}}
    # As it was before there were wishes, and with all of them.
    for parameters in ([recording, "txt"], [recording, "txt", True, ""]):
        data = json.dumps({"data": parameters}).encode()
        event = json.loads(post(address, data, "application/json"))["event_id"]
        with urllib.request.urlopen(f"{address}/{event}", timeout=60) as answer:
            said = answer.read().decode()
        assert "event: complete" in said
        (text,) = json.loads(said.split("data: ")[-1])
        assert text.strip()


FILE = {"_type": "gradio.FileData"}


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ([{"path": "/nowhere.wav"}], "PATH is what /gradio_api/upload answered"),
        (["/nowhere.wav"], "PATH is what /gradio_api/upload answered"),
        ([{"path": "/nowhere.wav", "meta": FILE}], "PATH is what /gradio_api/upload answered"),
        ([None, "doc"], "doc is not in the list of choices"),
        ([None, None], "There is no format 'None': use one of txt"),
        ([None, []], "There is no format '[]': use one of txt"),
    ],
)
def test_slips_are_told_to_who_calls_and_not_to_who_hosts(capfd, parameters, sentence):
    with Blocks() as demo:
        api(None)
    _, url, _ = demo.queue().launch(prevent_thread_lock=True, quiet=True)
    try:
        address = f"{url}gradio_api/call/transcribe"
        body = json.dumps({"data": parameters}).encode()
        event = json.loads(post(address, body, "application/json"))["event_id"]
        with urllib.request.urlopen(f"{address}/{event}", timeout=60) as answer:
            said = answer.read().decode()
    finally:
        demo.close()
    assert "event: error" in said
    assert sentence in json.loads(said.split("data: ")[-1])["error"]
    assert "Traceback" not in capfd.readouterr().err


def test_who_leaves_is_no_longer_listened_to():
    class Endless:
        """An engine of a recording without an end, that knows when nobody listens."""

        def __init__(self) -> None:
            self.left = threading.Event()

        def stream(self, recording, wish):
            try:
                word = Word("AGAIN", 0.0, 1.0, 1.0)
                for second in itertools.count():
                    yield Transcript((word,), second, complete=False)
                    time.sleep(0.1)
            finally:
                self.left.set()

    endless = Endless()
    with Blocks() as demo:
        api(endless)
    _, url, _ = demo.queue().launch(prevent_thread_lock=True, quiet=True)
    try:
        address = f"{url}gradio_api/call/transcribe"
        event = json.loads(post(address, b'{"data": [null]}', "application/json"))["event_id"]
        with urllib.request.urlopen(f"{address}/{event}", timeout=60) as answer:
            assert answer.readline().strip() == b"event: generating"
            assert "AGAIN" in json.loads(answer.readline().removeprefix(b"data: "))[0]
        assert endless.left.wait(60)
    finally:
        demo.close()


def test_an_assistant_finds_and_uses_the_tool(app, client, clip):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    recording = "data:audio/flac;base64," + base64.b64encode(Path(clip).read_bytes()).decode()

    async def converse():
        async with (
            streamablehttp_client(f"{app.url}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            heard = await session.call_tool("transcribe", {"recording": recording})
            refused = await session.call_tool("transcribe", {"recording": "/etc/passwd"})
        return tools, heard, refused

    # On a thread of its own, for the browser's driver keeps a loop running on this one.
    with ThreadPoolExecutor() as pool:
        tools, heard, refused = pool.submit(asyncio.run, converse()).result()
    assert [tool.name for tool in tools] == ["transcribe"]
    assert set(tools[0].inputSchema["properties"]) == {
        "recording",
        "format",
        "language_model",
        "hotwords",
    }
    expected = client.predict(handle_file(clip), api_name="/transcribe")
    assert heard.content[0].text == expected
    assert refused.isError


def post(url: str, body: bytes, kind: str) -> str:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()
