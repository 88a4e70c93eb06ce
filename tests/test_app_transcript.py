"""What one does with a transcript: listen along, correct, copy, take it away, wait or give up."""

from __future__ import annotations

import json

import pytest
from browser import long_recording, notice, transcript, upload, words

pytestmark = pytest.mark.browser

AUDIO = "document.querySelector('#recording audio')"


@pytest.fixture
def heard(visit):
    """The page with a finished transcript of a sample."""
    page = visit()
    page.click("#samples button >> nth=0")
    assert words(transcript(page))
    return page


def test_a_click_on_a_word_plays_from_there_and_lights_it(heard):
    word = heard.locator("#transcript-words .word").nth(3)
    start = float(word.get_attribute("data-start"))
    word.click()
    heard.wait_for_selector("#transcript-words .word.lit")
    playing, now = heard.evaluate(f"[!{AUDIO}.paused, {AUDIO}.currentTime]")
    assert playing
    assert start <= now < start + 2


def test_the_light_moves_on_as_it_plays(heard):
    heard.locator("#transcript-words .word").first.click()
    heard.wait_for_selector("#transcript-words .word:first-child.lit")
    heard.wait_for_selector("#transcript-words .word:not(:first-child).lit")
    assert heard.locator("#transcript-words .word.lit").count() == 1


def test_words_can_be_reached_and_played_by_keyboard(heard):
    heard.locator("#transcript-words .word").first.focus()
    heard.keyboard.press("ArrowRight")
    second = heard.locator("#transcript-words .word").nth(1)
    assert second.evaluate("word => word === document.activeElement")
    heard.keyboard.press("Enter")
    heard.wait_for_function(f"!{AUDIO}.paused")
    start = float(second.get_attribute("data-start"))
    assert heard.evaluate(f"{AUDIO}.currentTime") >= start


def test_copy(heard):
    heard.click("#transcript-copy")
    heard.wait_for_function("navigator.clipboard.readText().then((text) => text.length > 0)")
    assert heard.evaluate("navigator.clipboard.readText()") == transcript(heard)


def test_a_correction_reaches_the_words_and_the_download(heard):
    heard.click("#transcript-edit button")
    heard.fill("#transcript-edit textarea", "We <i>said</i> something else")
    heard.click("#transcript-copy")  # before the words have followed
    copied = (
        "navigator.clipboard.readText().then((text) => text === 'We <i>said</i> something else')"
    )
    heard.wait_for_function(copied)
    heard.focus("#transcript-edit textarea")
    heard.keyboard.press("Tab")
    heard.wait_for_selector("#transcript-words .word >> text=something")
    assert heard.locator("#transcript-words i").count() == 0
    with heard.expect_download() as saved:
        heard.click("#transcript-downloads button >> text=JSON")
    content = json.loads(saved.value.path().read_text())
    assert content["text"] == "We <i>said</i> something else"
    assert saved.value.suggested_filename.endswith(".json")


def test_a_text_without_spaces_is_shown_and_copied_without(heard):
    heard.click("#transcript-edit button")
    heard.fill("#transcript-edit textarea", "今日は AI です")
    heard.keyboard.press("Tab")
    heard.wait_for_selector("#transcript-words .word >> text=す")
    assert heard.locator("#transcript-words .word").count() == 6
    assert transcript(heard) == "今日は AI です"
    heard.fill("#transcript-edit textarea", "")
    heard.click("#transcript-copy")
    copied = "navigator.clipboard.readText().then((text) => text === '今日は AI です')"
    heard.wait_for_function(copied)


@pytest.mark.parametrize("format", ["TXT", "SRT", "VTT", "TSV"])
def test_downloads(heard, format):
    with heard.expect_download() as saved:
        heard.click(f"#transcript-downloads button >> text={format}")
    assert saved.value.suggested_filename.endswith(f".{format.lower()}")
    assert words(transcript(heard))[0] in saved.value.path().read_text()


def test_a_download_of_nothing_says_what_to_do(visit):
    page = visit()
    page.click("#transcript-downloads button >> text=SRT")
    assert notice(page, "problem").startswith("There is no transcript yet")


def test_a_new_recording_takes_the_place_of_the_old(heard):
    heard.click("#recording [aria-label=Clear]")
    heard.wait_for_function("!document.querySelector('#transcript-words .word')")
    heard.click("#transcript-downloads button >> text=TXT")
    assert notice(heard, "problem").startswith("There is no transcript yet")


def test_a_long_recording_shows_words_and_time_left_and_can_be_cancelled(visit, tmp_path):
    page = visit(viewport={"width": 390, "height": 844})
    upload(page, long_recording(tmp_path / "long.wav", minutes=60))
    page.wait_for_function(
        "/of 1:00:00, about .* left/.test(document.querySelector('#transcript-notice').innerText)"
    )
    page.wait_for_selector("#transcript-words .word")
    assert 0 < page.locator("#transcript-notice progress").evaluate("bar => bar.position") < 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#cancel")
    assert notice(page, "done").startswith("Cancelled")
    count = page.locator("#transcript-words .word").count()
    assert count > 0
    assert not page.is_visible("#cancel")
    with page.expect_download() as saved:
        page.click("#transcript-downloads button >> text=TXT")
    assert len(saved.value.path().read_text().split()) == count
    # The machine is free: another recording is transcribed at once.
    page.click("#samples button >> nth=1")
    page.wait_for_function("document.querySelectorAll('#transcript-words .word').length < 60")
    assert notice(page, "done").endswith("in 0:02.")


def test_a_sample_takes_the_place_of_what_is_being_transcribed(visit, tmp_path):
    page = visit()
    upload(page, long_recording(tmp_path / "long.wav", minutes=60))
    page.wait_for_selector("#transcript-words .word")
    page.click("#samples button >> nth=1")
    assert notice(page, "done").endswith("in 0:02.")
    words = page.locator("#transcript-words .word").count()
    page.wait_for_timeout(1500)  # nothing of the other comes any more
    assert page.locator("#transcript-words .word").count() == words
    assert notice(page, "done").endswith("in 0:02.")


def test_of_two_samples_the_one_chosen_last_is_transcribed(visit):
    page = visit()
    page.click("#samples button >> nth=1")
    second = transcript(page)
    page = visit()
    page.click("#samples button >> nth=0")
    page.wait_for_selector("#transcript-notice .notice")  # it is about to be transcribed
    page.click("#samples button >> nth=1")
    page.wait_for_function(
        "said => document.querySelector('#transcript-words').innerText.includes(said)", arg=second
    )
    assert transcript(page) == second
