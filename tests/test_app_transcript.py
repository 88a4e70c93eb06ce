"""What one does with a transcript: listen along, correct, copy, take it away, wait or give up."""

from __future__ import annotations

import json

import pytest
from browser import correct, left, long_recording, notice, silence, transcript, upload, words

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
    heard.keyboard.press("Escape")
    heard.wait_for_function(f"{AUDIO}.paused")


def test_keys_go_from_line_to_line_and_to_both_ends(visit):
    page = visit(viewport={"width": 375, "height": 800})
    page.click("#samples button >> nth=0")
    assert transcript(page)
    all_words = page.locator("#transcript-words .word")
    all_words.first.focus()
    place = "[document.activeElement.offsetTop, document.activeElement.offsetLeft]"
    first, (top, start) = page.evaluate("document.activeElement.innerText"), page.evaluate(place)
    page.keyboard.press("ArrowDown")
    below, at = page.evaluate(place)
    assert below > top and at == start
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # there is no line above
    assert page.evaluate(place) == [top, start]
    for key, word in (("End", all_words.last), ("Home", all_words.first)):
        page.keyboard.press(key)
        assert word.evaluate("word => word === document.activeElement")
    assert page.evaluate("document.activeElement.innerText") == first


def test_copy(heard):
    heard.click("#transcript-copy")
    heard.wait_for_function("navigator.clipboard.readText().then((text) => text.length > 0)")
    assert heard.evaluate("navigator.clipboard.readText()") == transcript(heard)
    copied = heard.get_by_role("button", name="Copied", exact=True)
    copied.wait_for()
    heard.get_by_role("status").filter(has_text="Copied").wait_for()
    copied.click()  # once more changes nothing
    copied.wait_for(state="detached")
    assert heard.inner_text("#transcript-copy") == "Copy"
    assert notice(heard, "done")


@pytest.mark.parametrize(
    "locale, said",
    [("en-US", "There is no transcript yet"), ("ko-KR", "아직 받아쓴 글이 없습니다")],
)
def test_where_there_is_nothing_to_copy_the_clipboard_keeps_what_is_in_it(visit, locale, said):
    page = visit(locale=locale)
    page.click("#samples button >> nth=0")
    transcript(page)
    correct(page, "")
    page.wait_for_selector("#transcript-words .word", state="detached")
    page.evaluate("navigator.clipboard.writeText('from elsewhere')")
    page.click("#transcript-copy")
    assert notice(page, "problem").startswith(said)
    assert page.evaluate("navigator.clipboard.readText()") == "from elsewhere"


def test_what_there_is_nothing_for_cannot_be_pressed(visit, tmp_path):
    page = visit()
    page.wait_for_selector("#model .notice.done")
    offered = page.locator("#transcript-downloads button")
    assert [button.is_disabled() for button in offered.all()] == [True] * 6
    page.click("#samples button >> nth=0")
    transcript(page)
    assert [button.is_enabled() for button in offered.all()] == [True] * 6
    page.click("button[role=tab]:has-text('Live')")
    page.wait_for_selector("#live-copy:disabled")
    page.click("button[role=tab]:has-text('Files')")
    page.wait_for_selector("#files-zip:disabled")
    page.set_input_files("#files input[type=file]", str(silence(tmp_path / "quiet.wav")))
    page.wait_for_selector("#files-zip:enabled")


def test_a_correction_reaches_the_words_and_the_download(heard):
    correct(heard)
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


def test_the_last_correction_counts_however_slow_the_server(app, heard):
    correct(heard)
    with app.standing_still():
        for text in ("first", "second"):
            heard.fill("#transcript-edit textarea", text)
            heard.keyboard.press("Tab")
    heard.wait_for_selector("#transcript-words .word >> text=second")


def test_a_word_longer_than_a_line_can_be_read(visit):
    page = visit(viewport={"width": 375, "height": 800})
    page.click("#samples button >> nth=0")
    transcript(page)
    correct(page, "https://example.com/" + "x" * 80)
    page.wait_for_selector("#transcript-words .word >> text=xxx")
    fold = page.locator("#transcript-compare")
    fold.locator("button").first.click()
    fold.locator("textarea").fill("z" * 80)
    fold.get_by_role("button", name="Compare", exact=True).click()
    for element in (page.locator("#transcript-words .words"), fold.locator(".pairs")):
        assert element.evaluate("element => element.scrollWidth <= element.clientWidth")


def test_a_text_without_spaces_is_shown_and_copied_without(heard):
    correct(heard, "今日は AI です")
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
    assert words(transcript(heard))[0] in words(saved.value.path().read_text())


