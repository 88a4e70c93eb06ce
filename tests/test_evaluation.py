"""How good a model is: rates with intervals, where the errors are, and a page to read and hear."""

from __future__ import annotations

import base64
import html.parser
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import av
import jiwer
import pytest
import recordings
import soundfile as sf
import tiny
from transformers import AutoProcessor

import asr_core.__main__ as commands
from asr_core import Recognizer, data, evaluate_command, evaluation, evaluation_page, mistakes
from asr_core.errors import AudioError, DataError
from asr_core.scoring import bootstrap, interval, score

SAID = [row[1] for row in recordings.ROWS]


class Parrot:
    """A recognizer that says what it was told to, clip after clip."""

    def __init__(self, processor, *answers, name: str = "parrot") -> None:
        self.name, self.processor, self.answers = name, processor, list(answers)

    def transcribe_many(self, sources, return_errors):
        assert return_errors
        for source in sources:
            yield self.said(source)

    def said(self, source):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            return answer
        with io.BytesIO(source) as file, av.open(file) as container:
            duration = container.duration / av.time_base
        text, *warnings = [answer] if isinstance(answer, str) else answer
        return SimpleNamespace(text=text, duration=duration, warnings=warnings)


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processor")
    tiny.processor(folder)
    return AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return data.load(str(recordings.write_parquet(tmp_path_factory.mktemp("rows") / "r.parquet")))


HEARD = [
    "freeze my cart",  # a substitution
    "what's my balance",
    "pay the the bill please now",  # two insertions
    "change address",  # a deletion
    "",  # three deletions
    "the app won't start",
]


@pytest.fixture(scope="module")
def tuned(processor, rows):
    return evaluation.evaluate(Parrot(processor, *HEARD, name="tuned"), rows, "calls")


@pytest.fixture(scope="module")
def baseline(processor, rows):
    answers = ["x"] * len(rows)
    return evaluation.evaluate(Parrot(processor, *answers, name="base"), rows, "calls")


def test_rates_are_those_of_jiwer_in_the_spelling_of_the_model(tuned):
    references = [re.sub("[!.,]", "", said).upper() for said in SAID]
    hypotheses = [heard.upper() for heard in HEARD]
    assert tuned.wer == pytest.approx(jiwer.wer(references, hypotheses))
    assert tuned.cer == pytest.approx(jiwer.cer(references, hypotheses))
    assert tuned.rows[0].reference == "FREEZE MY CARD"
    assert (tuned.utterances, tuned.failed) == (6, {})
    assert tuned.audio_seconds == pytest.approx(sum(row[3] for row in recordings.ROWS), abs=0.01)
    assert tuned.seconds > 0


def test_intervals_hold_the_rate_and_do_not_change_from_run_to_run(tuned):
    low, high = tuned.wer_interval
    assert 0 <= low < tuned.wer < high
    counts = [(row.word_errors, row.words) for row in tuned.rows]
    assert bootstrap(counts) == tuned.wer_interval
    assert interval(range(1001)) == (25.0, 975.0)  # 95 % of them
    assert bootstrap([(1, 5)] * 9) == (0.2, 0.2)  # all alike: nothing to doubt
    many = bootstrap(counts * 16)
    assert many[1] - many[0] == pytest.approx((high - low) / 4, rel=0.25)


def test_two_models_are_compared_on_the_same_rows(baseline, tuned):
    difference, (low, high) = evaluation.change(baseline, tuned)
    assert difference == pytest.approx(tuned.wer - baseline.wer)
    assert low < difference < high < 0  # better, whichever rows are drawn
    assert evaluation.change(tuned, tuned) == (0.0, (0.0, 0.0))
    printed = evaluation.side_by_side(baseline, tuned)
    assert f"{baseline.wer:.3f} -> {tuned.wer:.3f}" in printed
    assert printed.splitlines()[0].startswith("base ")


