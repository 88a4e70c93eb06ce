"""Runs that were cut short: from where they go on, what must be the same, who stops them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoProcessor

from asr_core import data, models, preparation, pretrained, resuming
from asr_core.errors import OptionError
from asr_core.flags import parse
from asr_core.frames import Frames
from asr_core.watch import Interruption

STOPPED = """
import sys, torch
from types import SimpleNamespace
from asr_core.watch import Interruption
rank, place = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group("gloo", f"file://{place}", rank=rank, world_size=2)
interruption, ends = Interruption(), []
for step in range(3):
    if (rank, step) == (1, 1):
        interruption.signal = 15
    control = SimpleNamespace(should_training_stop=False)
    arguments = SimpleNamespace(world_size=2, device="cpu")
    interruption.on_step_end(arguments, None, control)
    ends.append(control.should_training_stop)
print(ends, interruption.signal)
torch.distributed.destroy_process_group()
"""


def test_a_model_is_not_overwritten_by_what_learns_from_it(tmp_path):
    flags = ["--preset", "teach", "--model", f"{tmp_path}/", "--output_dir", str(tmp_path)]
    with pytest.raises(OptionError, match="would overwrite"):
        resuming.starting_point(*parse(flags))


@pytest.mark.parametrize("weights", ["model.safetensors", "model-00001-of-00002.safetensors"])
def test_a_finished_model_is_not_overwritten_when_its_checkpoints_are_gone(weights, tmp_path):
    (tmp_path / weights).write_bytes(b"weights")
    flags = ["--preset", "teach", "--output_dir", str(tmp_path)]
    with pytest.raises(OptionError, match=r"holds a model already.*choose another --output_dir"):
        resuming.starting_point(*parse(flags))
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5/trainer_state.json").write_text('{"global_step": 5}')
    assert resuming.starting_point(*parse([*flags, "--resume"])) == tmp_path / "checkpoint-5"


def test_notes_of_ones_own_are_not_overwritten_by_a_card(tmp_path):
    (tmp_path / "README.md").write_text("# Months of work")
    with pytest.raises(OptionError, match=r"holds a README.md, which the model's card would"):
        resuming.starting_point(*parse(["--preset", "quickstart", "--output_dir", str(tmp_path)]))


def test_a_run_is_resumed_with_what_it_began_with(tmp_path):
    flags = ["--preset", "quickstart", "--output_dir", str(tmp_path), "--dataset"]
    resuming.begin(*parse([*flags, "my/recordings"]), {})
    (tmp_path / "checkpoint-5").mkdir()
    (tmp_path / "checkpoint-5/trainer_state.json").write_text('{"global_step": 5}')
    again = parse([*flags, "my/recordings", "--resume", "--num_train_epochs", "9"])
    assert resuming.starting_point(*again) == tmp_path / "checkpoint-5"
    with pytest.raises(OptionError, match=r"began with --dataset my/recordings, not sample"):
        resuming.starting_point(*parse([*flags, "sample", "--resume"]))
    others = "--test_size 9,--seed 7,--language_model none,--eval_split test,--freeze base,"
    others += (
        "--learning_rate 1e-5,--optim adafactor,--batch_seconds 8,--metric_for_best_model loss,"
        "--longest 9,--data_seed 3,--adam_beta2 0.5"
    )
    for other in others.split(","):
        # Else what was learnt from would be measured on, the language model be lost, the
        # optimizer's state be of other weights or win, or steps and losses mean something else.
        changed = [*flags, "my/recordings", "--resume", *other.split()]
        with pytest.raises(OptionError, match=f"began with {other.split()[0]} "):
            resuming.starting_point(*parse(changed))


def test_the_best_checkpoint_is_found_where_the_folder_is_now(tmp_path):
    flags = parse(["--preset", "quickstart", "--output_dir", str(tmp_path), "--resume"])
    for step in (4, 5):
        (tmp_path / f"checkpoint-{step}").mkdir()
    path = tmp_path / "checkpoint-5/trainer_state.json"
    path.write_text('{"global_step": 5, "best_model_checkpoint": "elsewhere/checkpoint-4"}')
    resuming.starting_point(*flags)
    assert json.loads(path.read_text())["best_model_checkpoint"] == str(tmp_path / "checkpoint-4")


def test_what_a_power_cut_left_empty_is_passed_over(tmp_path):
    for step, empty in ((4, ""), (5, "optimizer.pt"), (6, "model.safetensors")):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}")
        if empty:
            (folder / empty).touch()
    assert resuming.last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"


def test_the_newest_checkpoint_is_the_one_of_the_most_steps(tmp_path):
    for step in (900, 1000):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}/trainer_state.json").write_text("{}")
    assert resuming.last_checkpoint(tmp_path) == tmp_path / "checkpoint-1000"


def test_weights_alone_are_not_resumed(tmp_path):
    (tmp_path / "checkpoint-4").mkdir()
    (tmp_path / "checkpoint-4/trainer_state.json").write_text("{}")
    save_file({"a": torch.zeros(1)}, tmp_path / "checkpoint-4/model.safetensors")
    flags = ["--preset", "quickstart", "--output_dir", str(tmp_path), "--resume"]
    with pytest.raises(OptionError, match="holds the weights only"):
        resuming.starting_point(*parse(flags))


def test_a_run_is_resumed_with_the_rows_and_letters_it_began_with(tmp_path):
    rows = data.load("sample", split="train[:4]")
    processor = AutoProcessor.from_pretrained(models.EMBEDDED_FOLDER)
    frames = Frames(((400, 320),))
    said = ["corrected", *rows["transcription"][1:]]
    corrected = rows.remove_columns("transcription").add_column("transcription", said)
    four, three, turned, corrected = (
        preparation.prepare(some, processor, frames)
        for some in (rows, rows.select([0, 1, 2]), rows.select([1, 0, 2, 3]), corrected)
    )
    limits = preparation.Limits(longest=4.0)  # leaves rows out, but the data is the same
    again = preparation.prepare(rows, processor, frames, limits)
    begun = resuming.material(four, three, processor)
    resuming.begin(*parse(["--preset", "quickstart", "--output_dir", str(tmp_path)]), begun)
    resuming.check_material(tmp_path, resuming.material(again, three, processor))

    for learnt, heard, said in (
        (three, three, r"data to learn from \(4 rows, now 3\): put the data back"),
        (turned, three, r"data to learn from \(4 rows as now, but other names, transcripts"),
        (corrected, three, r"data to learn from \(4 rows as now, but other names, transcripts"),
        (four, four, r"data to measure on \(3 rows, now 4\)"),
    ):
        with pytest.raises(OptionError, match=said):
            resuming.check_material(tmp_path, resuming.material(learnt, heard, processor))
    # As many letters, but other ones: their weights would be loaded without a word.
    options, _ = parse(["--vocabulary", "data", "--model", "embedded"])
    first, second = (pretrained.load_processor(options, [t])[0] for t in ("abc", "abd"))
    other = tmp_path / "letters"
    flags = ["--preset", "quickstart", "--output_dir", str(other)]
    resuming.begin(*parse(flags), resuming.material(four, three, first))
    with pytest.raises(OptionError, match=r"to spell with \(\d+ tokens as now, but other"):
        resuming.check_material(other, resuming.material(four, three, second))


def test_a_run_that_wrote_no_rows_down_is_resumed(tmp_path, caplog):
    resuming.begin(*parse(["--preset", "quickstart", "--output_dir", str(tmp_path)]), {})
    state = {"rows": 1, "checksum": 2}
    now = {"train_rows": state, "test_rows": state, "spelling": {"tokens": 1, "checksum": 2}}
    resuming.check_material(tmp_path, now)
    assert not caplog.text
    (tmp_path / resuming.BEGUN).write_text("{")  # or whose disk was full
    resuming.check_material(tmp_path, now)
    assert "begun.json is damaged" in caplog.text


def test_ctrl_c_ends_a_run_with_what_it_has_learnt_and_once_more_at_once():
    interruption, before = Interruption(), signal.getsignal(signal.SIGINT)
    control = SimpleNamespace(should_save=False, should_training_stop=False)
    interruption.on_train_begin(None, None, None)
    try:
        interruption.on_step_end(SimpleNamespace(world_size=1), None, control)
        assert not control.should_training_stop
        signal.raise_signal(signal.SIGINT)
        interruption.on_step_end(SimpleNamespace(world_size=1), None, control)
        assert control.should_save and control.should_training_stop
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        interruption.on_train_end(None, None, None)
    assert signal.getsignal(signal.SIGINT) is before


def test_in_a_thread_who_runs_us_says_when_to_stop():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(Interruption().on_train_begin, None, None, None).result()


@pytest.mark.slow
def test_a_signal_to_one_process_of_several_stops_all_at_the_same_step(tmp_path):
    command = [sys.executable, "-c", STOPPED]
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert said == ["[False, True, True] 15"] * 2
