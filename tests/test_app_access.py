"""The page without a mouse, without eyes, and with weak ones, as Chromium tells assistive tools."""

from __future__ import annotations

import re

import pytest
import speech
from browser import long_recording, notice, silence, transcript, upload

from asr_core import data
from asr_core.engine import Engine
from asr_core.page import UNSURE
from asr_core.recognizer import WHOLE, WINDOW

pytestmark = pytest.mark.browser

CONTRAST = 4.5  # of text, WCAG 2.2 AA
EDGE = 3  # of what shows where a field or button is
LOUDNESS = r"""(selector) => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (color) => { paint.fillStyle = color; paint.fillRect(0, 0, 1, 1); };
  const luminance = () => {
    const [red, green, blue] = [...paint.getImageData(0, 0, 1, 1).data].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const element = document.querySelector(selector);
  const grounds = [];
  for (let at = element; at; at = at.parentElement)
    grounds.unshift(getComputedStyle(at).backgroundColor);
  grounds.forEach(over);
  const ground = luminance();
  over(getComputedStyle(element).color);
  const text = luminance();
  return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
}"""
OF_EDGE = (  # the same of its edge and what is around it
    LOUDNESS.replace("let at = element;", "let at = element.parentElement;").replace(
        "(element).color", "(element).borderTopColor"
    )
)