def test_rows_that_only_one_model_could_read_are_not_compared(processor, rows, tuned):
    answers = [AudioError("a.wav is broken."), *HEARD[1:]]
    partly = evaluation.evaluate(Parrot(processor, *answers), rows)
    assert evaluation.change(partly, tuned)[0] == 0.0
    assert partly.failed == {"a.wav": "a.wav is broken."}
    assert partly.utterances == 5
    for both in ((partly, tuned), (tuned, partly)):
        *_, last = evaluation.side_by_side(*both).splitlines()
        assert last.startswith("On the 5 utterances that both heard: WER ")


def test_two_models_that_failed_on_different_rows_are_set_side_by_side_on_the_others(
    processor, rows
):
    broken = AudioError("It is broken.")
    one, other = (
        evaluation.evaluate(Parrot(processor, *answers), rows)
        for answers in ([broken, *HEARD[1:]], [*HEARD[:4], broken, HEARD[5]])
    )
    assert one.wer != other.wer
    *_, last = evaluation.side_by_side(one, other).splitlines()
    errors, words = 3, 14  # of "b", "c", "d" and "f"
    assert last.startswith(f"On the 4 utterances that both heard: WER {errors / words:.3f} -> ")
    assert f"-> {errors / words:.3f} (+0.000" in last


def test_rows_without_a_transcript_are_named(processor, rows):
    empty = rows.map(
        lambda row, i: {"transcription": ["", " ... "][i] if i < 2 else row["transcription"]},
        with_indices=True,
    )
    result = evaluation.evaluate(Parrot(processor, *HEARD[2:]), empty)
    assert result.failed == {
        "a.wav": "It has no transcript.",
        "b.wav": "Its transcript holds no words.",
    }
    assert [row.index for row in result.rows] == [2, 3, 4, 5]


@pytest.mark.parametrize("letters", ["안녕하세요", "ᄀᄂᄋᄒ사ᅧᅦᅭᆼᆫ"], ids=["syllables", "jamo"])
def test_korean_is_compared_by_syllables(rows, letters):
    tokenizer = SimpleNamespace(get_vocab=lambda: dict.fromkeys(letters, 0))
    parrot = Parrot(SimpleNamespace(tokenizer=tokenizer), "안녕하세오")
    korean = rows.select([0]).map(lambda row: {"transcription": "안녕하세요"})
    result = evaluation.evaluate(parrot, korean)
    assert (result.wer, result.cer) == (1.0, 1 / 5)
    assert result.rows[0].reference == "안녕하세요"
    assert not result.warning  # it can spell all of this


def test_a_model_of_another_language_is_told_from_a_bad_one(
    processor, rows, tuned, monkeypatch, caplog
):
    korean = rows.select([0]).map(lambda row: {"transcription": "안녕하세요 OK"})
    parrot = Parrot(processor, "OKAY")
    monkeypatch.setattr(evaluate_command, "recognizer_of", lambda options, model: parrot)
    monkeypatch.setattr(evaluate_command, "_rows", lambda options: korean)
    with caplog.at_level("WARNING", "asr_core"):
        assert commands.main(["evaluate", "--dataset", "korean"]) == 0
    assert "parrot cannot spell much of this, 71% of the characters" in caplog.text
    assert "--vocabulary data" in caplog.text
    assert not tuned.warning


def test_characters_that_count_as_errors_whatever_is_heard_are_named(processor, rows, tuned):
    numbers = [
        row | {"transcription": f"{row['transcription']} {count}"}
        for row, count in zip(rows, ["12", "2", *[""] * 4], strict=True)
    ]
    told = evaluation.evaluate(Parrot(processor, *HEARD), numbers)
    assert told.missing == {"2": 2, "1": 1}
    assert "cannot spell '2' (2), '1' (1) of the transcripts: words with these" in told.warning
    assert told.warning in Page(evaluation_page.render(told, rows)).text
    assert (tuned.missing, tuned.warning) == ({}, "")


