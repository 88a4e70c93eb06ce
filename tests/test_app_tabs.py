"""The other tabs and folds: captions while one speaks, several files, how right it is."""

from __future__ import annotations

import itertools
import json
import zipfile

import pytest
import speech
from browser import MODEL, left, long_recording, notice, silence, transcript, words

from asr_core import audio, page

pytestmark = pytest.mark.browser


def tab(visit, name: str, **settings):
    opened = visit(**settings)
    opened.click(f"button[role=tab]:has-text('{name}')")
    return opened


def test_words_appear_while_one_speaks_and_stop_gives_the_transcript(visit):
    speech.recording(speech.SPOKEN)
    live = tab(visit, "Live")
    live.click("#live-record")
    live.wait_for_selector("#live-words .word")  # while still recording
    live.wait_for_selector("#live-words .word:not(.tentative)")
    assert live.is_visible("#live-stop")
    live.click("button[role=tab]:has-text('Files')")
    dot = "getComputedStyle(document.querySelector('[role=tab][data-tab-id=live]'), '::before')"
    assert live.evaluate(f"{dot}.width") != "auto"  # the microphone is still on
    live.wait_for_timeout(3_000)
    live.click("button[role=tab]:has-text('Live')")
    live.click("#live-stop")
    assert " in 0:" in notice(live, "done", "live")
    assert live.evaluate(f"{dot}.content") == "none"
    assert live.locator("#live-words .tentative").count() == 0
    shown = live.locator("#live-words .word").all_inner_texts()
    with live.expect_download() as saved:
        live.click("#live-downloads button >> text=TXT")
    assert saved.value.path().read_text().split() == shown
    live.locator("#live-words .word").nth(2).click()
    live.wait_for_selector("#live-words .word:nth-child(3).lit")  # played from what was recorded


def test_no_sound_is_lost_on_a_server_that_stalls(app, visit):
    """Captions of a clip whose words came while the server stood still and messages were lost."""
    speech.recording(speech.SPOKEN)
    live = tab(visit, "Live")
    lost = itertools.cycle([True, False])
    live.route(
        "**/component_server/", lambda route: route.abort() if next(lost) else route.continue_()
    )
    live.click("#live-record")
    live.wait_for_timeout(3_000)
    with app.standing_still():
        live.wait_for_timeout(6_000)
    live.wait_for_timeout(3_000)
    live.click("#live-stop")
    said = notice(live, "done", "live")
    recorded = live.evaluate("document.querySelector('#live-microphone audio').duration")
    assert recorded > 11
    with live.expect_download() as saved:
        live.click("#live-downloads button >> text=JSON")
    heard = json.loads(saved.value.path().read_text())
    assert heard["duration"] == pytest.approx(recorded, abs=0.05), said
    assert set(words(speech.SPOKEN.words)) <= set(words(heard["text"]))


def test_who_speaks_is_asked_before_the_page_goes_and_is_heard_on(visit):
    live = tab(visit, "Live")
    asked = []
    live.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    live.click("#live-record")
    live.wait_for_selector("#live-words .word")
    live.evaluate("location.reload()")  # as gradio does when a connection was broken
    live.wait_for_timeout(500)
    assert asked == ["beforeunload"]
    count = live.locator("#live-words .word").count()
    live.wait_for_function(
        "count => document.querySelectorAll('#live-words .word').length > count", arg=count
    )
    live.click("#live-stop")
    assert " in 0:" in notice(live, "done", "live")
    live.reload()
    live.wait_for_selector("#transcribe")
    assert asked == ["beforeunload"]


BUSY_UNTIL_STOP = """() => {
    const end = performance.now() + 3000;
    while (performance.now() < end);
    document.querySelector("#live-stop").click();
}"""