def test_a_download_of_nothing_says_what_to_do(visit):
    page = visit()
    page.wait_for_selector("#transcript-copy:disabled")
    save = page.locator("#transcript-downloads button >> text=SRT")
    save.evaluate("button => { button.disabled = false; button.click(); }")  # as after "Cancel"
    assert notice(page, "problem").startswith("There is no transcript yet")


@pytest.fixture
def corrected(heard):
    """The page where the transcript has been corrected to "mine"."""
    correct(heard, "mine")
    heard.wait_for_selector("#transcript-words .word >> text=mine")
    assert notice(heard, "done").startswith("One word in")
    return heard


@pytest.mark.parametrize("way", ["[aria-label=Clear]", "[aria-label='Record audio']"])
def test_a_correction_stays_until_another_recording_is_heard(corrected, way):
    corrected.click(f"#recording {way}")
    corrected.wait_for_selector("#recording audio", state="hidden")
    corrected.click("#transcribe")
    assert notice(corrected, "problem").startswith("There is no recording yet")
    assert corrected.locator("#transcript-words .word").all_inner_texts() == ["mine"]
    assert corrected.input_value("#transcript-edit textarea") == "mine"
    corrected.click("#samples button >> nth=1")
    corrected.click("#samples button >> nth=1")
    corrected.wait_for_selector("#transcript-words .word >> text=mine", state="detached")
    corrected.wait_for_function(
        "!['', 'mine'].includes(document.querySelector('#transcript-edit textarea').value)"
    )


def test_who_has_corrected_something_is_asked_before_the_page_goes(corrected):
    assert not left(corrected)
    with corrected.expect_download():
        corrected.click("#transcript-downloads button >> text=TXT")
    assert left(corrected)


def test_who_has_copied_the_correction_or_taken_it_back_is_not_asked(heard):
    correct(heard)
    for _ in range(2):
        heard.focus("#transcript-edit textarea")
        heard.keyboard.type("x")
        heard.keyboard.press("Backspace")
        heard.keyboard.press("Tab")
    heard.fill("#transcript-edit textarea", "mine")
    heard.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject('no'); }")
    heard.evaluate("() => { document.execCommand = () => false; }")
    heard.click("#transcript-copy")
    assert not left(heard)
    heard.evaluate("() => { document.execCommand = () => true; }")
    heard.click("#transcript-copy")
    assert left(heard)


@pytest.mark.parametrize(
    "locale, said", [("en-US", "This text is in no file yet"), ("ko-KR", "이 글은 아직 어느")]
)
def test_words_that_were_waited_for_are_not_lost_by_one_press(visit, tmp_path, locale, said):
    page = visit(locale=locale)
    upload(page, long_recording(tmp_path / "long.wav", minutes=1.2))
    heard = transcript(page)
    assert not left(page)
    sentence = page.get_by_role("alert").filter(has_text=said)
    page.click("#samples button >> nth=1")
    sentence.wait_for()
    assert transcript(page) == heard
    page.click("#transcript-copy")
    sentence.wait_for(state="hidden")
    assert left(page)
    upload(page, tmp_path / "long.wav")
    assert transcript(page) == heard
    page.locator("#transcript-words .word").first.evaluate("word => { word.id = 'before'; }")
    page.click("#transcribe")  # finds the same words
    page.wait_for_selector("#before", state="detached")
    assert transcript(page) == heard
    page.click("#samples button >> nth=1")
    sentence.wait_for()
    page.click("#samples button >> nth=1")
    sentence.wait_for(state="hidden")
    page.wait_for_function("document.querySelectorAll('#transcript-words .word').length < 20")
    transcript(page)
    assert left(page)


@pytest.mark.parametrize("button", ["#samples button >> nth=1", "#transcribe"])
def test_other_words_take_the_place_of_a_correction_when_that_is_asked_for_twice(corrected, button):
    sentence = corrected.get_by_role("alert").filter(has_text="in no file yet")
    corrected.click(button, click_count=2)
    sentence.wait_for()
    corrected.focus("#transcript-edit textarea")
    corrected.keyboard.type(" own")
    sentence.wait_for(state="hidden")
    corrected.click(button)
    sentence.wait_for()
    corrected.click(button)
    sentence.wait_for(state="hidden")
    corrected.wait_for_selector("#transcript-words .word >> text=mine", state="detached")


def test_a_correction_that_was_taken_away_may_be_replaced_at_once(corrected):
    corrected.click("#recording [aria-label=Clear]")
    corrected.click("#recording .record-button")
    sentence = corrected.get_by_role("alert").filter(has_text="in no file yet")
    sentence.wait_for()
    assert corrected.is_hidden("#recording .stop-button")
    corrected.click("#transcript-copy")
    sentence.wait_for(state="hidden")
    corrected.click("#recording .record-button")
    corrected.wait_for_selector("#recording .stop-button")
    corrected.wait_for_timeout(3000)  # of speech, as a moment of it may hold no sound
    corrected.click("#recording .stop-button")
    corrected.wait_for_selector("#transcript-words .word >> text=mine", state="detached")


