"""A visitor's lesson, without a browser: what is kept, what is learnt, who may, and what goes."""

from __future__ import annotations

import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import tiny

from asr_core import audio, data, page, prompts, teaching
from asr_core.engine import Engine
from asr_core.errors import AudioError, DataError, ModelError, OptionError
from asr_core.flags import parse
from asr_core.lesson import LEAST, Lesson, copies, write
from asr_core.phrases import say
from asr_core.teaching import teach


@pytest.fixture
def engine() -> Engine:
    return Engine("embedded")


@pytest.fixture
def lesson(engine, tmp_path):
    """A lesson with as many recordings as it takes."""
    made = Lesson(engine, prompts.ENGLISH)
    for index in range(LEAST):
        made.record(index, speech(tmp_path / "said.wav", seed=index), made.sentences[index])
    yield made
    made.close()


def speech(path: Path, seconds: float = 2.0, seed: int = 0) -> str:
    sf.write(path, tiny.babble(seconds, seed, 16_000), 16_000)
    return str(path)


@pytest.fixture
def pupil(monkeypatch, tmp_path):
    """Puts a script in the place of `train.py`; it finds its flags in `sys.argv`."""

    def put(script: str) -> None:
        path = tmp_path / "train.py"
        path.write_text(f"import json, shutil, sys, time\nfrom pathlib import Path\n{script}")
        monkeypatch.setattr(teaching, "TRAIN", path)

    return put


LEARNS = """
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
output = Path(flags["--output_dir"])
output.mkdir()
with (output / "progress.jsonl").open("w") as diary:
    for step, loss in enumerate([3.0, 2.0, 1.0]):
        wer = {"eval_wer": 1 - step / 4, "eval_cer": 0.5, "eval_loss": loss}
        print(json.dumps({"step": step, "steps": 2, "loss": loss, **wer}), file=diary)
time.sleep(1)
for file in Path(flags["--language_model"]).parent.glob("model/*"):
    shutil.copy(file, output)
"""


def test_recordings_are_kept_by_sentence_and_can_be_made_again(engine, tmp_path):
    lesson = Lesson(engine, ["one", "two", "three"])
    lesson.record(1, speech(tmp_path / "a.wav"), " two! ")
    assert lesson.sentences[1] == "two!"
    assert lesson.next(1) == 2
    lesson.record(2, speech(tmp_path / "b.wav"), "three")
    assert lesson.next(2) == 0
    lesson.record(0, speech(tmp_path / "c.wav"), "one")
    assert lesson.next(0) == 0
    lesson.forget(1)
    assert sorted(lesson.clips) == [0, 2]
    assert len(list(lesson.folder.iterdir())) == 2


def test_what_cannot_be_learnt_from_is_refused_in_one_sentence(engine, tmp_path):
    lesson = Lesson(engine, prompts.ENGLISH)
    quiet, text = tmp_path / "quiet.wav", tmp_path / "text.wav"
    sf.write(quiet, np.zeros(16_000, np.float32), 16_000)
    text.write_text("no sound")
    with pytest.raises(AudioError, match="silent"):
        lesson.record(0, str(quiet), "hello")
    with pytest.raises(AudioError, match="not audio"):
        lesson.record(0, str(text), "hello")
    with pytest.raises(AudioError, match="one sentence only"):
        lesson.record(0, speech(tmp_path / "long.wav", 21.0), "hello")
    with pytest.raises(DataError, match="Write down"):
        lesson.record(0, speech(tmp_path / "a.wav"), "  ")
    for sentence in ("112", "?!", "😀", "안녕하세요"):
        with pytest.raises(DataError, match="numbers as words"):
            lesson.record(0, speech(tmp_path / "a.wav"), sentence)
    with pytest.raises(DataError, match=r"too long for a recording of 2\.0 s"):
        lesson.record(0, speech(tmp_path / "a.wav"), "and so on " * 10)
    assert not lesson.clips


def test_a_sentence_is_for_the_model_that_is_to_learn_it(lesson, tmp_path, monkeypatch):
    other = str(tiny.wav2vec2(tmp_path / "theirs"))
    monkeypatch.setenv("ASR_MODELS", other)
    lesson.model = lesson.engine.lend(tmp_path / "taught")
    lesson.record(0, speech(tmp_path / "a.wav"), "hello", lesson.model)  # its base learns anew
    long = "we do " * 15  # the other one makes more frames
    with pytest.raises(DataError, match="too long"):
        lesson.record(0, speech(tmp_path / "a.wav"), long)
    lesson.record(0, speech(tmp_path / "a.wav"), long, other)