# Addresses of all recordings that the page has made to play them; whether none leads anywhere.
COPIES = """() => {
    window.made = [];
    const make = URL.createObjectURL;
    URL.createObjectURL = (blob) => {
        const address = make(blob);
        if (blob.type === "audio/wav") window.made.push(address);
        return address;
    };
}"""
GONE = """(made) => Promise.all(made.map((address) => fetch(address).then(() => false, () => true)))
    .then((gone) => gone.every(Boolean))"""


def test_record_goes_on_below_what_was_said_until_that_is_cleared(visit):
    live = tab(visit, "Live")
    live.evaluate(COPIES)
    live.click("#live-record")
    live.wait_for_selector("#live-words .word")
    live.click("#live-stop")
    notice(live, "done", "live")
    live.click("#live-edit button")
    live.wait_for_function("document.querySelector('#live-edit textarea')?.value")
    live.wait_for_timeout(1_000)  # sooner it would be a double click
    live.fill("#live-edit textarea", "mine")
    first = live.evaluate("document.querySelector('#live-microphone audio').duration")
    live.click("#live-record")
    live.wait_for_selector("#live-words .word:first-child >> text=mine")
    live.wait_for_selector("#live-words .word:nth-child(2)")
    with live.expect_download() as saved:  # while one speaks
        live.click("#live-downloads button >> text=TXT")
    assert saved.value.path().read_text() == "mine\n"
    live.evaluate(BUSY_UNTIL_STOP)
    notice(live, "done", "live")
    with live.expect_download() as saved:
        live.click("#live-downloads button >> text=JSON")
    said = json.loads(saved.value.path().read_text())
    whole = live.evaluate("document.querySelector('#live-microphone audio').duration")
    assert whole > first + 3  # also what came while the page had no time for it
    assert said["duration"] == pytest.approx(whole, abs=0.05)
    assert said["words"][0]["text"] == "mine"
    assert [word["start"] for word in said["words"]][1] > first
    made = live.evaluate("window.made")
    live.fill("#live-edit textarea", "no, mine")
    live.focus("#live-clear")
    live.keyboard.press("Enter")
    live.get_by_role("alert").filter(has_text="in no file yet").wait_for()
    live.keyboard.press("Enter")
    live.wait_for_selector("#live-words .word", state="detached")
    assert live.is_hidden("#live-microphone audio") and live.is_hidden("#live-clear")
    assert live.input_value("#live-edit textarea") == ""
    live.wait_for_function("document.activeElement.id === 'live-record'")
    assert len(made) >= 2 and live.evaluate(GONE, made)  # no copy of what was recorded stays
    live.click("#live-record")
    live.wait_for_selector("#live-words .word")
    assert live.inner_text("#live-words .word >> nth=0") != "mine"
    live.click("#live-stop")
    notice(live, "done", "live")


def test_another_microphone_may_have_another_rate(visit):
    live = tab(visit, "Live")
    live.evaluate(
        "() => { window.AudioContext = class extends AudioContext {"
        " constructor() { super({ sampleRate: window.rate }); } }; }"
    )
    heard = "document.querySelector('#live-microphone audio').duration"
    durations = [0]
    for rate in (44_100, 48_000, 16_000):
        live.evaluate(f"window.rate = {rate}")
        count = live.locator("#live-words .word").count()
        live.click("#live-record")
        live.wait_for_function(
            "count => document.querySelectorAll('#live-words .word').length > count", arg=count
        )
        live.click("#live-stop")
        notice(live, "done", "live")
        with live.expect_download() as saved:
            live.click("#live-downloads button >> text=JSON")
        said = json.loads(saved.value.path().read_text())
        durations.append(live.evaluate(heard))
        assert said["duration"] == pytest.approx(durations[-1], abs=0.05)
        starts = [word["start"] for word in said["words"]]
        assert starts == sorted(starts)
        assert all(start > durations[-2] - 0.05 for start in starts[count:])
        live.wait_for_timeout(600)  # sooner it would be a double click