@pytest.mark.parametrize("broken", ["print", "write"])
def test_what_was_measured_is_not_lost(processor, rows, tmp_path, monkeypatch, capsys, broken):
    def fail(*_):
        raise OSError("broken")

    monkeypatch.setattr(
        evaluate_command, "recognizer_of", lambda options, model: Parrot(processor, *HEARD)
    )
    monkeypatch.setattr(evaluate_command, "_rows", lambda options: rows)
    place = {"print": (evaluation, "side_by_side"), "write": (evaluate_command, "write")}[broken]
    monkeypatch.setattr(*place, fail)
    file = tmp_path / "e.json"
    assert commands.main(["evaluate", "--dataset", "calls", "--json", str(file)]) == 1
    assert file.exists() == (broken == "print")
    assert ("WER" in capsys.readouterr().out) == (broken == "write")


def test_nothing_to_compare_is_an_error(processor, rows):
    broken = [AudioError("It is broken.")] * len(rows)
    with pytest.raises(DataError, match=r"nothing to compare in calls.*first: It is broken\."):
        evaluation.evaluate(Parrot(processor, *broken), rows, "calls")


def test_rows_of_one_name_that_fail_are_told_apart(processor, rows):
    alike = rows.map(lambda row: {"audio": {**row["audio"], "path": "a.wav"}})
    answers = [AudioError("It is broken."), HEARD[1], AudioError("It is silent."), *HEARD[3:]]
    result = evaluation.evaluate(Parrot(processor, *answers), alike)
    assert result.failed == {"a.wav": "It is broken.", "a.wav (row 2)": "It is silent."}
    assert [row.index for row in result.rows] == [1, 3, 4, 5]


def test_recordings_that_lack_a_part_are_measured_and_named(processor, rows, monkeypatch, caplog):
    parrot = Parrot(processor, (HEARD[0], "It is cut short.", "And odd."), *HEARD[1:])
    monkeypatch.setattr(evaluate_command, "recognizer_of", lambda options, model: parrot)
    monkeypatch.setattr(evaluate_command, "_rows", lambda options: rows)
    with caplog.at_level("WARNING", "asr_core"):
        assert commands.main(["evaluate", "--dataset", "calls"]) == 0
    assert "a.wav was measured all the same: It is cut short. And odd." in caplog.text
    told = evaluation.evaluate(Parrot(processor, (HEARD[0], "It is cut short."), *HEARD[1:]), rows)
    assert (told.doubtful, told.utterances) == ({"a.wav": "It is cut short."}, len(HEARD))
    assert told.to_dict()["doubtful"] == told.doubtful
    assert "It is cut short." in Page(evaluation_page.render(told, rows)).text


def test_rows_of_one_name_are_compared_each_with_itself(processor, rows):
    alike = rows.map(lambda row: {"audio": {**row["audio"], "path": "a.wav"}})
    before, after = (
        evaluation.evaluate(Parrot(processor, *answers), alike)
        for answers in (HEARD, ["x"] * len(HEARD))
    )
    assert evaluation.change(before, after)[0] == pytest.approx(after.wer - before.wer)


def test_a_real_recognizer_hears_several_at_a_time_and_loses_no_order(monkeypatch):
    heard = evaluation.evaluate(recognizer := Recognizer(), data.load(data.SAMPLE, split="test"))
    assert [row.index for row in heard.rows] == list(range(len(heard.rows)))
    assert heard.wer < 0.5 and not heard.failed

    def fail(source):
        raise ValueError("a library's")

    monkeypatch.setattr(recognizer, "stream", fail)
    with pytest.raises(DataError, match="nothing to compare"):
        evaluation.evaluate(recognizer, data.load(data.SAMPLE, split="test[:3]"))


def test_the_most_frequent_confusions_come_first():
    rows = [
        score(0, "0", "A B C", "A X C"),
        score(1, "1", "A B D", "A X Y"),
        score(2, "2", "E F G", "E G"),
        score(3, "3", "H I", "H UM I"),
        score(4, "4", "H I", "UM H UM I"),
    ]
    found = mistakes.confusions(rows)
    assert found.substitutions == (("B", "X", 2), ("D", "Y", 1))
    assert found.deletions == (("F", 1),)
    assert found.insertions == (("UM", 3),)
    assert mistakes.confusions(rows, most=1).substitutions == (("B", "X", 2),)


