"""The page's first promise: what is spoken, uploaded or clicked comes back as words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import speech
from browser import MODEL, notice, silence, transcript, upload, wish, words

from asr_core import Recognizer
from asr_core.page import samples

pytestmark = pytest.mark.browser

PICTURE = Path(__file__).parents[1] / ".github" / "screenshot.png"


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return Recognizer(MODEL)


def test_an_uploaded_recording_becomes_words(visit, recognizer):
    path = speech.recording(speech.UPLOADED)
    page = visit()
    upload(page, path)
    shown = words(transcript(page))
    assert shown == words(recognizer.transcribe(str(path)).text)
    assert set(words(speech.UPLOADED.words)) <= set(shown)
    if os.environ.get("UPDATE_SCREENSHOT"):
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)


def test_what_is_said_into_the_microphone_becomes_words(app, visit, recognizer):
    speech.recording(speech.SPOKEN)
    page = visit()
    before = set(app.temp.rglob("audio*.wav"))
    page.click("#recording .record-button")
    page.wait_for_timeout(11_500)  # the length of the clip
    page.click("#recording .stop-button")
    shown = words(transcript(page))
    (recorded,) = set(app.temp.rglob("audio*.wav")) - before
    assert shown == words(recognizer.transcribe(str(recorded)).text)
    assert set(words(speech.SPOKEN.words)) <= set(shown)


def test_a_sample_is_transcribed_by_one_click(visit):
    page = visit()
    page.click("#samples button >> nth=0")
    assert words(transcript(page))
    # Also on the first run of a page, when it comes and goes within moments.
    page.wait_for_selector("#cancel", state="hidden", timeout=10_000)


def test_without_the_language_model_one_reads_the_letters(visit, recognizer, tmp_path):
    (clip,) = samples(tmp_path, 1)
    page = visit()
    wish(page, language_model=False)
    upload(page, clip.path)
    letters = recognizer.using(False).transcribe(clip.path).text
    assert transcript(page) == letters
    page.check("#language-model input")
    page.click("#transcribe")
    text = recognizer.transcribe(clip.path).text
    new = next(word for word in text.split() if word not in letters.split())
    page.locator("#transcript-words .word").get_by_text(new, exact=True).first.wait_for()
    assert transcript(page) == text


def test_words_that_are_favoured_are_found(visit, recognizer, tmp_path):
    def missed(clip, text: str) -> set[str]:
        return set(words(clip.sentence)) - set(words(text))

    plain = {clip: recognizer.transcribe(clip.path).text for clip in samples(tmp_path, 8)}
    clip = max(plain, key=lambda clip: len(missed(clip, plain[clip])))
    page = visit()
    wish(page, hotwords=clip.sentence.replace(" ", ", "))
    upload(page, clip.path)
    assert len(missed(clip, transcript(page))) < len(missed(clip, plain[clip]))


def test_bad_hotwords_are_one_sentence(visit, tmp_path):
    (clip,) = samples(tmp_path, 1)
    page = visit()
    wish(page, hotwords="<b>7")
    upload(page, clip.path)
    assert notice(page, "problem").startswith("The hotword '<b>7' cannot be spelt")


def test_nothing_recorded(visit):
    page = visit()
    page.click("#transcribe")
    assert notice(page, "problem").startswith("There is no recording yet")


def test_a_file_that_is_no_audio_is_named(visit, tmp_path):
    path = tmp_path / "<b>holiday.wav"
    path.write_text("not a sound in here")
    page = visit()
    upload(page, path)
    sentence = notice(page, "problem")
    assert "holiday.wav is" in sentence
    assert "not audio that can be read" in sentence
    assert page.locator("#transcript-notice b").count() == 0


def test_a_microphone_that_is_denied(visit):
    page = visit()
    assert not page.is_visible("#denied")
    page.add_init_script(
        "MediaDevices.prototype.getUserMedia = async () => {"
        " throw new DOMException('denied', 'NotAllowedError'); }"
    )
    page.reload()
    page.set_viewport_size({"width": 375, "height": 200})
    page.click("#recording .record-button")
    page.get_by_role("alert").filter(has_text="The microphone cannot be used.").wait_for()
    page.wait_for_function("document.querySelector('#denied').getBoundingClientRect().bottom >= 0")
    page.click("button[role=tab]:has-text('Live')")
    page.click("#live-record")
    assert "top of the page" in notice(page, "problem", "live")


def test_plain_http_is_said_to_have_no_microphone(visit):
    page = visit()
    assert not page.is_visible("#insecure")
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', { value: false })")
    page.reload()
    page.get_by_text("The microphone needs https.").wait_for()


def test_silence_is_said_to_be_silent(visit, tmp_path):
    page = visit()
    upload(page, silence(tmp_path / "quiet.wav"))
    assert "quiet.wav is silent" in notice(page, "problem")


def test_the_model_is_named(visit):
    page = visit()
    line = page.wait_for_selector("#model .notice.done").inner_text()
    assert line.startswith(f"Model: {MODEL}")


def test_the_page_speaks_korean_to_a_korean_browser(visit):
    page = visit(locale="ko-KR")
    page.wait_for_selector("text=말하고, 읽어 보세요")
    page.click("#transcribe")
    assert notice(page, "problem").startswith("아직 녹음이 없습니다")


def test_a_page_in_a_language_that_it_does_not_speak_is_english_throughout(visit):
    header = {"Accept-Language": "fr-FR,ko-KR;q=0.9,en;q=0.8"}
    page = visit(locale="fr-FR", extra_http_headers=header)
    assert page.wait_for_selector("#model .notice.done").inner_text().startswith("Model:")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("h1").inner_text() == "Talk, and read what you said"
    assert page.locator("#recording .record-button").inner_text() == "Record"
    footer = page.locator("footer").inner_text()
    assert footer.startswith("Use via API") and "Settings" not in footer
    assert "·" not in footer  # nothing follows


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_nothing_hangs_over_the_edge_of_the_screen(visit, width, scheme, tmp_path):
    page = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page.wait_for_selector("#model .notice.done")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"{scheme}-{width}.png", full_page=True)


def test_nothing_is_fetched_from_elsewhere_and_nothing_goes_wrong(app, visit):
    page = visit()
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(error))
    page.reload()
    page.wait_for_selector("#model .notice.done")
    assert wrong == []
    assert asked
    assert [url for url in asked if not url.startswith((app.url, "data:", "blob:"))] == []
