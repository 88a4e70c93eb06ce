"""Fine-tuning with CTC: batches, Trainer, and the comparison at the end."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch.utils.data import DataLoader, Sampler
from transformers import (
    EvalPrediction,
    PreTrainedModel,
    PrinterCallback,
    ProcessorMixin,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from asr_core import augmentation, metrics, models, pictures, preparation, pretrained, text
from asr_core.collator import IGNORED, DataCollatorCTCWithPadding
from asr_core.errors import ModelError, OptionError, first_line
from asr_core.evaluation import Evaluation, evaluate
from asr_core.files import share_weights
from asr_core.flags import Options
from asr_core.resuming import last_checkpoint
from asr_core.watch import Diary, Interruption, Patience, Watch, diverged

UNSPELT = "\ufffd"  # a character of a transcript that has no token, where it is measured

log = logging.getLogger(__name__)


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
    `watch` adds to what is logged how fast it goes.
    """

    def __init__(
        self,
        *,
        train_collator: DataCollatorCTCWithPadding,
        watch: Watch,
        batch_samples: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        # Else the Trainer takes it that the model divides the loss by what an optimizer's step sees
        # in all, which CTC models do not, and adds up the losses of `gradient_accumulation_steps`.
        self.model_accepts_loss_kwargs = False
        self.train_collator = train_collator
        self.batch_samples = batch_samples
        self.batches: DurationBatches | None = None
        self.done = 0  # steps of the checkpoint that it goes on from
        self.watch = watch
        self.add_callback(watch)

    def set_initial_training_values(self, args: TrainingArguments, dataloader: DataLoader) -> tuple:
        """No epoch where all steps are done: the Trainer would take one more to see that.

        It finds the weights that were best, all the same.
        """
        epochs, *rest, steps = super().set_initial_training_values(args, dataloader)
        if self.done and self.done >= steps:
            log.info(
                "%s is finished already: raise --num_train_epochs or --max_steps to go on.",
                args.output_dir,
            )
            epochs = 0
        return epochs, *rest, steps

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs |= self.watch.pace(self.state)
        super().log(logs, start_time)

    def prediction_step(self, model, inputs, *args, **options) -> tuple:
        """The loss, the best column of each frame, `IGNORED` in padding, and the labels.

        What a model makes of padding is noise, and spells letters behind the last word. A model
        that wants no mask is given none.
        """
        mask = inputs.get("attention_mask")
        if not self.processing_class.feature_extractor.return_attention_mask:
            inputs = {name: value for name, value in inputs.items() if name != "attention_mask"}
        loss, logits, labels = super().prediction_step(model, inputs, *args, **options)
        if logits is None:
            return loss, logits, labels
        best = most_probable(logits)
        if mask is not None:
            counts = frames(self.model, mask.sum(dim=-1)).to(best.device)
            heard = torch.arange(best.shape[1], device=best.device) < counts[:, None]
            best = best.masked_fill(~heard, IGNORED)
        return loss, best, labels

    def get_train_dataloader(self) -> DataLoader:
        if not self.batch_samples:
            plain = self.data_collator
            self.data_collator = self.train_collator
            try:
                return super().get_train_dataloader()
            finally:
                self.data_collator = plain
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        self.batches = DurationBatches(self.train_dataset["length"][:], self.batch_samples, seed)
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=self.batches,
            collate_fn=self.train_collator,
            num_workers=self.args.dataloader_num_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            pin_memory=self.args.dataloader_pin_memory,
        )
        return self.accelerator.prepare(loader)


class Epoch(TrainerCallback):
    """Tells a trainer's `features` and batches which epoch it is, for what is drawn anew in each.

    The Trainer tells batches itself, but not where several processes share them and the first are
    skipped to resume: there they lie one sampler deeper (`_run_epoch` in its `trainer.py`).
    """

    def __init__(self, trainer: CTCTrainer, features: preparation.Features) -> None:
        self.trainer, self.features = trainer, features

    def on_epoch_begin(self, args, state, control, **_):
        self.features.epoch = int(state.epoch)
        if self.trainer.batches:
            self.trainer.batches.set_epoch(int(state.epoch))


def make_trainer(
    options: Options,
    arguments: TrainingArguments,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    train: Any,
    test: Any,
    fresh: bool = False,
) -> CTCTrainer:
    """The guide's Trainer on prepared rows (`preparation.prepare`); `fresh` tells of the head."""
    models.allowed_cores()  # no more threads than these
    rate = int(processor.feature_extractor.sampling_rate)
    augment = augmentation.of(options.augment, rate)
    features = preparation.Features(processor, augment, arguments.seed)
    precision = torch.bfloat16 if arguments.bf16 else torch.float32
    if attention := models.Hardware(arguments.device.type, precision).attention:
        model.set_attn_implementation(attention)
    trainer = CTCTrainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=test,
        data_collator=DataCollatorCTCWithPadding(
            processor, preparation.Features(processor), masked=True
        ),
        train_collator=DataCollatorCTCWithPadding(processor, features),
        watch=Watch(sum(train["length"][:]) / rate, fresh),
        batch_samples=options.batch_seconds * rate,
        processing_class=processor,
        compute_metrics=Measure(processor),
        callbacks=[Diary(), Interruption()],
    )
    trainer.add_callback(Epoch(trainer, features))
    # One line of our own at each log instead of a dictionary.
    trainer.remove_callback(PrinterCallback)
    if options.patience:
        trainer.add_callback(Patience(options.patience))
    return trainer