def test_the_worst_utterance_has_the_largest_share_of_wrong_words():
    rows = [
        score(0, "long", "A B C D E F", "A B C X Y F"),  # a third
        score(1, "short", "YES", "NO"),  # all of it
        score(2, "right", "YES", "YES"),
        score(3, "close", "YES", "YET"),  # all of it, but nearly right
    ]
    assert [row.name for row in mistakes.worst(rows)] == ["short", "close", "long", "right"]


def test_groups_by_duration_and_by_speaker_hold_every_utterance(tuned):
    groups = mistakes.by_duration(tuned.rows)
    assert [group.name for group in groups] == ["0 to 2 s", "2 to 5 s"]
    assert sum(group.utterances for group in groups) == 6
    assert groups[1].wer == 0.0  # b.wav alone

    speakers = mistakes.by_speaker(tuned.rows)
    assert [(group.name, group.utterances) for group in speakers] == [
        ("ben", 2),  # three of six words
        ("cleo", 1),  # one of three
        ("ann", 3),  # three of eleven
    ]
    assert speakers[0].wer == pytest.approx(3 / 6)
    assert mistakes.by_speaker([score(0, "a", "A", "A")]) == []


def test_json_holds_every_number(baseline, tuned):
    values = json.loads(json.dumps(tuned.to_dict()))
    assert {"wer", "cer", "utterances", "audio_seconds", "seconds"} <= set(values)
    assert values["wer"] == tuned.wer
    assert len(values["rows"]) == 6
    assert values["rows"][0]["hypothesis"] == "FREEZE MY CART"
    assert values["worst"][0] == "e.wav"
    assert values["confusions"]["substitutions"] == [["CARD", "CART", 1]]
    assert len(values["by_speaker"]) == 3
    assert len(replace(tuned, rows=tuned.rows * 3).to_dict()["worst"]) == 10


def test_what_is_printed_says_where_the_errors_are(tuned):
    printed = mistakes.describe(tuned.rows)
    assert "CART for CARD (1)" in printed and "THE (1)" in printed
    assert "e.wav, 3 errors in 3 words" in printed and "A JOINT ACCOUNT" in printed


# --- the page ---


