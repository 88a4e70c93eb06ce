"""The tab that learns: sentences in, a model of one's own out, for its visitor only."""

from __future__ import annotations

import os
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import PATIENCE, App, left, notice, silence, transcript, upload, words
from playwright.sync_api import expect

from asr_core import page
from asr_core.lesson import LEAST
from asr_core.recognizer import Recognizer

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
SENTENCE = "#teach-sentence textarea, #teach-sentence input"
SHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture(scope="module")
def school(tmp_path_factory) -> Iterator[App]:
    """The app, with lessons of a few steps."""
    folder = tmp_path_factory.mktemp("school")
    (folder / "lessons").mkdir()
    flags = "--max_steps 4 --logging_steps 1 --eval_steps 2"
    running = App(
        folder / "uploads",
        *("--model", "embedded"),
        ASR_TEACH_FLAGS=flags,
        TMPDIR=str(folder / "lessons"),
    )
    running.lessons = folder / "lessons"
    running.wait_for("Ready: ")
    yield running
    running.close()
    assert "Traceback" not in running.log, running.log
    assert not list(running.lessons.glob("asr-*"))  # nothing stays behind


@pytest.fixture
def enter(school, chromium) -> Iterator:
    """Open the tab as a new visitor."""
    contexts = []

    def open_tab(**settings):
        settings = {"locale": "en-US", "permissions": ["microphone"], **settings}
        context = chromium.new_context(**settings)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        tab = context.new_page()
        tab.goto(school.url)
        tab.wait_for_selector("#model .notice.done")  # before that, a click may go unheard
        tab.get_by_role(
            "tab", name="Teach it" if "en" in settings["locale"] else "가르치기"
        ).click()
        tab.wait_for_selector("#teach-numbers label")
        expect(tab.locator(SENTENCE)).to_have_value(re.compile("."), timeout=PATIENCE)
        tab.wait_for_timeout(1500)  # nobody uploads in the very moment in which the tab opens
        return tab

    yield open_tab
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[page.Sample]:
    return page.samples(tmp_path_factory.mktemp("clips"), LEAST)


def give(tab, clip: page.Sample, count: int) -> None:
    """Write down what is said in a clip and upload it; it is the `count`-th."""
    tab.fill(SENTENCE, clip.sentence)
    tab.click("#teach-recording [data-testid=source-select] button >> nth=0")
    tab.set_input_files("#teach-recording input[type=file]", clip.path)
    have(tab, count)
    # The next sentence is shown and chosen, which has no recording yet.
    expect(tab.locator(SENTENCE)).not_to_have_value(clip.sentence, timeout=PATIENCE)
    tab.wait_for_selector("#teach-recording audio", state="detached")
    tab.wait_for_function(
        "() => {"
        " const labels = [...document.querySelectorAll('#teach-numbers label')];"
        " const open = labels.filter((label) => !label.innerText.includes('✓'));"
        " return !open.length || open.some((label) => label.querySelector('input').checked);"
        "}"
    )


def have(tab, count: int) -> None:
    """Wait until so many sentences are marked as recorded."""
    tab.wait_for_function(
        "count => [...document.querySelectorAll('#teach-numbers label')]"
        ".filter((label) => label.innerText.includes('✓')).length == count",
        arg=count,
    )


def picture(tab, name: str) -> None:
    if SHOTS:
        tab.screenshot(path=Path(SHOTS, f"teach-{name}.png"), full_page=True)


def test_a_recording_of_which_nothing_is_written_is_kept_when_it_is_written(enter, clips):
    tab = enter()
    tab.fill(SENTENCE, "")
    tab.click("#teach-recording [data-testid=source-select] button >> nth=0")
    tab.set_input_files("#teach-recording input[type=file]", clips[0].path)
    assert notice(tab, "problem", "teach").startswith("Write down what is said")
    tab.fill(SENTENCE, clips[0].sentence)
    tab.keyboard.press("Tab")
    have(tab, 1)
    assert notice(tab, "done", "teach").startswith("Recorded: 1 of 12")


def test_what_is_being_recorded_is_of_the_sentence_that_is_shown(enter):
    tab = enter()
    tab.click("#teach-recording .record-button")
    tab.wait_for_selector("#teach-numbers input:disabled")
    tab.wait_for_timeout(3000)  # of speech, as a moment of it may hold no sound
    tab.click("#teach-recording .stop-button")
    have(tab, 1)
    tab.wait_for_selector("#teach-numbers input:enabled")
    assert tab.locator("#teach-numbers label").first.inner_text().startswith("✓")


def test_the_sentence_chosen_last_is_shown_however_slow_the_server(school, enter):
    tab = enter()
    first, labels = tab.input_value(SENTENCE), tab.locator("#teach-numbers label")
    labels.nth(4).click()
    expect(tab.locator(SENTENCE)).not_to_have_value(first, timeout=PATIENCE)
    fifth = tab.input_value(SENTENCE)
    labels.nth(0).click()
    expect(tab.locator(SENTENCE)).to_have_value(first, timeout=PATIENCE)
    with school.standing_still():
        labels.nth(2).click()
        labels.nth(4).click()
    expect(tab.locator(SENTENCE)).to_have_value(fifth, timeout=PATIENCE)
    expect(labels.nth(4).locator("input")).to_be_checked()