def test_a_file_of_other_words_does_not_hold_the_correction(corrected):
    corrected.click("button[role=tab]:has-text('Live')")
    corrected.click("#live-record")
    corrected.wait_for_selector("#live-words .word")
    corrected.click("#live-stop")
    notice(corrected, "done", "live")
    with corrected.expect_download():
        corrected.click("#live-downloads button >> text=TXT")
    assert not left(corrected)


def test_a_correction_is_done_with_when_another_recording_is_heard(corrected):
    corrected.click("#samples button >> nth=1")
    corrected.click("#samples button >> nth=1")
    corrected.wait_for_selector("#transcript-words .word >> text=mine", state="detached")
    assert transcript(corrected)
    assert left(corrected)


@pytest.mark.parametrize("locale, said", [("en-US", "was broken"), ("ko-KR", "끊겼습니다")])
def test_words_stay_when_the_connection_breaks_until_the_visitor_loads_the_page_anew(
    visit, locale, said
):
    page = visit(locale=locale)
    page.click("#samples button >> nth=0")
    words = transcript(page)
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    page.route("**/queue/join*", lambda route: route.abort())
    page.click("#transcribe")
    page.wait_for_selector(".toast-message-text")
    page.unroute("**/queue/join*")
    page.get_by_role("alert").filter(has_text=said).wait_for()  # gradio wanted to load it anew
    assert asked == ["beforeunload"]
    assert page.is_hidden(".toast-message-text")
    assert transcript(page) == words
    page.click("#reload")
    page.wait_for_selector("#transcript-words .word", state="detached")
    page.click("#samples button >> nth=0")
    assert transcript(page) == words
    assert asked == ["beforeunload"]


def test_who_is_recording_is_asked_before_the_page_goes(visit):
    page = visit()
    page.click("#recording .record-button")
    page.wait_for_selector("#recording .stop-button")
    page.click("button[role=tab]:has-text('Files')")
    assert not left(page)
    page.click("button[role=tab]:has-text('Recording')")
    page.click("#recording .stop-button")
    page.wait_for_selector("#transcript-notice .notice:not(.busy)")
    assert left(page)


@pytest.mark.parametrize("keys", [False, True])
def test_record_pressed_twice_records(visit, keys):
    page = visit()
    if keys:
        page.focus("#recording .record-button")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
    else:
        page.dblclick("#recording .record-button")
    page.wait_for_timeout(3000)  # of speech, as a moment of it may hold no sound
    page.click("#recording .stop-button")
    assert transcript(page)


@pytest.mark.parametrize("paused", [False, True])
def test_what_is_being_recorded_is_lost_by_nothing_and_transcribe_ends_it(visit, paused):
    page = visit()
    others = page.locator("#samples button, #recording :is([title=Clear], [data-testid] > .icon)")
    assert others.count() == 6
    page.click("#recording .record-button")
    page.wait_for_selector("#recording .stop-button")
    page.wait_for_selector("#samples button:disabled")
    assert [button.is_disabled() for button in others.all()] == [True] * 6
    page.wait_for_timeout(3000)  # of speech, as a moment of it may hold no sound
    if paused:
        page.click("#recording .pause-button")
        page.wait_for_selector("#recording .resume-button")
    page.click("#transcribe")
    page.wait_for_selector("#transcript-notice .notice.done")
    assert page.locator("#transcript-words .word").count()
    page.wait_for_selector("#samples button:enabled")
    assert [button.is_enabled() for button in others.all()] == [True] * 6


def test_a_text_can_be_corrected_when_no_more_of_it_comes(visit, tmp_path):
    page = visit()
    upload(page, long_recording(tmp_path / "long.wav", minutes=60))
    page.click("#transcript-edit button")
    page.wait_for_selector("#transcript-words .word")
    page.wait_for_selector("#transcript-edit textarea:read-only")
    page.click("#cancel")
    page.wait_for_selector("#transcript-edit textarea:read-write")
    page.wait_for_function("document.querySelector('#transcript-edit textarea').value")


def test_how_right_it_was_goes_with_what_it_was_about(heard):
    fold = heard.locator("#transcript-compare")
    fold.locator("button").first.click()
    fold.locator("textarea").fill("xylophone")
    fold.get_by_role("button", name="Compare", exact=True).click()
    fold.get_by_text("Word error rate").wait_for()
    assert fold.locator(".pair").count()
    heard.click("#samples button >> nth=1")
    fold.get_by_text("Word error rate").wait_for(state="detached")
    assert fold.locator(".pair").count() == 0


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
