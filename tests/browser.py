"""Fixtures for tests in a real Chromium: one browser and one running app for the whole session."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import speech

from asr_core import audio, page

ROOT = Path(__file__).parents[1]
PATIENCE = 120_000  # milliseconds; generous, because the machine may be busy with other things
MODEL = os.environ.get("ASR_MODEL", "embedded")
QUIET = (  # else Chromium tries the network at every start
    "--no-sandbox --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
).split()


class App:
    """`python app.py` in a process of its own; `log` is what it has printed so far."""

    def __init__(self, temp: Path, *arguments: str, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = ""
        self.temp = temp
        command = [sys.executable, "app.py", "--port", str(self.port), *arguments]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "GRADIO_TEMP_DIR": str(temp), "OMP_NUM_THREADS": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        while not self.answers():
            assert self._process.poll() is None, f"app.py ended:\n{self.log}"
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def wait_for(self, words: str) -> None:
        """Until the app has printed `words`."""
        while words not in self.log:
            assert self._process.poll() is None, f"app.py ended:\n{self.log}"
            time.sleep(0.1)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """As on a machine that has no time for us."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def megabytes(self) -> float:
        """Of memory that the app holds."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1000

    def libraries(self) -> str:
        """What the app has loaded."""
        return Path(f"/proc/{self._process.pid}/maps").read_text()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)

    def _read(self) -> None:
        for line in self._process.stdout:
            self.log += line


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def app(tmp_path_factory) -> Iterator[App]:
    """The app with the embedded model, or `ASR_MODEL`. Nothing a visitor did may raise in it."""
    running = App(tmp_path_factory.mktemp("gradio"), "--model", MODEL, ASR_MODELS=MODEL)
    running.wait_for("Ready: ")
    yield running
    running.close()
    assert "Traceback" not in running.log, running.log


@pytest.fixture(scope="session")
def chromium(tmp_path_factory) -> Iterator:
    """A Chromium whose microphone hears `speech.SPOKEN`, or where that is missing, beeps."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    speech.need(executable, "needs Chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    if speech.SPOKEN.path.exists():
        wav = tmp_path_factory.mktemp("microphone") / "spoken.wav"
        sf.write(wav, audio.load(str(speech.SPOKEN.path), 48_000), 48_000, subtype="PCM_16")
        flags.append(f"--use-file-for-fake-audio-capture={wav}%noloop")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*QUIET, *flags])
        yield browser
        browser.close()


@pytest.fixture
def visit(app, chromium) -> Iterator:
    """Open the page as a new visitor: `visit()`, `visit(locale="ko-KR", color_scheme="dark")`."""
    contexts = []

    def open_page(**settings):
        settings = {
            "viewport": {"width": 1200, "height": 900},
            "locale": "en-US",
            "permissions": ["microphone", "clipboard-read", "clipboard-write"],
            **settings,
        }
        context = chromium.new_context(**settings)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        tab.goto(app.url)
        tab.wait_for_selector("#transcribe")
        return tab

    yield open_page
    for context in contexts:
        context.close()


def upload(page, path: Path | str) -> None:
    page.click("#recording [data-testid=source-select] button >> nth=0")
    page.set_input_files("#recording input[type=file]", str(path))


def notice(page, kind: str, panel: str = "transcript") -> str:
    """The sentence over the transcript, as soon as there is one of that kind."""
    return page.wait_for_selector(f"#{panel}-notice .notice.{kind}").inner_text()


def transcript(page) -> str:
    """The words of the finished transcript."""
    notice(page, "done")
    return " ".join(page.locator("#transcript-words .words").inner_text().split())


def correct(page, text: str | None = None) -> None:
    """Open the fold with the text; when it stands there, write `text` instead and go on."""
    page.click("#transcript-edit button")
    page.wait_for_function("document.querySelector('#transcript-edit textarea')?.value")
    # What is in a fold is made when it opens, and gradio sets its value once more a frame later
    # (`render_previously_invisible_children` in `init.svelte.ts`): no hands are as fast as that.
    page.evaluate("() => new Promise((go) => requestAnimationFrame(() => setTimeout(go, 100)))")
    if text is not None:
        page.fill("#transcript-edit textarea", text)
        page.keyboard.press("Tab")


def wish(page, language_model: bool = True, hotwords: str = "") -> None:
    """Open the fold with a visitor's wishes and fill it in."""
    page.click("#wishes button")
    page.set_checked("#language-model input", language_model)
    page.fill("#hotwords textarea, #hotwords input", hotwords)


def left(page) -> bool:
    """Whether the page is loaded anew; a visitor who is asked says no."""
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.evaluate("window.before = true")
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_timeout(1000)
    assert asked in ([], ["beforeunload"])
    assert page.evaluate("window.before === true") == bool(asked)
    return not asked


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.upper())


def silence(path: Path, seconds: float = 2.0) -> Path:
    sf.write(path, np.zeros(int(16_000 * seconds), np.float32), 16_000)
    return path


def long_recording(path: Path, minutes: float, slowly: int = 1) -> Path:
    """Speech of that length, made of the embedded sample's clips, so many times as slow."""
    clips = [audio.load(clip.path, 8_000) for clip in page.samples(path.parent, 8)]
    once = np.concatenate(clips)
    rate = 8_000 // slowly
    sf.write(path, np.resize(once, int(minutes * 60 * rate)), rate)
    return path