def test_long_captions_are_not_lost_by_one_press(visit):
    live = tab(visit, "Live")
    live.click("#live-record")
    live.wait_for_selector("#live-words .word")
    live.click("#live-stop")
    notice(live, "done", "live")
    live.evaluate("document.querySelector('#live-words .word:last-child').dataset.start = 60")
    count = live.locator("#live-words .word").count()
    live.click("#live-clear")
    live.get_by_role("alert").filter(has_text="in no file yet").wait_for()
    assert not left(live)
    assert live.locator("#live-words .word").count() == count
    live.wait_for_timeout(600)  # sooner it would be a double click
    live.click("#live-clear")
    live.wait_for_selector("#live-words .word", state="detached")
    assert live.is_hidden("#live-unsaved") and left(live)


def test_nothing_is_heard_without_a_microphone(visit):
    live = tab(visit, "Live", permissions=[])
    live.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject('denied'); }")
    live.click("#live-record")
    assert notice(live, "problem", "live").startswith("The microphone cannot be used")
    assert live.is_visible("#live-record")


def test_without_https_there_is_no_microphone_and_no_riddle(visit):
    live = tab(visit, "Live")
    live.evaluate("() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    live.click("#live-record")
    assert notice(live, "problem", "live").startswith("The microphone cannot be used")


def test_a_double_click_starts_one_microphone_that_stop_ends(visit):
    live = tab(visit, "Live")
    live.evaluate(
        "() => { window.streams = []; const ask = navigator.mediaDevices.getUserMedia"
        ".bind(navigator.mediaDevices); navigator.mediaDevices.getUserMedia = async (wish) => "
        "{ const stream = await ask(wish); window.streams.push(stream); return stream; }; }"
    )
    live.dblclick("#live-record")
    live.wait_for_function("document.activeElement.id === 'live-stop'")
    live.wait_for_function("window.streams.length === 2")
    live.wait_for_selector("#live-words .word")
    live.click("#live-stop")
    live.wait_for_function(
        "window.streams.every((stream) => stream.getTracks()[0].readyState === 'ended')"
    )
    notice(live, "done", "live")


def test_a_double_click_on_stop_does_not_begin_anew(visit):
    live = tab(visit, "Live")
    live.click("#live-record")
    live.wait_for_selector("#live-words .word")
    live.dblclick("#live-stop")
    said = notice(live, "done", "live")
    assert " in 0:" in said
    live.wait_for_timeout(1_000)
    assert live.is_visible("#live-record")
    assert notice(live, "done", "live") == said
    assert live.locator("#live-words .word").count() > 0
    assert live.is_visible("#live-microphone audio")


def test_stop_at_once(visit):
    live = tab(visit, "Live")
    live.click("#live-record")
    live.click("#live-stop")
    live.wait_for_selector("#live-notice .notice:not(.busy)")
    live.wait_for_timeout(1_000)  # sooner it would be a double click
    live.click("#live-record")
    live.wait_for_selector("#live-words .word, #live-notice .notice.busy")
    live.click("#live-stop")


def test_several_files_and_one_zip_file(visit, tmp_path):
    good = [clip.path for clip in page.samples(tmp_path, 2)]
    bad = tmp_path / "a_recording_of_which_there_is_nothing_but_its_long_name.wav"
    bad.write_text("no sound")
    files = tab(visit, "Files", viewport={"width": 390, "height": 844})
    files.set_input_files("#files input[type=file]", [good[0], str(bad), good[1]])
    said = notice(files, "problem", "files")
    assert said == "2 of 3 transcribed; 1 could not be: see below."
    rows = files.locator("#files-table tbody tr").all_inner_texts()
    assert len(rows) == 3
    assert "not audio that can be read" in rows[1]
    assert files.evaluate("document.documentElement.scrollWidth") <= 390
    cut = "names => names.filter((name) => name.scrollWidth > name.clientWidth)"
    assert files.locator("#files .filename, #files .stem").evaluate_all(cut) == []
    lines = "document.querySelector('#files-table .problem').clientWidth"
    assert files.evaluate(lines) > 390 / 2
    with files.expect_download() as saved:
        files.click("#files-zip")
    with zipfile.ZipFile(saved.value.path()) as zipped:
        assert len(zipped.namelist()) == 10
        assert words(zipped.read(next(n for n in zipped.namelist() if n.endswith(".txt"))).decode())


def test_files_that_were_waited_for_are_asked_about_until_they_are_saved(visit, tmp_path):
    files = tab(visit, "Files")
    long = long_recording(tmp_path / "long.wav", minutes=1.2)
    files.set_input_files("#files input[type=file]", [silence(tmp_path / "quiet.wav"), long])
    notice(files, "problem", "files")
    files.click("button[role=tab]:has-text('Recording')")
    assert not left(files)
    files.click("button[role=tab]:has-text('Files')")
    with files.expect_download():
        files.click("#files-zip")
    assert left(files)


def test_files_that_are_added_while_others_are_heard_are_heard_too(app, visit, tmp_path):
    first, second = [clip.path for clip in page.samples(tmp_path, 2)]
    files = tab(visit, "Files")
    with app.standing_still():
        files.set_input_files("#files input[type=file]", first)
        files.wait_for_timeout(500)
    files.wait_for_selector("#files-table tr:nth-child(1)")
    files.set_input_files("#files input[type=file]", second)
    files.wait_for_selector("#files-table tbody tr:nth-child(2)")
    assert notice(files, "done", "files") == "2 of 2 transcribed."


def test_no_files_to_transcribe(visit):
    files = tab(visit, "Files")
    files.click("#files-start")
    assert notice(files, "problem", "files").startswith("There are no files yet")


def test_without_files_the_transcripts_of_those_before_stay(visit, tmp_path):
    (clip,) = page.samples(tmp_path, 1)
    files = tab(visit, "Files")
    files.set_input_files("#files input[type=file]", clip.path)
    assert notice(files, "done", "files") == "1 of 1 transcribed."
    files.click("#files [aria-label=Clear]")
    files.wait_for_selector("#files .filename", state="detached")
    files.click("#files-start")
    assert notice(files, "problem", "files").startswith("There are no files yet")
    assert files.locator("#files-table tbody tr").count() == 1
    with files.expect_download():
        files.click("#files-zip")


def test_how_right_it_is(visit, tmp_path):
    heard = visit()
    heard.click("#samples button >> nth=0")
    said = transcript(heard)
    fold = heard.locator("#transcript-compare")
    fold.locator("button").first.click()
    fold.locator("textarea").fill(said.lower())
    fold.get_by_role("button", name="Compare", exact=True).click()
    fold.get_by_text("Word error rate 0.0%").wait_for()
    fold.locator("textarea").fill(f"xylophone {said}")
    fold.get_by_role("button", name="Compare", exact=True).click()
    fold.get_by_text("0 wrong, 1 missed, 0 made up").wait_for()
    assert fold.locator(".pair.delete del").inner_text().strip() == "xylophone"


def test_comparing_with_nothing(visit, tmp_path):
    fresh = visit()
    fold = fresh.locator("#transcript-compare")
    fold.locator("button").first.click()
    fold.get_by_role("button", name="Compare", exact=True).click()
    fold.get_by_text("There is no transcript yet").wait_for()


def test_a_model_of_the_hosts_list_can_be_chosen(visit, tmp_path):
    chosen = visit()
    chosen.click("#models input")
    chosen.click(f"#models [role=option]:has-text('{MODEL}')")
    chosen.wait_for_selector(f"#model .notice.done:has-text('{MODEL}')")
    chosen.click("#samples button >> nth=0")
    assert words(transcript(chosen))


def test_files_are_heard_like_single_recordings(visit, tmp_path):
    quiet = silence(tmp_path / "quiet.wav")
    assert audio.load(str(quiet), 16_000).shape == (32_000,)
    files = tab(visit, "Files")
    files.set_input_files("#files input[type=file]", [str(quiet)])
    files.wait_for_selector("#files-table .notice.problem:has-text('quiet.wav is silent')")