def test_a_dozen_sentences_become_a_model_of_ones_own(school, enter, clips, tmp_path):
    tab = enter()
    first = tab.input_value(SENTENCE)
    tab.focus("#teach-recording .record-button")
    tab.keyboard.press("Enter")
    tab.wait_for_timeout(4_000)
    tab.keyboard.press("Enter")
    assert notice(tab, "done", "teach").startswith("Recorded: 1 of 12")
    tab.wait_for_function("document.activeElement.matches('#teach-recording .record-button')")
    assert tab.input_value(SENTENCE) != first
    assert tab.locator("#teach-numbers label").first.inner_text().strip() == "✓ 1"
    picture(tab, "recording")

    tab.click("#teach")
    assert "6 recorded sentences at least" in notice(tab, "problem", "teach")
    for count, clip in enumerate(clips[1:], start=2):
        give(tab, clip, count)

    tab.click("#teach")
    tab.wait_for_selector("#teach-notice progress")
    tab.wait_for_selector("#teach-losses svg.marks")
    tab.wait_for_selector("#teach-rates svg.marks")
    picture(tab, "running")
    assert notice(tab, "done", "teach").startswith("2 sentences it had not heard")
    assert tab.locator("#teach-result li").count() == 2
    for plot, lines in (("losses", {"learnt", "not learnt"}), ("rates", {"words", "characters"})):
        assert lines <= set(tab.locator(f"#teach-{plot} .role-legend text").all_text_contents())
    picture(tab, "done")

    with tab.expect_download() as saved:
        tab.click("#teach-download")
    with zipfile.ZipFile(saved.value.path()) as zipped:
        zipped.extractall(tmp_path / "model")
    mine = Recognizer(str(tmp_path / "model"))

    tab.click("#teach-use")
    tab.wait_for_selector("#model .notice.done:has-text('taught by you')")
    tab.get_by_role("tab", name="Recording").click()
    upload(tab, clips[0].path)
    assert words(transcript(tab)) == words(mine.transcribe(clips[0].path).text)
    # Another visitor sees nothing of it.
    other = enter()
    assert not other.is_visible("#models")
    assert other.locator("#teach-numbers label:has-text('✓')").count() == 0


def test_one_lesson_at_a_time_and_cancel_ends_it(enter, clips):
    tab, other = enter(), enter(locale="ko-KR", color_scheme="dark", viewport=PHONE)
    for count, clip in enumerate(clips, start=1):
        give(tab, clip, count)
        give(other, clip, count)
    tab.click("#teach")
    tab.wait_for_selector("#teach-cancel")
    tab.wait_for_selector("#teach-notice progress")
    other.click("#teach")
    assert notice(other, "problem", "teach").startswith("다른 분이 가르치는 중")
    tab.click("#teach-cancel")
    assert notice(tab, "done", "teach").startswith("Cancelled")
    other.click("#teach")
    other.wait_for_selector("#teach-notice progress")
    other.wait_for_selector("#teach-losses svg.marks")
    picture(other, "phone-running")
    other.wait_for_selector("#teach-result li")
    assert other.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    picture(other, "phone-done")


def test_whoever_leaves_makes_room(school, enter, clips):
    tab = enter()
    for count, clip in enumerate(clips, start=1):
        give(tab, clip, count)
    tab.click("#teach")
    tab.wait_for_selector("#teach-notice progress")
    tab.close()
    deadline = time.monotonic() + PATIENCE / 1000
    while list(school.lessons.glob("*/asr-lesson-*/new")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_recordings_can_be_heard_and_taken_back(school, enter, clips):
    tab = enter()
    with school.standing_still():  # its late answers change nothing that is written or chosen
        tab.fill(SENTENCE, clips[0].sentence)
        tab.click("#teach-recording [data-testid=source-select] button >> nth=0")
    give(tab, clips[0], 1)
    tab.click("#teach-numbers label >> nth=0")
    tab.wait_for_selector("#teach-recording audio")
    expect(tab.locator(SENTENCE)).to_have_value(clips[0].sentence, timeout=PATIENCE)
    assert not left(tab)
    tab.click("#teach-recording button[aria-label=Clear]")
    have(tab, 0)
    assert left(tab)


def test_silence_teaches_nothing(enter, tmp_path):
    tab = enter()
    tab.click("#teach-recording [data-testid=source-select] button >> nth=0")
    tab.set_input_files("#teach-recording input[type=file]", silence(tmp_path / "quiet.wav"))
    assert notice(tab, "problem", "teach").startswith("The recording is silent")


def test_a_public_host_has_no_such_tab(chromium, tmp_path):
    app = App(tmp_path, "--model", "embedded", SPACE_ID="me/my-space")
    try:
        tab = chromium.new_page()
        tab.goto(app.url)
        tab.get_by_role("tab", name="Files").wait_for()
        assert tab.get_by_role("tab", name="Teach it").count() == 0
        tab.close()
    finally:
        app.close()
