"""What is told while a model learns, and when it ends by itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from asr_core import watch
from asr_core.errors import ModelError
from asr_core.flags import parse


def evaluations(patience: watch.Patience, *metrics: tuple[float, float]) -> int:
    """After how many evaluations, of (CER, share of empty hypotheses), training ends."""
    _, arguments = parse(["--preset", "recommended", "--output_dir", "unused"])
    state, control = TrainerState(), TrainerControl()
    for number, (cer, empty) in enumerate(metrics, 1):
        found = {"eval_cer": cer, "eval_wer": 1.0, "eval_empty_hypotheses": empty}
        patience.on_evaluate(arguments, state, control, found)
        if control.should_training_stop:
            return number
        if state.best_metric is None or cer < state.best_metric:
            state.best_metric = cer
    return 0


def test_patience_waits_for_the_first_words_and_says_why_it_ends(caplog):
    caplog.set_level("INFO", logger="asr_core")
    silent, first, better, worse = (1.0, 1.0), (0.9, 0.2), (0.8, 0.0), (0.85, 0.0)
    assert evaluations(watch.Patience(2), *[silent] * 9, first, better) == 0
    assert evaluations(watch.Patience(2), *[silent] * 9, first, better, worse, worse, better) == 13
    assert "The training ends here: CER was no better at 2 evaluations" in caplog.text


def test_patience_goes_on_where_it_was_when_a_run_is_resumed():
    _, arguments = parse(["--preset", "recommended", "--output_dir", "unused"])
    state, control = TrainerState(best_metric=0.5, best_global_step=10), TrainerControl()
    state.log_history = [
        {"step": step, "eval_cer": cer, "eval_empty_hypotheses": 0.0}
        for step, cer in ((5, 0.9), (10, 0.5), (15, 0.6), (20, 0.7))
    ]
    patience = watch.Patience(3)
    patience.on_train_begin(arguments, state, control)
    patience.on_evaluate(arguments, state, control, {"eval_cer": 0.6, "eval_empty_hypotheses": 0.0})
    assert control.should_training_stop


def test_an_end_for_another_reason_is_not_put_down_to_patience(caplog):
    caplog.set_level("INFO", logger="asr_core")
    _, arguments = parse(["--preset", "recommended", "--output_dir", "unused"])
    control = TrainerControl(should_training_stop=True)  # the last step, or Ctrl-C
    watch.Patience(2).on_evaluate(arguments, TrainerState(), control, {"eval_cer": 0.9})
    assert "no better" not in caplog.text


@pytest.mark.parametrize(("rate", "advice"), [(1e-3, "lower"), (1e-5, "raise")])
def test_a_model_that_says_nothing_needs_another_rate(rate, advice, caplog):
    arguments = SimpleNamespace(learning_rate=rate, get_warmup_steps=lambda steps: 2)
    state = SimpleNamespace(global_step=7, max_steps=9)
    found = {"eval_loss": 3.0, "eval_empty_hypotheses": 0.5, "eval_blank_frames": 1.0}
    watch.Watch(1.0).on_evaluate(arguments, state, None, found)
    assert not caplog.text  # it says something
    watch.Watch(1.0).on_evaluate(arguments, state, None, found | {"eval_empty_hypotheses": 1.0})
    assert f"{advice} --learning_rate (now {rate:g};" in caplog.text
    caplog.clear()
    arguments.learning_rate = 2e-4  # it is not that
    watch.Watch(1.0).on_evaluate(arguments, state, None, found | {"eval_empty_hypotheses": 1.0})
    assert "says nothing" in caplog.text and "--learning_rate" not in caplog.text


@pytest.mark.parametrize(("fresh", "steps"), [(True, 40), (True, 400), (False, 40)])
def test_a_fresh_head_that_will_not_have_learnt_to_write_is_told_before(fresh, steps, caplog):
    caplog.set_level("INFO", logger="asr_core")
    state = SimpleNamespace(epoch=0, global_step=0, max_steps=steps)
    watch.Watch(1.0, fresh).on_train_begin(None, state, None)
    assert ("Only 40 steps will be taken" in caplog.text) == (fresh and steps < 200)


def test_pace_and_time_left_of_a_run_that_goes_on_are_those_since_then(monkeypatch, caplog):
    caplog.set_level("INFO", logger="asr_core")
    now = 1_000.0
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: now))
    seen, state = watch.Watch(100.0), SimpleNamespace(epoch=2.0, global_step=20, max_steps=40)
    seen.on_train_begin(None, state, None)
    seen.on_epoch_begin(None, state, None)
    for epoch, pace in ((2.4, 10.0), (2.6, 5.0)):
        now += 1
        seen.on_step_begin(None, state, None)
        now += 3
        seen.on_step_end(None, state, None)
        state.epoch, state.global_step = epoch, state.global_step + 1
        told = seen.pace(state)
        assert told["audio_seconds_per_second"] == pytest.approx(pace)
        assert told["waiting"] == 0.25
        now += 250
        seen.on_save(None, state, None)  # is not what is waited for
    seen.on_log(None, state, None, {"loss": 1.0})
    assert "step 22/40  loss 1.000  on the test part  1:16:12 left" in caplog.text
    state.max_steps = 20  # as where it is resumed with fewer
    seen.on_log(None, state, None, {"loss": 1.0})
    assert "step 22/20  loss 1.000  on the test part  0:00:00 left" in caplog.text


def test_the_diary_is_of_one_run_and_goes_on_with_it(tmp_path):
    diary, arguments = watch.Diary(), SimpleNamespace(output_dir=tmp_path)
    for step, entries in ((0, 1), (5, 2), (0, 1)):
        diary.on_train_begin(arguments, SimpleNamespace(global_step=step), None)
        for one in (True, False):  # of several processes
            state = SimpleNamespace(global_step=step, max_steps=9, is_world_process_zero=one)
            diary.on_log(arguments, state, None, {"loss": 1.0})
        lines = (tmp_path / watch.DIARY).read_text().splitlines()
        assert len(lines) == entries
        assert json.loads(lines[-1]) == {"loss": 1.0, "step": step, "steps": 9}


def test_a_training_that_diverges_ends_and_says_how_to_do_better():
    arguments = SimpleNamespace(learning_rate=0.1)
    with pytest.raises(
        ModelError, match=r"diverged: at step 7 .*lower --learning_rate \(now 0.1\)"
    ):
        watch.Watch(1.0).on_evaluate(
            arguments, SimpleNamespace(global_step=7), None, {"eval_loss": float("nan")}
        )