def tree(page) -> list[dict]:
    """Chromium's accessibility tree: role, name and properties of each node, in order."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [
        {
            "role": node["role"]["value"],
            "name": node.get("name", {}).get("value", "").strip(),
            **{entry["name"]: entry["value"].get("value") for entry in node["properties"]},
        }
        for node in nodes
        if not node["ignored"] and "properties" in node
    ]


def focused(page) -> str:
    return page.evaluate(
        "document.activeElement.id || document.activeElement.innerText"
        " || document.activeElement.ariaLabel"
    ).strip()


@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_everything_that_can_be_reached_has_a_name(visit, locale):
    page = visit(locale=locale)
    page.wait_for_selector("#model .notice.done")
    tabs = page.locator("button[role=tab]")
    for index in range(tabs.count()):
        tabs.nth(index).click()
        page.wait_for_function(
            "i => document.querySelectorAll('[role=tab]')[i].ariaSelected === 'true'", arg=index
        )
        page.wait_for_timeout(500)
        reachable = [node for node in tree(page) if node.get("focusable")]
        assert len(reachable) > 8
        assert [node["role"] for node in reachable if not node["name"]] == []
        if locale == "ko-KR":
            named = {n["name"] for n in reachable if n["role"] in ("button", "tab", "combobox")}
            samples = set(page.locator("#samples button").all_inner_texts())
            english = {name for name in named - samples if not re.search("[가-힣]", name)}
            assert {name for name in english if "↓" not in name} == set()


def test_files_that_were_chosen_can_be_added_to(visit, tmp_path):
    for locale, name, remove in (
        ("en-US", "Upload files", "Remove this file"),
        ("ko-KR", "파일 올리기", "이 파일 빼기"),
    ):
        page = visit(locale=locale)
        page.locator("button[role=tab]").nth(2).click()
        files = [str(silence(tmp_path / f"{name}.wav")) for name in "ab"]
        page.set_input_files("#files input[type=file]", files)
        button = page.locator("#files").get_by_role("button", name=name, exact=True)
        button.wait_for()
        assert button.get_attribute("title") == name
        page.locator("#files").get_by_role("button", name=remove).first.wait_for()


@pytest.mark.parametrize(
    "locale, said", [("en-US", "is not taken here"), ("ko-KR", "여기에서 받지 않는 파일입니다")]
)
def test_what_is_no_recording_is_refused_in_a_sentence(visit, tmp_path, locale, said):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    page = visit(locale=locale)
    upload(page, path)
    page.locator(".toast-message-text").get_by_text(said).wait_for()
    shown = page.locator(".toast-message-text").inner_text()
    assert shown.startswith("notes.txt") and "audio/" not in shown


@pytest.mark.parametrize(
    "locale, said",
    [("en-US", " is neither sound nor video, and"), ("ko-KR", ": 소리도 영상도 아니어서")],
)
def test_among_several_files_what_is_no_recording_is_left_out(visit, tmp_path, locale, said):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    page = visit(locale=locale)
    page.locator("button[role=tab]").nth(2).click()
    page.set_input_files("#files input[type=file]", [path, silence(tmp_path / "sound.wav")])
    page.locator(".toast-message-text").get_by_text(f"notes.txt{said}").wait_for()
    page.wait_for_selector("#files-table td >> text=sound.wav")


@pytest.mark.parametrize(
    "locale, said",
    [("en-US", "is larger than 500 MB, so nothing was taken"), ("ko-KR", ": 500 MB보다 커서")],
)
def test_what_is_too_large_is_refused_in_a_sentence(visit, tmp_path, locale, said):
    path = tmp_path / "big.wav"
    with path.open("wb") as file:
        file.truncate(501 * 2**20)
    page = visit(locale=locale)
    page.locator("button[role=tab]").nth(2).click()
    page.set_input_files("#files input[type=file]", [path, silence(tmp_path / "small.wav")])
    page.locator(".toast-message-text").get_by_text(said).wait_for()
    assert page.locator(".toast-message-text").inner_text().startswith('"big.wav"')


def test_the_focus_can_be_seen(visit):
    page = visit()
    page.click("#wishes button")
    page.click("#transcript-edit button")
    for selector in ("#hotwords :is(input, textarea)", "#transcript-edit textarea"):
        page.focus(selector)
        style = "element => getComputedStyle(element).outline"
        assert page.locator(selector).evaluate(style).endswith("solid 2px"), selector
        page.locator(selector).evaluate("element => element.blur()")
        assert not page.locator(selector).evaluate(style).endswith("solid 2px"), selector


def test_what_goes_hands_the_focus_to_what_takes_its_place(visit, tmp_path):
    page = visit()
    page.focus("#recording .record-button")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('#recording .stop-button')")
    page.focus("#recording .pause-button")
    for button in ("resume", "pause"):
        page.keyboard.press("Enter")
        page.wait_for_function(f"document.activeElement.matches('.{button}-button')")
    page.focus("#recording .stop-button")
    page.wait_for_timeout(1000)
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('#recording audio')")
    page.wait_for_selector("#transcript-notice .notice:not(.busy)")
    upload(page, long_recording(tmp_path / "long.wav", minutes=60))
    page.wait_for_selector("#transcript-words .word")
    page.focus("#cancel")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'transcript-notice'")
    page.keyboard.press("Enter")  # once more changes nothing
    page.wait_for_timeout(500)
    assert notice(page, "done").startswith("Cancelled")
    # A mouse needs no help: space is to scroll then, and not to record.
    page.click("#recording [aria-label=Clear]")
    page.wait_for_selector("#recording [data-testid=source-select] button")
    page.wait_for_timeout(500)
    assert page.evaluate("document.activeElement === document.body")


def test_all_tabs_are_seen_on_a_phone(visit):
    for locale in ("en-US", "ko-KR"):
        page = visit(locale=locale, viewport={"width": 360, "height": 740})
        tabs = page.locator(".tab-container button[role=tab]")
        assert tabs.count() == 4
        for index in range(4):
            tabs.nth(index).wait_for(state="visible")


def test_a_fold_tells_whether_it_is_open(visit):
    page = visit()
    page.get_by_role("button", name="Correct the text", expanded=False).click()
    page.get_by_role("button", name="Correct the text", expanded=True).click()
    page.get_by_role("button", name="Correct the text", expanded=False).wait_for()


def test_what_happens_is_read_out(visit, tmp_path):
    page = visit()
    page.click("#transcribe")
    assert notice(page, "problem")
    status = page.get_by_role("status").filter(has_text="There is no recording yet")
    assert status.count() == 1
    assert page.get_by_role("status").filter(has_text="Model:").count() == 1


def test_words_are_a_group_of_buttons_with_a_name(visit):
    page = visit()
    page.click("#samples button >> nth=0")
    said = transcript(page).split()
    group = page.get_by_role("group", name="Transcript")
    assert group.get_by_role("button").all_inner_texts() == said
    assert re.fullmatch(r"0:0\d · \d+%", group.get_by_role("button").first.get_attribute("title"))


def test_captions_are_read_out_once_each(visit):
    speech.recording(speech.SPOKEN)
    page = visit()
    page.click("button[role=tab]:has-text('Live')")
    page.evaluate(
        "() => { window.told = []; new MutationObserver(() => window.told.push("
        "document.querySelector('.aloud').textContent)).observe("
        "document.querySelector('.aloud'), { childList: true }); }"
    )
    page.click("#live-record")
    page.wait_for_function("window.told.length > 0")  # while one speaks
    # What is shorter is heard once more when it ends; what was told first took a window.
    page.wait_for_timeout(1000 * (WHOLE - WINDOW + 2))
    page.click("#live-stop")
    assert notice(page, "done", "live")
    shown = page.locator("#live-words .word").all_inner_texts()
    assert page.get_by_role("log").count() == 1
    assert " ".join(page.evaluate("window.told")).split() == shown


def test_from_opening_to_a_transcript_by_keyboard(visit):
    page = visit()
    page.wait_for_selector("#model .notice.done")
    page.locator("button[role=tab]").first.focus()
    sample = page.locator("#samples button").first.inner_text()
    passed = []
    while focused(page) != sample:
        page.keyboard.press("Tab")
        passed.append(focused(page))
        assert len(passed) < 12, passed
    page.keyboard.press("Enter")
    assert transcript(page)
    while focused(page) != "transcribe":
        page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    if focused(page) == "cancel":
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("word")
    page.keyboard.press("Tab")  # one stop for all words
    assert focused(page) == "transcript-copy"


def test_record_and_stop_by_keyboard_keep_the_focus(visit):
    page = visit(color_scheme="dark")
    page.click("button[role=tab]:has-text('Live')")
    page.locator("#live-record").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'live-stop'")
    page.wait_for_timeout(1_000)
    assert page.evaluate(LOUDNESS, "#live-stop") >= CONTRAST
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'live-record'")
    page.wait_for_selector("#live-notice .notice:not(.busy)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("locale", ["en-US", "ko-KR"])
def test_uncertain_words_look_uncertain_and_can_be_read(visit, tmp_path, locale, scheme):
    (row,) = data.load(data.SAMPLE, split="test[31:32]")  # half of its words are heard for others
    path = tmp_path / "clip.flac"
    path.write_bytes(data.row_source(row))
    page = visit(locale=locale, color_scheme=scheme)
    upload(page, path)
    transcript(page)
    heard = Engine("embedded").recognizer().transcribe(str(path)).words
    doubts = [word.text for word in heard if word.confidence < UNSURE]
    assert page.locator("#transcript-words .word.unsure").all_inner_texts() == doubts
    assert 0 < len(doubts) < len(heard)
    style = (
        "element => [getComputedStyle(element).borderBottomStyle, getComputedStyle(element).color]"
    )
    line, color = page.locator("#transcript-words .unsure").first.evaluate(style)
    plain, normal = page.locator("#transcript-words .word:not(.unsure)").first.evaluate(style)
    assert line == "dotted" != plain
    assert color != normal
    help = (
        "dotted line are uncertain" if locale == "en-US" else "점선이 있는 낱말은 확실하지 않습니다"
    )
    assert page.locator(".hint").get_by_text(help).count()
    for selector in (".word.unsure", ".word:not(.unsure)", ".notice.done", ".hint p"):
        assert page.evaluate(LOUDNESS, selector) >= CONTRAST, selector


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_one_presses_and_fills_in_can_be_read(visit, scheme):
    page = visit(color_scheme=scheme)
    page.click("#samples button >> nth=0")
    transcript(page)
    page.locator("#transcript-words .word").first.click()
    page.wait_for_selector(".word.lit")
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)  # colours fade
    sources = "#recording .source-selection button"
    hovered = ("#transcribe",)
    seen = (
        "button[role=tab].selected",
        "button[role=tab]:not(.selected)",
        *hovered,
        "#recording label",
        "#samples .label",
        f"{sources}.selected",
        f"{sources}:not(.selected)",
        ".word.lit",
        "footer button",
    )
    for selector in seen:
        assert page.evaluate(LOUDNESS, selector) >= CONTRAST, selector
    for selector in hovered:
        page.hover(selector)
        page.wait_for_timeout(500)
        assert page.evaluate(LOUDNESS, selector) >= CONTRAST, f"{selector} under the pointer"
    page.click("button[role=tab]:has-text('Files')")
    page.wait_for_selector("#files .or")
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    for selector in ("#files .wrap:has(.or)", "#files .or", "#files label", "#files-start"):
        assert page.evaluate(LOUDNESS, selector) >= CONTRAST, selector


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fields_and_buttons_have_an_edge_that_can_be_seen(visit, scheme):
    page = visit(color_scheme=scheme)
    page.wait_for_selector("#recording .record-button")
    for fold in ("wishes", "transcript-edit", "transcript-compare"):
        page.click(f"#{fold} button")
    page.set_checked("#language-model input", False)
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(500)  # colours fade
    seen = (
        "#models .wrap:has(.wrap-inner)",
        "#language-model input",
        "#hotwords :is(input, textarea)",
        "#recording .record-button",
        "#samples button",
        "#transcript-copy",
        "#transcript-edit textarea",
        "#transcript-compare button[class*=secondary]",
    )
    for selector in seen:
        style = f"getComputedStyle(document.querySelector({selector!r})).borderTop"
        assert page.evaluate(style).startswith("1px solid"), selector
        assert page.evaluate(OF_EDGE, selector) >= EDGE, selector
    for tab, selector, line in (
        ("Recording", "#recording", "1px dashed"),
        ("Files", "#files", "1px dashed"),
        ("Teach it", "#teach-numbers label:not(.selected)", "1px solid"),
    ):
        page.click(f"button[role=tab]:has-text('{tab}')")
        if tab == "Recording":
            page.click("#recording [aria-label='Upload file']")
        page.locator(selector).first.wait_for()
        style = f"getComputedStyle(document.querySelector({selector!r})).borderTop"
        assert page.evaluate(style).startswith(line), selector
        assert page.evaluate(OF_EDGE, selector) >= EDGE, selector
