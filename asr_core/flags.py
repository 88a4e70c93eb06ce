"""The options of `train.py`: a preset, a precision for this machine, and the command line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from asr_core import augmentation, data, models, text
from asr_core.errors import OptionError, first_line
from asr_core.presets import PRESETS

if TYPE_CHECKING:
    from transformers import TrainingArguments

FREEZE = ("none", "feature_encoder", "base")
VOCABULARY = ("auto", "model", "data")
CHOICES = {
    "preset": tuple(PRESETS),
    "freeze": FREEZE,
    "vocabulary": VOCABULARY,
    "case": text.CASES,
    "punctuation": text.PUNCTUATION,
    "hangul": text.HANGUL,
}
# Flags that the guide and older programs have, in today's names.
RENAMED = {
    "warmup_ratio": "--warmup_steps with a share, as in 0.1",
    "group_by_length": "--train_sampling_strategy group_by_length",
    "evaluation_strategy": "--eval_strategy",
}
# Flags of the Trainer that have no place here, and why.
REFUSED = {
    "resume_from_checkpoint": "use --resume, which goes on from the last checkpoint",
    "label_smoothing_factor": "CTC has no labels of frames to smooth",
    **dict.fromkeys(
        "neftune_noise_alpha use_cache use_liger_kernel".split(), "it is for models that read text"
    ),
    **dict.fromkeys("fp16_full_eval bf16_full_eval".split(), "a model is measured as it learns"),
    "fsdp": "these models fit on one GPU, and `torchrun` shares recordings out among several",
    "length_column_name": "recordings are measured here",
    "do_predict": "use `python -m asr_core evaluate`",
    "prediction_loss_only": "WER and CER choose the best checkpoint",
    "batch_eval_metrics": "WER and CER are of all utterances together",
    "dataloader_drop_last": "rows would be left out that nobody hears of",
    "dataloader_persistent_workers": "recordings would be changed in every epoch as in the first",
    "greater_is_better": "of all that is measured, less is better",
}
MEASURED = ("wer", "cer", "loss", "blank_frames", "empty_hypotheses")  # at each evaluation
# The least and the most that a number may be: beyond it libraries fail late, in their own words, or
# say nothing and learn nothing.
LIMITS = {
    **dict.fromkeys(
        """per_device_train_batch_size per_device_eval_batch_size gradient_accumulation_steps
        eval_accumulation_steps num_proc dataloader_prefetch_factor save_total_limit""".split(),
        (1, math.inf),
    ),
    **dict.fromkeys(
        """batch_seconds shortest longest patience dataloader_num_workers learning_rate warmup_steps
        weight_decay adam_epsilon max_grad_norm num_train_epochs logging_steps eval_steps eval_delay
        save_steps""".split(),
        (0, math.inf),
    ),
    "max_steps": (-1, math.inf),  # which is as many as the epochs have
    **dict.fromkeys("dropout mask_time_prob".split(), (0, 1)),
    **dict.fromkeys("adam_beta1 adam_beta2".split(), (0, 0.99999)),
    **dict.fromkeys("seed data_seed".split(), (0, 2**32 - 1)),
}


@dataclass
class Options:
    """What `train.py` takes beside every flag of TrainingArguments."""

    preset: str = field(default="recommended", metadata={"help": f"one of {', '.join(PRESETS)}"})
    model: str = field(
        default=models.EMBEDDED, metadata={"help": "'embedded', a directory or an id of the Hub"}
    )
    dataset: str = field(
        default=data.SAMPLE,
        metadata={"help": "id of the Hub, folder, .csv, .tsv, .jsonl, .parquet, or 'sample'"},
    )
    dataset_config: str | None = field(default=None, metadata={"help": "as in 'en-US'"})
    train_split: str = field(default="train", metadata={"help": "as in 'train[:100]'"})
    eval_split: str | None = field(
        default=None,
        metadata={"help": "to measure on; else one beside 'train', or `test_size` is cut off"},
    )
    test_size: float = field(
        default=0.2,
        metadata={"help": "share (or number) of rows to cut off, of whole speakers if it can be"},
    )
    audio_column: str | None = field(default=None, metadata={"help": "column of recordings"})
    text_column: str | None = field(default=None, metadata={"help": "column of transcripts"})
    speaker_column: str | None = field(
        default=None, metadata={"help": "column of who speaks, to hold out whole speakers"}
    )
    shortest: float = field(default=0.1, metadata={"help": "seconds; shorter rows are left out"})
    longest: float = field(default=20.0, metadata={"help": "seconds; longer rows are left out"})
    vocabulary: str = field(
        default="auto",
        metadata={"help": "characters of the 'model' or of the 'data'; 'auto': the model's if any"},
    )
    case: str = field(
        default="lower", metadata={"help": f"new vocabulary: {', '.join(text.CASES)}"}
    )
    punctuation: str = field(
        default="remove", metadata={"help": f"new vocabulary: {', '.join(text.PUNCTUATION)}"}
    )
    hangul: str = field(
        default="syllables", metadata={"help": f"new vocabulary: {', '.join(text.HANGUL)}"}
    )
    freeze: str = field(
        default="none", metadata={"help": f"what does not learn: {', '.join(FREEZE)}"}
    )
    dropout: float | None = field(
        default=None, metadata={"help": "share of activations to drop; default: as the model says"}
    )
    mask_time_prob: float = field(default=0.05, metadata={"help": "SpecAugment over time"})
    augment: str = field(
        default="none",
        metadata={"help": f"'all' or some of {','.join(augmentation.KINDS)}, with commas"},
    )
    batch_seconds: float = field(
        default=0.0,
        metadata={"help": "audio per batch; 0: per_device_train_batch_size clips instead"},
    )
    num_proc: int | None = field(default=None, metadata={"help": "processes to prepare data with"})
    patience: int = field(
        default=0,
        metadata={
            "help": "evaluations without a better metric_for_best_model before stopping; 0: never"
        },
    )
    resume: bool = field(default=False, metadata={"help": "go on from the last checkpoint"})
    dry_run: bool = field(default=False, metadata={"help": "report on the data and stop"})
    language_model: str = field(
        default="auto",
        metadata={
            "help": "to save with the model: a directory, 'build' from the transcripts, 'none', or "
            "'auto', that of the model it starts from while its characters stay"
        },
    )
    text: list[str] = field(
        default_factory=list, metadata={"help": "more text files for `--language_model build`"}
    )
    push_to_hub: bool = field(default=False, init=False)  # the flag is TrainingArguments' own


def parse(argv: Sequence[str]) -> tuple[Options, TrainingArguments]:
    """The preset's flags, then a precision for this machine, then the command line's flags.

    Raises OptionError when a value is wrong or two contradict each other.
    """
    # A misspelt value is told at once: transformers and torch take seconds to import.
    for name, choices in CHOICES.items():
        if (value := _given(argv, name, choices[0])) not in choices:
            raise OptionError(f"--{name} {value} is not one of {', '.join(choices)}.")
    augmentation.of(_given(argv, "augment", "none"), 16_000)
    from transformers import HfArgumentParser, TrainingArguments

    class Parser(HfArgumentParser):
        def error(self, message: str) -> NoReturn:
            """One sentence instead of the usage, which is 200 lines long."""
            raise OptionError(f"{message}: see `python train.py --help`.")

    preset = _given(argv, "preset", "recommended")
    parser = Parser(
        [Options, TrainingArguments],
        prog="train.py",
        usage="train.py [--preset PRESET] [--dataset DATASET] [--FLAG VALUE ...]",
        description="Fine-tune a CTC model and save it where the app can take it. The defaults "
        f"below are those of `--preset {preset}` on this machine. Flags after --text are "
        "transformers' own (TrainingArguments).",
        allow_abbrev=False,
    )
    values = {**_preset(argv, preset), **_machine(argv), "output_dir": "model", "report_to": "none"}
    parser.set_defaults(**{name: str(value) for name, value in values.items()})  # as if typed
    try:
        options, arguments, rest = parser.parse_args_into_dataclasses(
            argv, return_remaining_strings=True
        )
    except (ValueError, ImportError) as error:
        if "save and eval strategy to match" in str(error):
            raise OptionError(
                "--eval_strategy and --save_strategy must be the same, as the best checkpoint is "
                "kept: give both, and --save_steps a multiple of --eval_steps."
            ) from error
        raise OptionError(first_line(error)) from error
    if rest:
        now = RENAMED.get(_name(rest[0]))
        instead = f"use {now}" if now else "see `python train.py --help`"
        raise OptionError(f"There is no option {rest[0]}: {instead}.")
    options.preset = preset
    _check_limits(options, arguments)
    _check_sense(options, arguments, argv)
    # The Trainer would push checkpoints at every save; train.py pushes the model once, at the end.
    options.push_to_hub, arguments.push_to_hub = arguments.push_to_hub, False
    # The collator reads the recordings itself, so the Trainer must not take their column away.
    arguments.remove_unused_columns = False
    arguments.label_names = ["labels"]
    arguments.disable_tqdm = True  # `Watch` says the same and stays readable in a file
    return options, arguments


def _check_limits(options: Options, arguments: TrainingArguments) -> None:
    """Raises OptionError where a number is beyond its limits, or is none."""
    for name, (least, most) in LIMITS.items():
        value = getattr(options if hasattr(options, name) else arguments, name)
        if value is not None and not least <= value <= most:
            wanted = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
            raise OptionError(f"--{name} {value:.12g}: it must be a number {wanted}.")


def _check_sense(options: Options, arguments: TrainingArguments, argv: Sequence[str]) -> None:
    """Raises OptionError where a flag has no sense for CTC, or none beside another."""
    from transformers import TrainingArguments
    from transformers.integrations import get_available_reporting_integrations

    for name, why in REFUSED.items():
        usual = TrainingArguments.__dataclass_fields__[name].default
        value = getattr(arguments, name)
        if value not in (usual, None) and value is not False:
            raise OptionError(f"--{name} has no place here: {why}.")
    if not arguments.eval_do_concat_batches:
        raise OptionError("--eval_do_concat_batches has no place here: WER and CER are of all.")
    if arguments.accelerator_config.split_batches:
        raise OptionError("--accelerator_config split_batches has no place here: leave it out.")
    if options.punctuation == "keep" and options.language_model not in ("auto", "none"):
        raise OptionError(
            f"--language_model {options.language_model} knows words only, and would leave out what "
            "--punctuation keep has learnt: leave one of them out."
        )
    for name in ("num_train_epochs", "max_steps"):
        if getattr(arguments, name) == 0:
            raise OptionError(f"--{name} 0 teaches nothing: use --dry_run to look at the data.")
    if _given(argv, "num_train_epochs", "") and arguments.max_steps > 0:
        raise OptionError(
            f"--max_steps {arguments.max_steps} would win over --num_train_epochs: leave one out."
        )
    for name in ("hub_model_id", "hub_private_repo"):
        if getattr(arguments, name) and not arguments.push_to_hub:
            raise OptionError(f"--{name} is for --push_to_hub: add that, or leave it out.")
    if arguments.auto_find_batch_size and options.batch_seconds:
        raise OptionError("--auto_find_batch_size counts clips: add --batch_seconds 0.")
    if _given(argv, "fp16", "") and arguments.fp16 and arguments.device.type == "cpu":
        raise OptionError("--fp16 is for a GPU: leave it out, and this machine's best is taken.")
    best = arguments.metric_for_best_model
    if best is not None and best.removeprefix("eval_") not in MEASURED:
        raise OptionError(f"--metric_for_best_model {best} is not one of {', '.join(MEASURED)}.")
    if options.text and options.language_model != "build":
        raise OptionError("--text is for `--language_model build`: add that, or leave --text out.")
    for path in options.text:  # they are read only when the data is ready
        if not Path(path).is_file():
            raise OptionError(f"--text {path} is not a file: give one or more text files.")
    if not options.test_size > 0:  # nan is not
        raise OptionError(f"--test_size {options.test_size:g}: a part of the rows must be left.")
    evaluated = arguments.eval_strategy != "no"
    if options.patience and not (evaluated and arguments.load_best_model_at_end):
        raise OptionError(
            "--patience needs evaluations and --load_best_model_at_end, to know which was best: "
            "add --patience 0 to do without."
        )
    for name, harmless in (
        ("per_device_train_batch_size", ""),
        ("train_sampling_strategy", "group_by_length"),  # as batches by duration are
    ):
        if options.batch_seconds and _given(argv, name, harmless) != harmless:
            raise OptionError(
                f"--{name} is for batches of so many clips, but they are of --batch_seconds "
                f"{options.batch_seconds:g}: change that instead, or set it to 0."
            )
    for name in arguments.report_to:
        if name not in get_available_reporting_integrations():
            raise OptionError(f"--report_to {name} needs that package: `pip install {name}` first.")


def _name(word: str) -> str:
    """The name of a flag, which argparse takes with dashes as well; "" of anything else."""
    return word[2:].split("=", 1)[0].replace("-", "_") if word.startswith("--") else ""


def _given(argv: Sequence[str], name: str, default: str) -> str:
    """The value of a flag on the command line, the last one if it is there twice."""
    value = default
    for i, flag in enumerate(argv):
        if _name(flag) == name:
            if "=" in flag:
                value = flag.split("=", 1)[1]
            elif i + 1 < len(argv):
                value = argv[i + 1]
    return value


def _preset(argv: Sequence[str], name: str) -> dict[str, Any]:
    """The values of a preset; a configuration and a part go with its own dataset and no other.

    Its `max_steps` would win over epochs that are asked for.
    """
    values = PRESETS[name]
    other = _given(argv, "dataset", values["dataset"]) != values["dataset"]
    lost = {"dataset_config", "train_split"} if other else set()
    if _given(argv, "num_train_epochs", ""):
        lost.add("max_steps")
    return {key: value for key, value in values.items() if key not in lost}


def _machine(argv: Sequence[str]) -> dict[str, Any]:
    """What suits this machine: half precision where it is fast, and no waiting for recordings.

    The guide's fp16 does nothing without a GPU. A GPU learns from minutes of sound in a second,
    which several processes have to read; a CPU waits for none where one reads ahead.
    """
    import multiprocessing

    import torch

    workers = min(8, models.allowed_cores()) if torch.cuda.is_available() else 1
    try:
        multiprocessing.Lock()
    except (OSError, ImportError):  # as where /dev/shm is missing: no process can be waited for
        workers = 0
    values = {"dataloader_num_workers": workers}
    asked = {_name(flag) for flag in argv}
    if asked & {"bf16", "fp16", "use_cpu"}:
        gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
        # Without it, transformers takes bfloat16 for something of a GPU's.
        return values if gpu or "use_cpu" in asked else {**values, "use_cpu": True}
    if torch.cuda.is_available():
        return {**values, "bf16" if torch.cuda.is_bf16_supported() else "fp16": True}
    if torch.backends.mps.is_available():
        return values
    return {**values, "use_cpu": True, "bf16": models.fast_bfloat16()}


def resolved(options: Options, arguments: TrainingArguments) -> str:
    """Every value that the preset names, as it is now that the flags have been heard."""
    values = {**asdict(options), **arguments.to_dict()}
    return "  ".join(f"{name} {values[name]}" for name in PRESETS[options.preset])


def device_line(arguments: TrainingArguments) -> str:
    """Where and how precisely the training runs, in words."""
    precision = "bfloat16" if arguments.bf16 else "float16" if arguments.fp16 else "float32"
    note = ""
    if arguments.device.type == "cpu":
        note = "; no GPU was found, so this will take a while" if not arguments.use_cpu else ""
        note = note or "; no GPU is used"
    return f"training on {arguments.device} in {precision}{note}"
