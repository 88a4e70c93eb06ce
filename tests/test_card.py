"""The model card: honest numbers, valid metadata, and nothing of this machine."""

from __future__ import annotations

import contextlib
import io
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from asr_core import card, report
from asr_core.evaluation import Evaluation
from asr_core.flags import parse
from asr_core.scoring import Utterance, bootstrap, rate, score


def evaluated(model: str, *pairs: tuple[str, str], failed: dict | None = None) -> Evaluation:
    rows: list[Utterance] = [
        score(i, f"private-{i}.wav", said, heard, 3.0) for i, (said, heard) in enumerate(pairs)
    ]
    words = [(row.word_errors, row.words) for row in rows]
    characters = [(row.character_errors, row.characters) for row in rows]
    return Evaluation(
        model,
        "data",
        rate(words),
        bootstrap(words),
        rate(characters),
        bootstrap(characters),
        len(rows),
        3.0 * len(rows),
        1.0,
        failed or {},
        tuple(rows),
    )


BEFORE = evaluated("base", ("A B C D", "A X Y Z"), ("E F G H", "E"), ("I J K L", "I J K L"))
AFTER = evaluated("mine", ("A B C D", "A X C D"), ("E F G H", "E F G"), ("I J K L", "I J K L"))


@pytest.fixture
def looked() -> report.Report:
    dropped = {"undecodable": ["private-name.wav"], "longer than 20 s": ["b", "c"]}
    train = report.Part(80, 0.21, 7, (1.0, 9.5), 900, 0, {}, dropped)
    test = report.Part(20, 0.05, None, (2.0,), 200, 0, {}, {"undecodable": ["d"]})
    return report.Report(train, test, 32)


@pytest.fixture
def write(tmp_path, looked):
    """Write a card of a model trained with `flags` and read it back."""

    def write(*flags: str, before=BEFORE, after=AFTER, name: str = "me/mine", **found) -> ModelCard:
        folder = tmp_path / "private-folder"
        folder.mkdir(exist_ok=True)
        arguments = ["--preset", "quickstart", "--output_dir", str(folder), *flags]
        card.save(folder, name, *parse(arguments), replace(looked, **found), before, after)
        return ModelCard.load(folder / "README.md")

    return write


def base_model(folder: Path, front: str = "") -> Path:
    folder.mkdir()
    (folder / "README.md").write_text(f"---\n{front}---\n# A model\n")
    return folder


def test_the_table_has_both_models_with_their_intervals(write):
    text = write().text
    before = next(line for line in text.splitlines() if line.startswith("| before"))
    after = next(line for line in text.splitlines() if line.startswith("| fine-tuned"))
    assert "| 50.0 % |" in before and "| 16.7 % |" in after
    for line, one in ((before, BEFORE), (after, AFTER)):
        low, high = (100 * value for value in one.wer_interval)
        assert f"{low:.1f} to {high:.1f} %" in line
    assert "changed by -33.3 points" in text
    assert "3 utterances" in text and "not trained on" in text


def test_a_model_that_could_not_transcribe_before_has_no_row_for_it(write):
    text = write(before=None).text
    assert "| before" not in text and "| fine-tuned" in text
    assert "no output layer" in text


def test_the_metadata_is_what_the_hub_searches_by(write):
    front = write(
        "--model", "someone/base", "--dataset", "PolyAI/minds14", "--dataset_config", "en-US"
    )
    assert front.data.pipeline_tag == "automatic-speech-recognition"
    assert front.data.library_name == "transformers"
    assert front.data.datasets == ["PolyAI/minds14"]
    assert front.data.base_model == "someone/base"
    assert front.data.language == "en"
    results = {result.metric_type: result for result in front.data.eval_results}
    assert results["wer"].metric_value == round(AFTER.wer, 4)
    assert results["cer"].metric_value == round(AFTER.cer, 4)
    assert results["wer"].dataset_type == "PolyAI/minds14"
    assert results["wer"].dataset_config == "en-US"


@pytest.mark.parametrize(
    ("config", "language"), [("ko", "ko"), ("xs", None), ("xl", None), ("clean", None)]
)
def test_a_configuration_may_name_a_language(write, config, language):
    front = write("--model", "someone/base", "--dataset", "some/data", "--dataset_config", config)
    assert front.data.language == language


def test_of_recordings_of_ones_own_no_language_is_invented(write, tmp_path):
    flags = ("--preset", "recommended", "--model", "someone/base", "--dataset", str(tmp_path))
    for given in ((), ("--dataset_config", "en-US")):  # which a folder has none of
        front = write(*flags, *given).data
        assert front.language is None
        assert [result.dataset_config for result in front.eval_results] == [None, None]


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """These tests have no Hub: the real client would ask it for the licence of a base model."""

    def refuse(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)


def test_the_licence_is_that_of_the_model_it_was_made_from(write, tmp_path):
    base = base_model(tmp_path / "base", "license: cc-by-4.0\nbase_model: first/ancestor\n")
    written = write("--model", str(base))
    assert written.data.license == "cc-by-4.0"
    assert written.data.base_model == "first/ancestor"
    assert "cc-by-4.0" in written.text.partition("## Licence")[2]


