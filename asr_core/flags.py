"""The options of `train.py`: a preset, a precision for this machine, and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

import torch
from transformers import HfArgumentParser, TrainingArguments

from asr_core import augmentation, data, models, text
from asr_core.errors import OptionError
from asr_core.presets import PRESETS

FREEZE = ("none", "feature_encoder", "base")
VOCABULARY = ("auto", "model", "data")


@dataclass
class Options:
    """What `train.py` takes beside every flag of TrainingArguments."""

    preset: str = field(default="recommended", metadata={"help": f"one of {', '.join(PRESETS)}"})
    model: str = field(
        default=models.EMBEDDED, metadata={"help": "'embedded', a directory or an id of the Hub"}
    )
    dataset: str = field(
        default=data.SAMPLE,
        metadata={"help": "id of the Hub, folder, .csv, .jsonl, .parquet, or 'sample'"},
    )
    dataset_config: str | None = field(default=None, metadata={"help": "as in 'en-US'"})
    train_split: str = field(default="train", metadata={"help": "as in 'train[:100]'"})
    eval_split: str | None = field(
        default=None,
        metadata={"help": "to measure on; else one there is, or `test_size` is cut off"},
    )
    test_size: float = field(default=0.2, metadata={"help": "share (or number) of rows to cut off"})
    audio_column: str | None = field(default=None, metadata={"help": "column of recordings"})
    text_column: str | None = field(default=None, metadata={"help": "column of transcripts"})
    shortest: float = field(default=0.1, metadata={"help": "seconds; shorter rows are left out"})
    longest: float = field(default=20.0, metadata={"help": "seconds; longer rows are left out"})
    vocabulary: str = field(
        default="auto",
        metadata={"help": "characters of the 'model' or of the 'data'; 'auto': the model's if any"},
    )
    case: str = field(default="lower", metadata={"help": f"new vocabulary: {text.CASES}"})
    punctuation: str = field(
        default="remove", metadata={"help": f"new vocabulary: {text.PUNCTUATION}"}
    )
    hangul: str = field(default="syllables", metadata={"help": f"new vocabulary: {text.HANGUL}"})
    freeze: str = field(default="none", metadata={"help": f"what does not learn: {FREEZE}"})
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
        default=0, metadata={"help": "evaluations without a better WER before stopping; 0: never"}
    )
    resume: bool = field(default=False, metadata={"help": "go on from the last checkpoint"})
    dry_run: bool = field(default=False, metadata={"help": "report on the data and stop"})
    language_model: str = field(
        default="none",
        metadata={"help": "to save with the model: a directory, or 'build' from the transcripts"},
    )
    text: list[str] = field(
        default_factory=list, metadata={"help": "more text files for `--language_model build`"}
    )
    push_to_hub: bool = field(default=False, init=False)  # the flag is TrainingArguments' own


class _Parser(HfArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the usage, which is 200 lines long."""
        raise OptionError(f"{message}: see `python train.py --help`.")


def parse(argv: Sequence[str]) -> tuple[Options, TrainingArguments]:
    """The preset's flags, then a precision for this machine, then the command line's flags.

    Raises OptionError when a value is wrong or two contradict each other.
    """
    parser = _Parser([Options, TrainingArguments], prog="train.py", allow_abbrev=False)
    preset = _preset(argv)
    flags = _as_flags(PRESETS[preset]) + _precision(argv)
    try:
        options, arguments, rest = parser.parse_args_into_dataclasses(
            [*flags, *_as_flags({"output_dir": "model", "report_to": "none"}), *argv],
            return_remaining_strings=True,
        )
    except (ValueError, ImportError) as error:
        raise OptionError(str(error).splitlines()[0]) from error
    if rest:
        raise OptionError(f"There is no option {rest[0]}: see `python train.py --help`.")
    options.preset = preset
    for name, choices in (("freeze", FREEZE), ("vocabulary", VOCABULARY)):
        if getattr(options, name) not in choices:
            raise OptionError(
                f"--{name} {getattr(options, name)} is not one of {', '.join(choices)}."
            )
    text.Spelling(options.case, options.punctuation, options.hangul)
    augmentation.of(options.augment, 16_000)
    if options.text and options.language_model != "build":
        raise OptionError("--text is for `--language_model build`: add that, or leave --text out.")
    if options.test_size <= 0:
        raise OptionError(f"--test_size {options.test_size:g}: a part of the rows must be left.")
    if options.patience and not arguments.load_best_model_at_end:
        raise OptionError("--patience needs --load_best_model_at_end, to know which was best.")
    # The Trainer would push checkpoints at every save; train.py pushes the model once, at the end.
    options.push_to_hub, arguments.push_to_hub = arguments.push_to_hub, False
    # The collator reads the recordings itself, so the Trainer must not take their column away.
    arguments.remove_unused_columns = False
    arguments.label_names = ["labels"]
    arguments.disable_tqdm = True  # `Watch` says the same and stays readable in a file
    return options, arguments


def _preset(argv: Sequence[str]) -> str:
    name = "recommended"
    for i, flag in enumerate(argv):
        if flag == "--preset" and i + 1 < len(argv):
            name = argv[i + 1]
        elif flag.startswith("--preset="):
            name = flag.split("=", 1)[1]
    if name not in PRESETS:
        raise OptionError(f"--preset {name} is not one of {', '.join(PRESETS)}.")
    return name


def _as_flags(values: dict[str, Any]) -> list[str]:
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def _precision(argv: Sequence[str]) -> list[str]:
    """Half precision where it is fast; the guide's fp16 does nothing without a GPU."""
    if any(flag.split("=")[0] in ("--bf16", "--fp16", "--use_cpu") for flag in argv):
        return []
    if torch.cuda.is_available():
        return ["--bf16" if torch.cuda.is_bf16_supported() else "--fp16", "True"]
    if torch.backends.mps.is_available():
        return []
    return ["--use_cpu", "True", *(["--bf16", "True"] if models.fast_bfloat16() else [])]


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
