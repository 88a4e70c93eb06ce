"""Before the model is there, and when the Hub does not answer: the page says so and goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from browser import App, free_port, notice, transcript

pytestmark = pytest.mark.browser


@pytest.fixture
def silent_hub() -> Iterator[str]:
    """The address of a Hub that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def opened(chromium, app: App, locale: str = "en-US"):
    page = chromium.new_context(locale=locale).new_page()
    page.set_default_timeout(120_000)
    page.goto(app.url)
    return page


def test_the_model_is_still_loading_and_then_cannot_be_had(chromium, silent_hub, tmp_path):
    app = App(tmp_path, ASR_MODEL="owner/model", HF_ENDPOINT=silent_hub, HF_HOME=str(tmp_path))
    try:
        page = opened(chromium, app)
        page.get_by_text("The model is being loaded").wait_for()
        page.click("#samples button >> nth=0")
        assert notice(page, "busy").startswith("The model is still being loaded")
        assert "Hub cannot be asked" in notice(page, "problem")
        line = page.wait_for_selector("#model .notice.problem").inner_text()
        assert "check the connection" in line
        assert "Traceback" not in app.log
    finally:
        app.close()


def test_without_the_hub_the_embedded_model_is_taken_and_said(chromium, tmp_path):
    nowhere = f"http://127.0.0.1:{free_port()}"
    app = App(tmp_path, HF_ENDPOINT=nowhere, HF_HOME=str(tmp_path), ASR_MODEL="")
    try:
        for locale, reason in (
            ("en-US", "the Hub could not be reached"),
            ("ko-KR", "Hub에 닿지 않아"),
        ):
            page = opened(chromium, app, locale)
            line = page.wait_for_selector("#model .notice.done").inner_text()
            assert "embedded" in line
            assert reason in line
            page.click("#samples button >> nth=0")
            assert transcript(page)
    finally:
        app.close()


def test_of_two_models_the_one_chosen_last_is_told(chromium, silent_hub, tmp_path):
    names = {"ASR_MODELS": "owner/model,embedded"}
    app = App(
        tmp_path, "--model", "embedded", HF_ENDPOINT=silent_hub, HF_HOME=str(tmp_path), **names
    )
    try:
        page = opened(chromium, app)
        page.wait_for_selector("#model .notice.done")
        for name in ("owner/model", "embedded"):
            page.click("#models input")
            page.click(f"#models [role=option]:has-text('{name}')")
            page.wait_for_selector("#model .notice.busy")  # of the first, that is being loaded
        page.wait_for_selector("#model .notice.done:has-text('embedded')")
    finally:
        app.close()
