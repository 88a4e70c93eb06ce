"""Fine-tuning with CTC: options, model, Trainer, and what keeps watch while it runs."""

from __future__ import annotations

import json
import logging
import re
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader, Sampler
from transformers import (
    AutoConfig,
    AutoModelForCTC,
    AutoProcessor,
    EarlyStoppingCallback,
    EvalPrediction,
    HfArgumentParser,
    PreTrainedModel,
    PrinterCallback,
    ProcessorMixin,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from asr_core import augmentation, data, metrics, models, pictures, text
from asr_core.collator import IGNORED, DataCollatorCTCWithPadding
from asr_core.errors import ModelError, OptionError
from asr_core.evaluation import Evaluation, evaluate
from asr_core.presets import PRESETS

log = logging.getLogger(__name__)

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


# --- data ---


@dataclass(frozen=True)
class Parts:
    """Rows to learn from and rows to measure on; `note` says how they were parted."""

    train: Any
    test: Any
    note: str


def load_parts(options: Options, seed: int) -> Parts:
    """The dataset's own test part where it has one, else `test_size` of the rows, by `seed`."""
    columns = data.Columns(options.audio_column, options.text_column)
    where = (options.dataset, options.dataset_config)
    train = data.load(*where, options.train_split, columns)
    split = options.eval_split
    if split is None and options.train_split == "train":
        split = data.test_split(data.splits(*where))
    if split:
        return Parts(train, data.load(*where, split, columns), f"measured on its '{split}' part")
    size = int(options.test_size) if options.test_size >= 1 else options.test_size
    try:
        parts = train.train_test_split(test_size=size, seed=seed)
    except ValueError as error:
        raise OptionError(
            f"--test_size {options.test_size:g} of {len(train)} rows leaves too few ({error})."
        ) from error
    return Parts(parts["train"], parts["test"], f"{len(parts['test'])} rows cut off to measure on")


# --- model ---


def load_processor(
    options: Options, transcripts: Sequence[str], folder: Path
) -> tuple[ProcessorMixin, bool]:
    """The model's own processor, or one with a vocabulary made from training `transcripts`.

    The second value tells whether the vocabulary is new.
    """
    where = models.locate(options.model)
    if options.vocabulary != "data":
        try:
            processor = AutoProcessor.from_pretrained(where)
        except (OSError, ValueError, TypeError) as error:
            if options.vocabulary == "model":
                raise ModelError(f"'{options.model}' has no tokenizer: {error}") from error
            log.info("%s has no tokenizer: the vocabulary is made from the data", options.model)
        else:
            if getattr(processor, "tokenizer", None) is not None:
                return processor, False
    return new_processor(options, transcripts, where, folder), True


def new_processor(
    options: Options, transcripts: Sequence[str], where: str, folder: Path
) -> ProcessorMixin:
    """The model's feature extractor beside a tokenizer of the characters of `transcripts`."""
    from transformers import (
        AutoFeatureExtractor,
        Wav2Vec2BertProcessor,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2Processor,
    )

    spelling = text.Spelling(options.case, options.punctuation, options.hangul)
    tokens = text.vocabulary(text.normalize(t or "", spelling) for t in transcripts)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vocab.json"
    path.write_text(json.dumps(tokens, ensure_ascii=False, indent=0), encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer(str(path))
    extractor = AutoFeatureExtractor.from_pretrained(where)
    if extractor.model_input_names[0] == "input_features":
        return Wav2Vec2BertProcessor(extractor, tokenizer)
    return Wav2Vec2Processor(extractor, tokenizer)


def load_model(
    options: Options, processor: ProcessorMixin, new_vocabulary: bool = False
) -> tuple[PreTrainedModel, bool]:
    """A model with a CTC head of the processor's size; True when the head is fresh.

    A head that was trained for other characters starts anew, even if it has as many.
    """
    models.load_config(options.model)  # for its clear errors
    where = models.locate(options.model)
    config = AutoConfig.from_pretrained(where)
    size = len(processor.tokenizer)
    trained = any(str(made).endswith("CTC") for made in config.architectures or [])
    fresh = new_vocabulary or not trained or size != config.vocab_size
    config.vocab_size = size
    config.pad_token_id = processor.tokenizer.pad_token_id
    # The sum would grow with the batch; an infinite loss (more characters than frames) would
    # spoil the weights for good.
    config.ctc_loss_reduction = "mean"
    config.ctc_zero_infinity = True
    if hasattr(config, "layerdrop"):
        config.layerdrop = 0.0
    if hasattr(config, "mask_time_prob"):
        config.mask_time_prob = options.mask_time_prob
        config.apply_spec_augment = True
    try:
        model = AutoModelForCTC.from_pretrained(
            where,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            use_safetensors=True,
        )
    except (OSError, ValueError) as error:
        raise ModelError(
            f"'{options.model}' cannot be loaded: {str(error).splitlines()[0]}"
        ) from error
    if fresh:
        head = getattr(model, "lm_head", None) or model.ctc_head
        model._init_weights(head)
    _freeze(model, options.freeze)
    return model, fresh


def _freeze(model: PreTrainedModel, what: str) -> None:
    if what == "none":
        return
    names = {
        "feature_encoder": ("freeze_feature_encoder", "freeze_feature_extractor"),
        "base": ("freeze_base_model",),
    }[what]
    freeze = next((getattr(model, name) for name in names if hasattr(model, name)), None)
    if freeze is None:
        log.info("%s has no %s to freeze: all of it learns", type(model).__name__, what)
    else:
        freeze()


@dataclass(frozen=True)
class Frames:
    """How many frames a model makes of a number of samples.

    `layers` are (kernel, stride) of the convolutions over the waveform; models that take mel
    features have none, and a frame every `hop` samples.
    """

    layers: tuple[tuple[int, int], ...]
    hop: int

    @classmethod
    def of(cls, model: PreTrainedModel, processor: ProcessorMixin) -> Frames:
        config, extractor = model.config, processor.feature_extractor
        if model.main_input_name == "input_values":
            return cls(tuple(zip(config.conv_kernel, config.conv_stride, strict=True)), 1)
        encoder = getattr(config, "encoder_config", None)
        hop = getattr(extractor, "hop_length", 160) * getattr(extractor, "stride", 1)
        return cls((), hop * getattr(encoder, "subsampling_factor", 1))

    def __call__(self, samples: int) -> int:
        for kernel, stride in self.layers:
            samples = max(0, (samples - kernel) // stride + 1)
        return samples // self.hop


# --- training ---


class DurationBatches(Sampler[list[int]]):
    """Batches of similar lengths whose padded duration stays within a budget.

    `lengths` are samples of each row, `budget` samples of a batch. Which rows share a batch is
    fixed; the order of the batches is drawn anew for every epoch.
    """

    def __init__(self, lengths: Sequence[int], budget: float, seed: int) -> None:
        self.seed, self.epoch = seed, 0
        self.batches: list[list[int]] = []
        batch: list[int] = []
        for index in np.argsort(np.asarray(lengths), kind="stable")[::-1].tolist():
            if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
                self.batches.append(batch)
                batch = []
            batch.append(index)
        if batch:
            self.batches.append(batch)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.batches))
        return iter([self.batches[i] for i in order])


class CTCTrainer(Trainer):
    """The Trainer, with a collator of its own for training rows and batches by duration.

    `batch_samples` is the budget of a batch; 0 leaves batches to `per_device_train_batch_size`.
    """

    def __init__(
        self,
        *,
        train_collator: DataCollatorCTCWithPadding,
        batch_samples: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.train_collator = train_collator
        self.batch_samples = batch_samples

    def get_train_dataloader(self) -> DataLoader:
        if not self.batch_samples:
            plain = self.data_collator
            self.data_collator = self.train_collator
            try:
                return super().get_train_dataloader()
            finally:
                self.data_collator = plain
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=DurationBatches(
                self.train_dataset["length"], self.batch_samples, self.args.seed
            ),
            collate_fn=self.train_collator,
            num_workers=self.args.dataloader_num_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)


def make_trainer(
    options: Options,
    arguments: TrainingArguments,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    train: Any,
    test: Any,
) -> CTCTrainer:
    """The guide's Trainer on prepared rows (`data.prepare`)."""
    rate = int(processor.feature_extractor.sampling_rate)
    augment = augmentation.of(options.augment, rate)
    trainer = CTCTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=test,
        data_collator=DataCollatorCTCWithPadding(processor, data.Features(processor)),
        train_collator=DataCollatorCTCWithPadding(processor, data.Features(processor, augment)),
        batch_samples=options.batch_seconds * rate,
        processing_class=processor,
        preprocess_logits_for_metrics=most_probable,
        compute_metrics=Measure(processor),
        callbacks=[Watch(), Interruption()],
    )
    # One line of our own at each log instead of a dictionary.
    trainer.remove_callback(PrinterCallback)
    if options.patience:
        trainer.add_callback(EarlyStoppingCallback(options.patience))
    return trainer


