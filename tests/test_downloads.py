"""Recordings at an address: only of the public web, and no larger than an upload."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import pytest
import safehttpx
from waiting import run

from asr_core import downloads

BODY = b"RIFF" + bytes(100_000)
LIMIT = 2**20


class Web(BaseHTTPRequestHandler):
    """A few addresses, told by their path."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/none.wav":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path == "/packed.wav" or "identity" not in self.headers["Accept-Encoding"]:
            self.send_header("Content-Encoding", "gzip, gzip")
        self.end_headers()
        body, pieces, pause = {
            "/endless.wav": (BODY, 1_000_000, 0),
            "/steady.wav": (BODY, 8, 0.1),
            "/trickle.wav": (b"R", 60, 0.1),
        }.get(self.path, (BODY, 1, 0))
        try:
            for _ in range(pieces):
                self.wfile.write(body)
                time.sleep(pause)
        except OSError:
            self.server.left.set()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def web(monkeypatch) -> Iterator[ThreadingHTTPServer]:
    """A server that counts as public, at "web.test" and at no other name."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.asked, server.left = [], threading.Event()
    server.url = f"http://web.test:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    check, check_ip = safehttpx.async_validate_url, downloads.public

    async def validate(host: str) -> str:
        return "127.0.0.1" if host == "web.test" else await check(host)

    async def nowhere(host: str) -> list[str]:
        return []

    monkeypatch.setattr(safehttpx, "async_validate_url", validate)
    monkeypatch.setattr(safehttpx, "async_resolve_hostname_google", nowhere)
    monkeypatch.setattr(downloads, "public", lambda ip: ip == "127.0.0.1" or check_ip(ip))
    yield server
    server.shutdown()
    server.server_close()


def fetch(url: str, folder: Path) -> str:
    return run(downloads.fetch(url, str(folder), LIMIT))


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("address", ["/talk.wav", "/to/../talk.wav", "/to//to//talk.wav"])
def test_what_is_there_is_fetched_once(web, tmp_path, address):
    path = fetch(web.url + address, tmp_path)
    assert Path(path).read_bytes() == BODY
    assert kept(tmp_path) == [Path(path)]
    asked = len(web.asked)
    assert fetch(web.url + address, tmp_path) == path
    assert len(web.asked) == asked


@pytest.mark.parametrize("address", ["/..", "/%2e%2e", "/a%2f..%2f..", "/", "/.bashrc"])
def test_no_address_names_a_place_outside(web, tmp_path, address):
    path = Path(fetch(web.url + address, tmp_path / "cache"))
    assert path.is_file()
    assert path.parent.parent == tmp_path / "cache"


def test_what_is_larger_than_an_upload_is_not_read_to_its_end(web, tmp_path):
    with pytest.raises(gr.Error, match=r"endless\.wav cannot be fetched: it is larger than 1 MB\."):
        fetch(f"{web.url}/endless.wav", tmp_path)
    assert web.left.wait(20)
    assert not kept(tmp_path)


def test_who_sends_too_slowly_is_given_up_and_who_sends_steadily_is_not(web, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PIECE", len(BODY))
    monkeypatch.setattr(downloads, "PAUSE", 0.6)
    assert Path(fetch(f"{web.url}/steady.wav", tmp_path)).read_bytes() == 8 * BODY
    with pytest.raises(gr.Error, match=r"trickle\.wav cannot be fetched: it comes too slowly: "):
        fetch(f"{web.url}/trickle.wav", tmp_path)
    assert web.left.wait(20)
    assert [path.name for path in kept(tmp_path)] == ["steady.wav"]


def test_who_sends_steadily_but_without_end_is_given_up_too(web, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "PATIENCE", 0.3)
    with pytest.raises(gr.Error, match=r"steady\.wav cannot be fetched: it comes too slowly: "):
        fetch(f"{web.url}/steady.wav", tmp_path)
    assert not kept(tmp_path)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("{web}/none.wav", "none.wav cannot be fetched: the answer was 404 Not Found."),
        ("{web}/to/round", "round cannot be fetched: it refers to other addresses without end."),
        ("{web}/packed.wav", "packed.wav cannot be fetched: it comes packed (Content-Encoding)"),
        ("http://127.0.0.1:{port}/talk.wav", "talk.wav cannot be fetched: Hostname 127.0.0.1"),
        ("http://localhost:{port}/talk.wav", "talk.wav cannot be fetched: Hostname localhost"),
        ("{web}/to/http://127.0.0.1:{port}/talk.wav", "fetched: Hostname 127.0.0.1"),
        ("http://100.64.0.1/talk.wav", "fetched: 100.64.0.1 is not a public address."),
        ("http://[fec0::1]/talk.wav", "fetched: fec0::1 is not a public address."),
        ("http://[::1/talk.wav", "cannot be fetched: "),
        ("http:///talk.wav", "cannot be fetched: "),
    ],
)
def test_what_cannot_be_had_is_told_in_a_sentence(web, tmp_path, address, said):
    url = address.format(web=web.url, port=web.server_port)
    with pytest.raises(gr.Error) as refused:
        fetch(url, tmp_path)
    assert said in refused.value.message
    assert "\n" not in refused.value.message
    assert "/talk.wav" not in web.asked
    assert not kept(tmp_path)


@pytest.mark.parametrize("address", ["8.8.8.8", "192.0.1.1", "2606:4700::1111", "2a00:1450::8a"])
def test_public_addresses(address):
    assert downloads.public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.1", "127.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254"),
        *("100.64.0.1", "100.127.255.254", "192.0.0.192", "198.18.0.1", "192.0.2.1"),
        *("224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fc00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1"),
        *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1"),
        *("2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "4000::1"),
    ],
)
def test_addresses_that_are_not_public(address):
    assert not downloads.public(address)