def test_of_a_recording_that_is_too_long_no_more_is_read_than_it_takes(
    engine, tmp_path, monkeypatch
):
    long, read = tmp_path / "hour.flac", []
    sf.write(long, np.zeros(16_000 * 3600, np.float32), 16_000)
    note = audio.Recording.note
    monkeypatch.setattr(
        audio.Recording, "note", lambda self, *block: (note(self, *block), read.append(self.read))
    )
    with pytest.raises(AudioError, match="one sentence only"):
        Lesson(engine, prompts.ENGLISH).record(0, str(long), "hello")
    assert read[-1] < 30


def test_a_third_is_held_out_and_none_of_its_words_are_learnt(lesson):
    train, test = lesson.parts()
    assert sorted([*train, *test]) == sorted(lesson.clips)
    assert len(test) == len(lesson.clips) // 3
    lesson.sentences[test[0]] = lesson.sentences[train[0]].upper()
    assert lesson.parts() == (train, test[1:])


def test_one_sentence_over_and_over_is_no_lesson(lesson, pupil):
    pupil("raise SystemExit('nobody should start this')")
    lesson.sentences = ["the same"] * len(lesson.sentences)
    *_, last = teach(lesson, "")
    assert "say different ones" in last.notice
    assert not last.running


@pytest.mark.parametrize("language", ["en", "ko"])
def test_too_few_recordings(engine, language):
    for lesson in (None, Lesson(engine, prompts.ENGLISH)):
        (only,) = teach(lesson, "", language)
        assert say("teach_few", language, count=0, least=LEAST) in only.notice
        assert not only.running


def test_the_course_is_shown_and_then_what_came_of_it(lesson, pupil):
    pupil(LEARNS)
    views = list(teach(lesson, ""))
    assert [view.running for view in views] == [True] * (len(views) - 1) + [False]
    assert any("<progress" in view.notice for view in views)
    last = views[-1]
    assert [point.value for point in last.losses if point.name == "learnt"] == [3.0, 2.0, 1.0]
    assert [point.value for point in last.rates if point.name == "words"] == [1.0, 0.75, 0.5]
    assert last.result.count("<li>") == 2
    assert lesson.sentences[2] in last.result
    # The same weights hear the same, and that is said.
    assert say("teach_no_better") in last.notice
    with zipfile.ZipFile(last.download) as zipped:
        names = zipped.namelist()
    assert "processor_config.json" in names
    assert any(name.endswith(".safetensors") for name in names)
    assert not [name for name in names if name.endswith((".wav", ".jsonl", ".csv"))]


def test_what_was_taught_is_its_visitors_only_and_goes_with_the_lesson(engine, lesson, pupil):
    pupil(LEARNS)
    list(teach(lesson, ""))
    assert engine.recognizer(lesson.model).name == str(lesson.folder / "model")
    assert lesson.model not in engine.models()
    for guess in (str(lesson.folder / "model"), "own:", "own:1"):
        with pytest.raises(ModelError):
            engine.recognizer(guess)
    assert "taught by you" in [*page.model_line(engine, "en", lesson.model)][-1]
    name, folder = lesson.model, lesson.folder
    lesson.close()
    assert not folder.exists()
    with pytest.raises(ModelError, match="has been deleted"):
        engine.recognizer(name)


def test_what_was_taught_is_taught_anew_from_its_base(engine, lesson, pupil):
    pupil(LEARNS)
    list(teach(lesson, ""))
    first, before = lesson.model, engine.recognizer(lesson.model)
    pupil(LEARNS + "\n(output / 'flags.json').write_text(json.dumps(flags))")
    list(teach(lesson, first))
    assert lesson.model == first  # so that whoever uses it goes on with the new one
    assert engine.recognizer(first) is not before
    flags = json.loads((lesson.folder / "model" / "flags.json").read_text())
    assert flags["--model"] == "embedded"


def test_another_model_learns_its_visitors_sentences_only(tmp_path):
    engine = Engine(str(tiny.wav2vec2(tmp_path / "theirs")))
    lesson = Lesson(engine, prompts.prompts(tiny.LETTERS))
    for index in range(LEAST):
        lesson.record(index, speech(tmp_path / "said.wav"), lesson.sentences[index])
    train, test = (copies(lesson, part, tmp_path / "clips") for part in lesson.parts())
    options, _ = parse(write(lesson, tmp_path / "new", train, test))
    assert options.model == str(tmp_path / "theirs")
    for part, clips in (("train", train), ("test", test)):
        said = set(data.load(options.dataset, split=part)["transcription"])
        assert said == {clip.sentence for clip in clips}