def most_probable(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Only the best column of each frame is kept of an evaluation, not all its logits.

    For a large set those would not fit into memory (transformers #11058).
    """
    if isinstance(logits, tuple):
        logits = logits[0]
    return logits.argmax(dim=-1)


@dataclass(frozen=True)
class Measure:
    """WER, CER, and the signs of collapse: shares of blank frames and of empty hypotheses."""

    processor: Any

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        tokenizer = self.processor.tokenizer
        blank = tokenizer.pad_token_id
        # The Trainer joins batches of different lengths with -100, which must not spell anything.
        ids = np.where(prediction.predictions == IGNORED, blank, prediction.predictions)
        labels = np.where(prediction.label_ids == IGNORED, blank, prediction.label_ids)
        hypotheses = tokenizer.batch_decode(ids)
        references = tokenizer.batch_decode(labels, group_tokens=False)
        return {
            "wer": metrics.wer(hypotheses, references),
            "cer": metrics.cer(hypotheses, references),
            "blank_frames": float((ids == blank).mean()),
            "empty_hypotheses": float(np.mean([not h.strip() for h in hypotheses])),
        }


COLLAPSED = (
    "The model says nothing yet: {empty:.0%} of the hypotheses are empty and {blank:.0%} of the "
    "frames blank after {step} steps. If this does not change soon, raise --learning_rate (now "
    "{rate:g}; 1e-4 to 3e-4 suits a fresh head), train longer, or add data: an hour or more."
)


class Watch(TrainerCallback):
    """Says how it goes, one line at a time, and when the model is stuck at blank."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self._began = (0.0, 0)

    def on_train_begin(self, args, state, control, **_):
        self._began = (time.monotonic(), state.global_step)

    def on_log(self, args, state, control, logs=None, **_):
        logs = logs or {}
        names = {"loss": "loss", "eval_loss": "loss", "eval_wer": "WER", "eval_cer": "CER"}
        said = [f"{label} {logs[name]:.3f}" for name, label in names.items() if name in logs]
        if said:
            rate = (
                f"lr {logs['learning_rate']:.1e}" if "learning_rate" in logs else "on the test part"
            )
            left = f"{self._left(state)} left"
            log.info(
                "%s", "  ".join([f"step {state.global_step}/{state.max_steps}", *said, rate, left])
            )

    def on_evaluate(self, args, state, control, metrics=None, **_):
        empty = (metrics or {}).get("eval_empty_hypotheses", 0.0)
        # Every training from a fresh head begins blank; past the warm-up it should not be.
        warm = state.global_step > args.get_warmup_steps(state.max_steps)
        if empty > 0.9 and warm:
            sentence = COLLAPSED.format(
                empty=empty,
                blank=metrics["eval_blank_frames"],
                step=state.global_step,
                rate=args.learning_rate,
            )
            self.warnings.append(sentence)
            log.warning("%s", sentence)

    def _left(self, state) -> str:
        began, step = self._began
        seconds = (time.monotonic() - began) / max(1, state.global_step - step)
        minutes, seconds = divmod(round(seconds * (state.max_steps - state.global_step)), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


class Interruption(TrainerCallback):
    """Ctrl-C and SIGTERM end the training at the next step: saved, evaluated, ready to resume."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_begin(self, args, state, control, **_):
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not in the main thread: whoever runs us decides when to stop
                return

    def on_step_end(self, args, state, control, **_):
        if self.signal is not None:
            control.should_save = True
            control.should_training_stop = True

    def on_train_end(self, args, state, control, **_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: Any) -> None:
        if self.signal is not None:  # asked twice: at once
            raise KeyboardInterrupt
        self.signal = number
        log.warning("Stopping after this step; what is learnt so far is saved.")


def starting_point(options: Options, arguments: TrainingArguments) -> Path | None:
    """The checkpoint to go on from when `--resume` is given.

    Raises OptionError when there is none, or when a fresh run would overwrite one that was cut
    short.
    """
    folder = Path(arguments.output_dir)
    if not options.resume:
        if any(folder.glob("checkpoint-*")):
            raise OptionError(
                f"{folder} holds checkpoints of an earlier run: add --resume to go on with it, or "
                "choose another --output_dir."
            )
        return None
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise OptionError(f"There is no whole checkpoint in {folder} to resume from.")
    log.info("Going on from %s", checkpoint)
    return checkpoint


def run(trainer: CTCTrainer, checkpoint: Path | None) -> None:
    """Train, from `checkpoint` if there is one. Raises ModelError when the disk is full."""
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch and safetensors have their own words for a full disk.
        if not re.search(r"No space|File too large|disk|writing file|Errno", str(error)):
            raise
        folder = trainer.args.output_dir
        raise ModelError(
            f"Training stopped because {folder} cannot be written ({str(error).splitlines()[0]}): "
            "make room and run the same command with --resume."
        ) from error


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`.

    The Trainer writes `trainer_state.json` last: a checkpoint without it, or with a broken one,
    was cut short by a crash or a full disk.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text())
        except (OSError, ValueError):
            log.warning("%s is incomplete and passed over", path)
        else:
            return path
    return None


def _step(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def interrupted(trainer: CTCTrainer) -> bool:
    """Whether Ctrl-C or SIGTERM ended the training early."""
    callbacks = trainer.callback_handler.callbacks
    return any(c.signal is not None for c in callbacks if isinstance(c, Interruption))


# --- afterwards ---


def compare(
    options: Options, fresh: bool, folder: Path, rows: Any
) -> tuple[Evaluation | None, Evaluation]:
    """The model before and after, measured by the code that transcribes.

    There is nothing before when the head was fresh: it would only spell noise.
    """
    from asr_core.recognizer import Recognizer

    def measure(model: str) -> Evaluation:
        # A language model belongs to the one or the other and would hide what was learnt.
        return evaluate(Recognizer(model, language_model="none"), rows, options.dataset)

    return None if fresh else measure(options.model), measure(str(folder))


def save(trainer: CTCTrainer, options: Options) -> Path:
    """Model and processor in the output folder, with the configuration and the course of it."""
    folder = Path(trainer.args.output_dir)
    trainer.save_model()
    trainer.processing_class.save_pretrained(folder)
    record = {**asdict(options), **trainer.args.to_sanitized_dict()}
    _write(
        folder / "training.json", {"configuration": record, "history": trainer.state.log_history}
    )
    pictures.draw_training(trainer.state.log_history, folder / "training.png")
    return folder


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, default=str), "utf-8")


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