@pytest.mark.parametrize("front", ["", "tags: [x]\n"])
def test_no_licence_is_invented(write, tmp_path, front):
    written = write("--model", str(base_model(tmp_path / "base", front)))
    assert written.data.license is None
    assert "does not state one" in written.text
    assert write("--model", "someone/base").data.license is None


def test_local_names_stay_out_of_a_public_card(write, tmp_path):
    base = base_model(tmp_path / "private-base")
    data = tmp_path / "private-recordings.csv"
    data.write_text("file_name,transcription\n")
    failed = {"private-clip.wav": "private-clip.wav is broken."}
    after = evaluated("mine", ("A B", "A B"), failed=failed)
    written = write("--model", str(base), "--dataset", str(data), before=None, after=after)
    assert "private" not in written.content.replace("mine", "")
    assert str(tmp_path) not in written.content
    assert written.data.datasets is None
    assert "1 left out" in written.text


def test_a_folder_that_has_no_card_stays_out_of_it_too(write, tmp_path):
    (tmp_path / "private-base").mkdir()
    written = write("--model", str(tmp_path / "private-base"), name="mine")
    assert written.data.base_model is None
    assert str(tmp_path) not in written.content


def test_data_and_hours_and_what_was_left_out(write):
    text = write("--dataset", "PolyAI/minds14", "--dataset_config", "ko-KR").text
    assert "PolyAI/minds14 (ko-KR)" in text
    assert "| trained on | 80 | 0.21 | 7 | 9.5 s | 3 |" in text
    assert "| measured on | 20 | 0.05 | not known | 2.0 s | 1 |" in text
    assert "2 undecodable; 2 longer than 20 s" in text
    assert "What can be heard of the test part is measured all the same" in text


def test_the_part_that_is_measured_on_is_named(write):
    assert "sentences that come with asr-core: `train`.\n" in write().text
    assert "asr-core: `train` and `test`.\n" in write("--eval_split", "test").text


def test_what_was_trained_on_as_well_is_not_called_new(write):
    assert "that were not trained on" in write().text
    text = write(shared=3).text
    assert "of which 3 were trained on, too" in text
    assert "not trained on" not in text


def test_who_was_known_already_is_told(write, looked):
    assert "as well" not in write().text
    named = replace(looked.test, speakers=4)
    text = write(test=named, known_speakers=3, known_sentences=12).text
    assert "trained on as well: 3 of the 4 speakers and 12 of the 20 transcripts." in text


def test_the_configuration_is_that_of_the_run(write):
    text = write("--learning_rate", "0.00077", "--freeze", "base", "--seed", "7").text
    for row in ("| learning_rate | 0.00077 |", "| freeze | base |", "| seed | 7 |"):
        assert row in text
    assert "| preset | quickstart |" in text


def test_the_errors_are_counted_and_cannot_break_the_table(write):
    after = evaluated("mine", ("A <B>|", "A <C>|"), ("A <B>|", "A <C>|"), ("D", "D E"))
    errors = write(after=after, before=None).text.partition("## Errors")[2]
    assert "| 2 | &lt;B&gt;\\| heard as &lt;C&gt;\\| |" in errors
    assert "| 1 | E heard, not said |" in errors
    assert "2 to 5 s" in errors


def test_of_errors_there_are_a_few_or_none(write):
    said, heard = "ABCDEFGHIJKL", "MNOPQRSTUVWX"
    wrong = [pair for s, h in zip(said, heard, strict=True) for pair in ((s, h), (f"{s} Y", "Y"))]
    text = write(after=evaluated("mine", *wrong), before=None).text
    table = text.partition("most frequent")[2].partition("## Training")[0]
    assert table.count("\n| 1 |") == card.CONFUSIONS
    right = write(after=evaluated("mine", ("A B", "A B")), before=None).text
    assert "most frequent" not in right


def test_it_says_how_to_use_the_model(write):
    text = write(name="me/mine").text
    assert 'pipeline("automatic-speech-recognition", model="me/mine")' in text
    assert "python app.py --model me/mine" in text


def test_of_several_models_that_it_was_merged_from_the_first_is_named(write, tmp_path):
    model = base_model(tmp_path / "merged", "base_model:\n- one/model\n- other/model\n")
    assert "[one/model](https://huggingface.co/one/model)" in write("--model", str(model)).text


def test_its_example_joins_jamo_to_syllables(write, monkeypatch):
    text = write(hangul="jamo").text
    example = text.split("```python\n")[1].split("```")[0]
    apart = unicodedata.normalize("NFD", "안녕하세요")
    monkeypatch.setattr("transformers.pipeline", lambda *_, **__: lambda _: {"text": apart})
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        exec(example, {})
    assert written.getvalue() == "안녕하세요\n"


def test_it_says_that_the_checkpoint_was_chosen_by_what_is_measured(write):
    assert "chosen by them" in write().text
    assert "chosen by them" not in write("--load_best_model_at_end", "false").text


def test_pictures_are_shown_where_there_are_any(write, tmp_path):
    assert "training.png" not in write().text
    (tmp_path / "private-folder" / "training.png").write_bytes(b"")
    assert "(training.png)" in write().text