def most_probable(logits: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Only the best column of each frame is kept of an evaluation, not all its logits.

    For a large set those would not fit into memory (transformers #11058).
    """
    if isinstance(logits, tuple):
        logits = logits[0]
    return logits.argmax(dim=-1)


def frames(model: PreTrainedModel, counts: torch.Tensor) -> torch.Tensor:
    """How many frames `model` makes of each of `counts`, samples or frames of mel bins, as its own
    loss counts them. Raises ModelError when it does not tell."""
    for name in ("_get_feat_extract_output_lengths", "_get_subsampling_output_length"):
        if hasattr(model, name):
            return getattr(model, name)(counts)
    raise ModelError(f"{type(model).__name__} does not tell how many frames it makes.")


@dataclass(frozen=True)
class Measure:
    """WER, CER, and the signs of collapse: shares of blank frames and of empty hypotheses."""

    processor: Any

    def __call__(self, prediction: EvalPrediction) -> dict[str, float]:
        tokenizer = self.processor.tokenizer
        blank = tokenizer.pad_token_id
        # The Trainer joins batches of different lengths with -100, which must not spell anything.
        # Nor does <unk>, which nobody will read: else it would be right where it is the label.
        nothing = [id for id in (IGNORED, tokenizer.unk_token_id) if id is not None]
        ids = np.where(np.isin(prediction.predictions, nothing), blank, prediction.predictions)
        labels = np.where(prediction.label_ids == IGNORED, blank, prediction.label_ids)
        # A Korean model may spell jamo: what is compared is what people will read.
        hypotheses = [text.compose(h) for h in tokenizer.batch_decode(ids)]
        references = tokenizer.batch_decode(labels, group_tokens=False)
        if unknown := tokenizer.unk_token:  # one character each, as in a transcript
            references = [r.replace(unknown, UNSPELT) for r in references]
        references = [text.compose(r) for r in references]
        return {
            "wer": metrics.wer(hypotheses, references),
            "cer": metrics.cer(hypotheses, references),
            "blank_frames": float((ids == blank)[prediction.predictions != IGNORED].mean()),
            "empty_hypotheses": float(np.mean([not h.strip() for h in hypotheses])),
        }


def run(trainer: CTCTrainer, checkpoint: Path | None) -> None:
    """Train, from `checkpoint` if there is one.

    Raises ModelError when a disk or a GPU's memory is too small, or the training diverges;
    OptionError where flags ask for an optimizer or a schedule that cannot be had.
    """
    try:
        trainer.create_optimizer_and_scheduler(num_training_steps=1)
    except (ImportError, TypeError, ValueError) as error:
        chosen = (trainer.args.optim, trainer.args.lr_scheduler_type)
        optimizer, schedule = (getattr(name, "value", name) for name in chosen)  # an enumeration's
        raise OptionError(
            f"--optim {optimizer} with --lr_scheduler_type {schedule} cannot be had: "
            f"{first_line(error)}"
        ) from error
    trainer.optimizer = trainer.lr_scheduler = None  # the real ones are made for all steps
    if checkpoint:
        trainer.done = json.loads((checkpoint / "trainer_state.json").read_text())["global_step"]
    with _writing(Path(trainer.args.output_dir), "Training stopped"):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    # What was never evaluated may have diverged without a word.
    if not all(torch.isfinite(each).all() for each in pretrained.head(trainer.model).parameters()):
        raise diverged(trainer.state.global_step, trainer.args.learning_rate)


@contextmanager
def _writing(folder: Path, what: str) -> Iterator[None]:
    """Raises ModelError in the place of what libraries say of a disk or a memory that is full."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{what} because the GPU's memory is too small: add --activation_checkpointing true, "
            "or lower --batch_seconds or --longest, with another --output_dir."
        ) from error
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch and safetensors have their own words for a full disk.
        if not re.search(r"No space|File too large|disk|writing file|Errno", str(error)):
            raise
        again = "run the same command with --resume"
        if not last_checkpoint(folder):  # and what is half written would be in the way
            again = "start again with another --output_dir"
        raise ModelError(
            f"{what} because {folder} cannot be written ({first_line(error)}): "
            f"make room and {again}."
        ) from error


def interrupted(trainer: CTCTrainer) -> bool:
    """Whether Ctrl-C or SIGTERM ended the training early."""
    callbacks = trainer.callback_handler.callbacks
    return any(c.signal is not None for c in callbacks if isinstance(c, Interruption))


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


def save(trainer: CTCTrainer, options: Options) -> None:
    """Model and processor in the output folder, with the configuration and the course of it.

    Raises ModelError when the disk is full.
    """
    folder = Path(trainer.args.output_dir)
    with _writing(folder, "The model was not saved"):
        trainer.save_model()
        if trainer.args.should_save:
            share_weights(folder)
        trainer.accelerator.wait_for_everyone()  # with `torchrun`, before anybody reads it
        trainer.processing_class.save_pretrained(folder)
        record = {**asdict(options), **trainer.args.to_sanitized_dict()}
        history = trainer.state.log_history
        _write(folder / "training.json", {"configuration": record, "history": history})
        pictures.draw_training(history, folder / "training.png")


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, default=str), "utf-8")