class Page(html.parser.HTMLParser):
    """What a browser would find on the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[tuple[str, list[str]]] = []  # kind, [said, heard]
        self.text = self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        classes = (attributes.get("class") or "").split()
        self.inside = "".join(classes)
        if "word" in classes:
            self.words.append((classes[-1], []))

    def handle_data(self, data):
        self.text += data
        if self.inside in ("said", "heard") and data.strip():
            self.words[-1][1].append(data.strip())

    def clips(self) -> list[str]:
        return [attributes["src"] for tag, attributes in self.tags if tag == "audio"]


def test_errors_are_aligned_and_marked_by_their_kind(tuned, rows):
    page = Page(evaluation_page.render(tuned, rows))
    words = page.words[3:]  # after the legend
    assert words[:3] == [("delete", ["A"]), ("delete", ["JOINT"]), ("delete", ["ACCOUNT"])]
    assert ("substitute", ["CARD", "CART"]) in words
    assert ("insert", ["THE"]) in words
    assert ("equal", ["FREEZE"]) in words
    style = evaluation_page.render(tuned, rows)
    for kind in ("substitute", "delete", "insert"):
        assert re.search(rf"\.{kind} {{ background:", style)


def test_the_page_has_clips_to_play_worst_first(tuned, rows):
    clips = Page(evaluation_page.render(tuned, rows)).clips()
    assert len(clips) == 6
    kind, _, content = clips[0].partition(",")
    assert kind == "data:audio/mpeg;base64"
    recording = base64.b64decode(content)
    samples = evaluation_page.audio.load(recording, 16_000)
    assert len(samples) / 16_000 == pytest.approx(1.4, abs=0.1)  # e.wav
    assert len(recording) < 10_000


def test_a_long_page_has_a_limit_on_rows_and_on_clips(tuned, rows, monkeypatch):
    monkeypatch.setattr(evaluation_page, "UTTERANCES", 3)
    monkeypatch.setattr(evaluation_page, "CLIPS", 2)
    page = Page(evaluation_page.render(tuned, rows))
    assert len(page.clips()) == 2
    assert sum(tag == "article" for tag, _ in page.tags) == 3
    assert "worst 3 of 6" in page.text


def test_a_long_recording_is_cut_off(monkeypatch):
    monkeypatch.setattr(evaluation_page, "CLIP_SECONDS", 2)
    encoded = evaluation_page.encode(recordings.sound(30.0))
    assert len(evaluation_page.audio.load(encoded, 16_000)) / 16_000 == pytest.approx(2, abs=0.15)


def test_the_page_needs_nothing_beside_it_and_runs_nothing(tuned, baseline, rows):
    page = Page(evaluation_page.render(tuned, rows, baseline))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:"), tag
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy


def test_names_and_words_stay_text(processor, tmp_path):
    attack = '<script>alert(1)</script>"><img src=x>'
    hostile = [(f"{attack}.wav", "say {{ 7 * 7 }}", attack, 0.5)]
    rows = data.load(str(recordings.write_parquet(tmp_path / "rows.parquet", hostile)))
    result = evaluation.evaluate(Parrot(processor, "x", name=attack), rows, attack)
    page = Page(evaluation_page.render(result, rows, result))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert "<script>alert(1)" in page.text
    assert "49" not in page.text


def test_the_baseline_stands_beside_the_tuned_model(baseline, tuned, rows):
    page = Page(evaluation_page.render(tuned, rows, baseline))
    assert f"{100 * baseline.wer:.1f}" in page.text and f"{100 * tuned.wer:.1f}" in page.text
    assert ("substitute", ["A", "X"]) in page.words  # e.wav, as the baseline heard it
    assert ("substitute", ["CARD", "CART"]) in page.words


def test_a_row_that_cannot_be_read_is_on_the_page_without_a_clip(processor, rows):
    answers = [AudioError("a.wav is broken."), *HEARD[1:]]
    partly = evaluation.evaluate(Parrot(processor, *answers), rows)
    assert "a.wav is broken." in Page(evaluation_page.render(partly, rows)).text


@pytest.mark.browser
def test_a_browser_plays_the_clips(chromium, tuned, rows, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(evaluation_page.render(tuned, rows), encoding="utf-8")
    tab = chromium.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.goto(path.as_uri())
    played = tab.evaluate(
        """() => new Promise((resolve, reject) => {
            const clip = document.querySelector("audio");
            clip.muted = true;
            clip.onended = () => resolve(clip.currentTime);
            clip.onerror = () => reject(clip.error.message);
            clip.play().catch(reject);
        })"""
    )
    tab.close()
    assert played == pytest.approx(1.4, abs=0.2)
    assert complaints == []


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_clip_of_any_rate_can_be_played(rate):
    file = io.BytesIO()
    sf.write(file, tiny.babble(2.0, 0, rate), rate, format="FLAC")
    with av.open(io.BytesIO(evaluation_page.encode(file.getvalue()))) as clip:
        assert clip.duration / av.time_base == pytest.approx(2.0, abs=0.15)


def test_the_first_of_numbered_speakers_counts(processor, rows):
    numbered = [row | {"speaker": index} for index, row in enumerate(rows)]
    told = evaluation.evaluate(Parrot(processor, *SAID), numbered)
    assert {row.speaker for row in told.rows} == {str(index) for index in range(len(SAID))}


def test_who_is_not_known_is_no_speaker(processor, rows):
    unnamed = [row | {"speaker": None} for row in rows]
    told = evaluation.evaluate(Parrot(processor, *SAID), unnamed)
    assert told.to_dict()["by_speaker"] == []