def test_recordings_may_be_deleted_and_made_again_while_they_are_learnt(lesson, pupil, tmp_path):
    pupil(
        LEARNS
        + """
import csv
for part in ("train", "test"):
    for row in csv.DictReader((Path(flags["--dataset"]) / part / "metadata.csv").open()):
        file = Path(flags["--dataset"]) / part / row["file_name"]
        assert file.stat().st_size > (40_000 if file.suffix == ".wav" else 0)
"""
    )
    views = teach(lesson, "")
    said = list(lesson.sentences)
    while "<progress" not in next(views).notice:
        pass
    lesson.record(1, speech(tmp_path / "again.wav", 0.5), "another one")
    for index in (0, 2, 5):
        lesson.forget(index)
        lesson.sentences[index] = "something else"
    *_, last = views
    assert last.download
    assert last.result.count("<li>") == 2
    assert said[2] in last.result and said[5] in last.result


def test_two_lessons_share_nothing_and_take_turns(engine, lesson, pupil, tmp_path):
    other = Lesson(engine, prompts.ENGLISH)
    for index in range(LEAST):
        other.record(index, speech(tmp_path / "other.wav", seed=9), other.sentences[index])
    assert other.folder != lesson.folder
    pupil("time.sleep(600)")
    with ThreadPoolExecutor(1) as pool:
        mine = pool.submit(lambda: list(teach(lesson, "")))
        while lesson.process is None:
            time.sleep(0.01)
        *_, told = teach(other, "")
        lesson.cancel()
    assert say("teach_cancelled") in mine.result()[-1].notice
    assert "room for one at a time" in told.notice
    assert len(other.clips) == LEAST
    assert lesson.process.poll() is not None
    pupil(LEARNS)  # and now it is the other one's turn
    *_, last = teach(other, "")
    assert last.download
    assert lesson.model is None
    other.close()


def test_whoever_leaves_stops_the_lesson(lesson, pupil):
    pupil(LEARNS.replace("time.sleep(1)", "time.sleep(600)"))
    views = teach(lesson, "")
    while "<progress" not in next(views).notice:
        pass
    views.close()
    assert lesson.process.poll() is not None
    assert not (lesson.folder / "new").exists()


def test_who_leaves_is_noticed_also_when_there_is_no_news(lesson, pupil, monkeypatch):
    monkeypatch.setattr(teaching, "QUIET", 0.0)
    pupil("time.sleep(20)")
    views = teach(lesson, "")
    begun, *again = (next(views) for _ in range(3))
    assert again == [begun, begun]
    views.close()
    assert lesson.process.poll() is not None


def test_cancelled_before_it_began(lesson, pupil):
    pupil("time.sleep(600)")
    views = teach(lesson, "")
    next(views)
    lesson.cancel()
    assert say("teach_cancelled") in list(views)[-1].notice


def test_what_train_says_is_passed_on(lesson, pupil):
    pupil("sys.exit('train.py: No row of the dataset can be used: it is empty.')")
    *_, last = teach(lesson, "")
    assert "No row of the dataset can be used: it is empty." in last.notice
    assert "train.py" not in last.notice


def test_a_failure_is_one_sentence_and_costs_no_recording(lesson, pupil, caplog):
    pupil("raise RuntimeError('inner workings')")
    *_, last = teach(lesson, "")
    assert say("teach_failed") in last.notice
    assert "inner workings" in caplog.text  # for the host
    assert len(lesson.clips) == LEAST


def test_a_public_host_does_not_teach_unless_told_to(monkeypatch):
    monkeypatch.delenv("ASR_TEACH", raising=False)
    assert teaching.allowed()
    assert not teaching.allowed(public=True)
    for yes in ("1", "Yes"):
        monkeypatch.setenv("ASR_TEACH", yes)
        assert teaching.allowed(public=True)
    for no in ("0", "false", "OFF", " no "):
        monkeypatch.setenv("ASR_TEACH", no)
        assert not teaching.allowed()
    monkeypatch.setenv("ASR_TEACH", "never")
    with pytest.raises(OptionError, match="ASR_TEACH=never is neither yes nor no"):
        teaching.allowed()


def test_flags_of_a_host_that_cannot_be_taken_apart_are_told_at_the_start(monkeypatch):
    monkeypatch.setenv("ASR_TEACH_FLAGS", "--output_dir 'here")
    with pytest.raises(OptionError, match="cannot be taken apart: no closing"):
        teaching.allowed()


def test_where_the_host_has_characters_learnt_every_sentence_is_one(lesson, tmp_path, monkeypatch):
    monkeypatch.setenv("ASR_TEACH_FLAGS", "--vocabulary data")
    lesson.record(0, speech(tmp_path / "a.wav"), "112")
    assert lesson.sentences[0] == "112"


def test_sentences_are_in_the_language_of_the_model():
    assert prompts.prompts(" 'ABC") == prompts.ENGLISH
    assert prompts.prompts(" 가나다") == prompts.KOREAN
    assert prompts.prompts("\u1100\u1161") == prompts.KOREAN
    assert len(prompts.ENGLISH) == len(prompts.KOREAN) == 12
