"""Flags of `train.py` and their presets: what is taken, and how a wrong one is told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from asr_core.errors import OptionError
from asr_core.flags import parse
from asr_core.presets import PRESETS


def test_the_guide_preset_has_the_guides_values():
    options, arguments = parse(["--preset", "guide"])
    assert (options.model, options.dataset) == ("facebook/wav2vec2-base", "PolyAI/minds14")
    assert options.dataset_config == "en-US"
    assert arguments.learning_rate == 1e-5
    assert arguments.max_steps == 2000
    assert arguments.warmup_steps == 500
    assert arguments.gradient_accumulation_steps == 2
    assert arguments.metric_for_best_model == "wer" and not arguments.greater_is_better
    assert str(arguments.train_sampling_strategy).endswith("group_by_length")


def test_a_configuration_of_a_presets_dataset_is_not_one_of_another():
    def configuration(*flags: str) -> str | None:
        return parse(["--preset", "recommended", *flags])[0].dataset_config

    assert configuration() == configuration("--dataset", "PolyAI/minds14") == "en-US"
    assert configuration("--dataset", "my/recordings") is None
    assert configuration("--dataset=my/recordings", "--dataset-config", "ko-KR") == "ko-KR"


def test_the_guides_first_rows_are_not_all_that_another_dataset_is_learnt_from():
    def part(*flags: str) -> str:
        return parse(["--preset", "guide", *flags])[0].train_split

    assert part() == "train[:100]"
    assert part("--dataset", "my/recordings") == "train"
    assert part("--dataset", "my/recordings", "--train_split", "train[:9]") == "train[:9]"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_parsed(name):
    options, _ = parse(["--preset", name])
    assert options.preset == name


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--preset=fast", ["--preset fast"]),
        ("--learning_rate much", ["--learning_rate", "much"]),
        ("--num_train_epochs", ["--num_train_epochs"]),
        ("nonsense", ["nonsense"]),
        ("--vocabulary mine", ["--vocabulary mine", "data"]),
        ("--hangul letters", ["--hangul letters", "jamo"]),
        ("--eval_strategy steps --eval_steps 50 --save_strategy epoch", ["strategy"]),
        (
            "--eval_strategy steps --eval_steps 50 --save_strategy steps --save_steps 75",
            ["75", "50", "multiple"],
        ),
        ("--eval_strategy sometimes", ["sometimes"]),
        ("--optim sgdd", ["sgdd"]),
        ("--lr_scheduler_type wavy", ["wavy"]),
        ("--warmup_steps -3", ["warmup_steps"]),
        ("--fp16 True --bf16 True --use_cpu True", ["fp16", "bf16"]),
        ("--preset nope", ["--preset nope is not one of recommended, guide, quickstart"]),
        ("--freeze all", ["--freeze all is not one of none, feature_encoder, base"]),
        ("--augment echo", ["--augment echo is not one of none, all, speed"]),
        ("--case Upper", ["--case Upper is not one of keep, lower, upper"]),
        ("--test_size 0", ["--test_size 0: a part of the rows must be left"]),
        (
            "--patience 3 --load_best_model_at_end False",
            ["--patience needs", "--load_best_model_at_end"],
        ),
        ("--eval_strategy no --save_strategy no", ["--patience needs evaluations", "patience 0"]),
        ("--per_device_train_batch_size 4", ["--batch_seconds 64: change that instead, or set"]),
        (
            "--language_model build --text no.txt",
            ["--text no.txt is not a file: give one or more text files."],
        ),
        ("--per-device-train-batch-size 4", ["--batch_seconds 64: change that instead, or set"]),
        ("--freeze=none --hangul=letters", ["--hangul letters is not one of syllables"]),
        ("--metric_for_best_model accuracy", ["accuracy is not one of wer, cer, loss"]),
        ("--metric-for-best-model eval_acc", ["eval_acc is not one of wer, cer, loss"]),
        ("--gradient_accumulation_steps 0", ["steps 0: it must be a number of at least 1."]),
        ("--per_device_eval_batch_size 0", ["size 0: it must be a number of at least 1."]),
        ("--num_proc -1", ["--num_proc -1: it must be a number of at least 1."]),
        ("--dataloader_num_workers -1", ["workers -1: it must be a number of at least 0."]),
        ("--save_total_limit 0", ["--save_total_limit 0: it must be a number of at least 1."]),
        ("--logging_steps -3", ["--logging_steps -3: it must be a number of at least 0."]),
        ("--max_steps -5", ["--max_steps -5: it must be a number of at least -1."]),
        ("--seed -1", ["--seed -1: it must be a number from 0 to 4294967295."]),
        ("--dropout 2", ["--dropout 2: it must be a number from 0 to 1."]),
        ("--mask_time_prob 2", ["--mask_time_prob 2: it must be a number from 0 to 1."]),
        ("--batch_seconds -1", ["--batch_seconds -1: it must be a number of at least 0."]),
        ("--batch_seconds nan", ["--batch_seconds nan: it must be a number of at least 0."]),
        ("--adam_beta2 1.5", ["--adam_beta2 1.5: it must be a number from 0 to 0.99999."]),
        ("--test_size nan", ["--test_size nan: a part of the rows must be left."]),
        ("--report_to nothing", ["--report_to nothing needs that package"]),
        ("--nonsense 1", ["There is no option --nonsense", "--help"]),
        ("--warmup_ratio 0.1", ["no option --warmup_ratio: use --warmup_steps with a share"]),
        ("--num_train_epochs 0", ["--num_train_epochs 0 teaches nothing"]),
        ("--max_steps 0", ["--max_steps 0 teaches nothing"]),
        ("--hub_model_id me/mine", ["--hub_model_id is for --push_to_hub"]),
        ("--bf16_full_eval", ["--bf16_full_eval has no place here"]),
        ("--use_liger_kernel", ["--use_liger_kernel has no place here"]),
        ("--neftune_noise_alpha 5", ["--neftune_noise_alpha has no place here"]),
        ("--neftune_noise_alpha 0", ["--neftune_noise_alpha has no place here"]),
        ("--fsdp", ["--fsdp has no place here", "torchrun"]),
        ('--accelerator_config {"split_batches":true}', ["split_batches has no place here"]),
        ("--num_train_epochs 2 --max_steps 9", ["--max_steps 9 would win over --num_train_epochs"]),
        ("--length_column_name seconds", ["--length_column_name has no place here"]),
        ("--train_sampling_strategy sequential", ["so many clips", "--batch_seconds 64: change"]),
        ("--eval_strategy no", ["--eval_strategy and --save_strategy must be the same"]),
        (
            "--resume_from_checkpoint x",
            ["--resume_from_checkpoint has no place here: use --resume"],
        ),
        ("--label_smoothing_factor 0.1", ["--label_smoothing_factor has no place here"]),
        ("--dataloader_drop_last", ["--dataloader_drop_last has no place here"]),
        ("--greater_is_better true", ["less is better"]),
        ("--dataloader_persistent_workers", ["--dataloader_persistent_workers has no place here"]),
        ("--eval_do_concat_batches False", ["--eval_do_concat_batches has no place here"]),
        (
            "--punctuation keep --language_model build",
            ["--language_model build knows words only", "--punctuation keep"],
        ),
        ("--auto_find_batch_size", ["--auto_find_batch_size counts clips"]),
    ],
)
def test_a_flag_that_cannot_be_meant_is_one_sentence(flags, expected):
    with pytest.raises(OptionError) as raised:
        parse(flags.split())
    message = str(raised.value)
    assert "\n" not in message
    for part in expected:
        assert part in message


@pytest.mark.parametrize("preset", PRESETS)
def test_help_of_training_tells_what_it_does_and_the_defaults_of_the_preset(capsys, preset):
    with pytest.raises(SystemExit):
        parse([*(["--preset", preset] if preset != "recommended" else []), "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "Fine-tune a CTC model" in told
    for name, value in PRESETS[preset].items():
        _, _, about = told.partition(f" --{name} {name.upper()}")
        shown = about or told.partition(f" --{name} ")[2]
        assert shown.partition("(default: ")[2].startswith(f"{value})"), name
    assert "WER" not in told.partition(" --patience")[2].partition(" --")[0]


def test_flags_override_the_preset_and_the_rest_stays():
    options, arguments = parse(["--preset", "guide", "--learning_rate", "3e-4"])
    assert arguments.learning_rate == 3e-4
    assert (options.train_split, arguments.max_steps) == ("train[:100]", 2000)


def test_epochs_that_are_asked_for_are_not_overruled_by_the_steps_of_a_preset():
    _, arguments = parse("--preset guide --num_train_epochs 3".split())
    assert (arguments.num_train_epochs, arguments.max_steps) == (3, -1)
    parse("--train_sampling_strategy group_by_length".split())  # as batches by duration are


def test_a_machine_without_semaphores_uses_its_cores_but_no_other_processes():
    """As a container whose /dev/shm is missing or read-only."""
    script = """
import _multiprocessing
class SemLock:
    SEM_VALUE_MAX = 1
    def __init__(self, *_, **__):
        raise OSError(38, "Function not implemented")
_multiprocessing.SemLock = SemLock
import torch
torch.set_num_threads(4)
from asr_core import flags, models
print(models.allowed_cores(), flags.parse([])[1].dataloader_num_workers)
"""
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.stdout.split() == ["2", "0"], done.stderr
