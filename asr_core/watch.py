"""What keeps watch while a model learns: progress, signs of collapse, requests to stop."""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, TrainerCallback

from asr_core.errors import ModelError

log = logging.getLogger(__name__)

DIARY = "progress.jsonl"
COLLAPSED = (
    "The model says nothing yet: {empty:.0%} of the hypotheses are empty and {blank:.0%} of the "
    "frames blank after {step} steps. If this does not change soon, {change}train longer, or add "
    "data: an hour or more."
)
CHANGE = "{change} --learning_rate (now {rate:g}; 1e-4 to 3e-4 suits a fresh head), "
RATES = (1e-4, 3e-4)  # that are neither too low nor too high

FEW = 200  # steps, in which a fresh head does not learn to write at such rates
HURRIED = (
    "Only {steps} steps will be taken, and a fresh head learns to write in hundreds: lower "
    "--batch_seconds and --gradient_accumulation_steps, or raise --num_train_epochs."
)

EMPTY = 0.9  # share of empty hypotheses from which a model is said to say nothing


class Watch(TrainerCallback):
    """Says how it goes, one line at a time, and when the model is stuck at blank.

    `audio` is what is learnt from in an epoch, in seconds; a `fresh` head knows no letters yet.
    """

    def __init__(self, audio: float, fresh: bool = False) -> None:
        self.audio, self.fresh = audio, fresh
        self._began = (0.0, 0)
        self._learning = self._waiting = 0.0  # seconds since the pace was last told
        self._told = 0.0  # the epoch when it was
        self._since = 0.0  # the end of what was done last

    def on_train_begin(self, args, state, control, **_):
        self._began = (time.monotonic(), state.global_step)
        self._told = state.epoch or 0.0
        if self.fresh and state.max_steps < FEW:
            log.info("%s", HURRIED.format(steps=state.max_steps))

    def on_step_begin(self, args, state, control, **_):
        now = time.monotonic()
        self._waiting += now - self._since
        self._since = now

    def on_step_end(self, args, state, control, **_):
        self._learning += time.monotonic() - self._since
        self._since = time.monotonic()

    def on_epoch_begin(self, args, state, control, **_):
        self._since = time.monotonic()

    on_save = on_epoch_begin

    def pace(self, state) -> dict[str, float]:
        """Since this was last asked: seconds of audio learnt from in a second, evaluations left
        out, and the share of the time in which the model waited for recordings.
        """
        seconds = max(self._learning + self._waiting, 1e-9)
        audio, share = (state.epoch - self._told) * self.audio, self._waiting / seconds
        self._learning, self._waiting, self._told = 0.0, 0.0, state.epoch
        return {"audio_seconds_per_second": audio / seconds, "waiting": share}

    def on_log(self, args, state, control, logs=None, **_):
        logs = logs or {}
        names = {"loss": "loss", "eval_loss": "loss", "eval_wer": "WER", "eval_cer": "CER"}
        said = [f"{label} {logs[name]:.3f}" for name, label in names.items() if name in logs]
        if said:
            if "learning_rate" in logs:
                said.append(f"lr {logs['learning_rate']:.1e}")
            else:
                said.append("on the test part")
            if "waiting" in logs:
                pace, share = logs["audio_seconds_per_second"], logs["waiting"]
                said.append(f"{pace:.1f} s of audio/s, {share:.0%} of the time waiting for it")
            said.append(f"{self._left(state)} left")
            log.info("%s", "  ".join([f"step {state.global_step}/{state.max_steps}", *said]))
        self._since = time.monotonic()

    def on_evaluate(self, args, state, control, metrics=None, **_):
        self._since = time.monotonic()
        if not math.isfinite((metrics or {}).get("eval_loss", 0.0)):
            raise diverged(state.global_step, args.learning_rate)
        empty = (metrics or {}).get("eval_empty_hypotheses", 0.0)
        # Every training from a fresh head begins blank; past the warm-up it should not be.
        warm = state.global_step > args.get_warmup_steps(state.max_steps)
        if empty > EMPTY and warm:
            sentence = COLLAPSED.format(
                empty=empty,
                blank=metrics["eval_blank_frames"],
                step=state.global_step,
                change=_change(args.learning_rate),
            )
            log.warning("%s", sentence)

    def _left(self, state) -> str:
        began, step = self._began
        seconds = (time.monotonic() - began) / max(1, state.global_step - step)
        steps = max(0, state.max_steps - state.global_step)  # a run may be resumed with fewer
        minutes, seconds = divmod(round(seconds * steps), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def diverged(step: int, rate: float) -> ModelError:
    return ModelError(
        f"The training diverged: at step {step} the loss is not a number. Start again with a lower "
        f"--learning_rate (now {rate:g}) and another --output_dir."
    )


def _change(rate: float) -> str:
    """What to do about a learning rate, if that may be what is wrong."""
    low, high = RATES
    if low <= rate <= high:
        return ""
    return CHANGE.format(change="raise" if rate < low else "lower", rate=rate)


class Patience(EarlyStoppingCallback):
    """Ends the training, and says so, when it gets no better; it waits for the first words."""

    def on_train_begin(self, args, state, control, **rest):
        super().on_train_begin(args, state, control, **rest)
        # The Trainer forgets, when it is resumed, how often there was nothing better before.
        self.early_stopping_patience_counter = sum(
            entry["step"] > state.best_global_step
            for entry in state.log_history
            if state.best_global_step and entry.get("eval_empty_hypotheses", 1.0) <= EMPTY
        )

    def on_evaluate(self, args, state, control, metrics, **rest):
        if metrics.get("eval_empty_hypotheses", 0.0) > EMPTY:
            return
        super().on_evaluate(args, state, control, metrics, **rest)
        # The last step and Ctrl-C end the training as well.
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            log.info(
                "The training ends here: %s was no better at %d evaluations in a row.",
                args.metric_for_best_model.removeprefix("eval_").upper(),
                self.early_stopping_patience,
            )


class Diary(TrainerCallback):
    """Writes what is logged into the output folder as it comes, for whoever draws it meanwhile.

    `DIARY` holds a line of JSON for each entry: what the Trainer logs, with `step` of `steps`.
    """

    def on_train_begin(self, args, state, control, **_):
        if not state.global_step:  # else an interrupted training goes on, and so does its diary
            Path(args.output_dir, DIARY).unlink(missing_ok=True)

    def on_log(self, args, state, control, logs=None, **_):
        if state.is_world_process_zero:
            entry = {**(logs or {}), "step": state.global_step, "steps": state.max_steps}
            with Path(args.output_dir, DIARY).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, default=str) + "\n")


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
        if args.world_size > 1:  # with `torchrun` all end at the same step, or they wait for ever
            asked = torch.tensor(self.signal or 0, device=args.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            self.signal = int(asked) or None
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
