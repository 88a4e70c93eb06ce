"""What keeps watch while a model learns: progress, signs of collapse, requests to stop."""

from __future__ import annotations

import logging
import signal
import time
from typing import Any

from transformers import TrainerCallback

log = logging.getLogger(__name__)

COLLAPSED = (
    "The model says nothing yet: {empty:.0%} of the hypotheses are empty and {blank:.0%} of the "
    "frames blank after {step} steps. If this does not change soon, raise --learning_rate (now "
    "{rate:g}; 1e-4 to 3e-4 suits a fresh head), train longer, or add data: an hour or more."
)


class Watch(TrainerCallback):
    """Says how it goes, one line at a time, and when the model is stuck at blank."""

    def __init__(self) -> None:
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
