"""Runs that go on where they were cut short: from which checkpoint, and with what unchanged."""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_core.errors import OptionError
from asr_core.files import whole

if TYPE_CHECKING:
    from transformers import ProcessorMixin, TrainingArguments

    from asr_core.flags import Options
    from asr_core.preparation import Prepared

BEGUN = "begun.json"
LASTING = (  # options that a run cannot change on its way
    "model dataset dataset_config train_split eval_split test_size audio_column text_column "
    "speaker_column vocabulary case punctuation hangul freeze language_model augment batch_seconds "
    "shortest longest"
).split()
# Those of the Trainer that go by what the checkpoint holds, whatever is said now, or by which
# its steps and its best checkpoint are counted; the seed parts the rows to learn from, too.
LASTING_ARGUMENTS = (
    "seed data_seed learning_rate weight_decay adam_beta1 adam_beta2 adam_epsilon optim "
    "lr_scheduler_type per_device_train_batch_size gradient_accumulation_steps "
    "metric_for_best_model greater_is_better"
).split()

log = logging.getLogger(__name__)


def starting_point(options: Options, arguments: TrainingArguments) -> Path | None:
    """The checkpoint to go on from when `--resume` is given.

    Raises OptionError when there is none, when it is of other data or another model, or when a
    fresh run would overwrite one that was cut short, or a model.
    """
    folder = Path(arguments.output_dir)
    if not options.resume and Path(options.model).expanduser().resolve() == folder.resolve():
        raise OptionError(
            f"--model {options.model} is the folder that --output_dir would overwrite: choose "
            "another --output_dir."
        )
    if not options.resume:
        if any(folder.glob("checkpoint-*")):
            raise OptionError(
                f"{folder} holds checkpoints of an earlier run: add --resume to go on with it, or "
                "choose another --output_dir."
            )
        if holds_model(folder):
            raise OptionError(
                f"{folder} holds a model already, which this run would overwrite: choose another "
                "--output_dir, or move it away."
            )
        if (folder / "README.md").exists():
            raise OptionError(
                f"{folder} holds a README.md, which the model's card would overwrite: choose "
                "another --output_dir, or move it away."
            )
        return None
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise OptionError(f"There is no whole checkpoint in {folder} to resume from.")
    before = _begun(folder)
    for name, now in _lasting(options, arguments).items():
        if before.get(name, now) != now:
            raise OptionError(
                f"{folder} began with --{name} {before[name]}, not {now}: give the same again to "
                "resume it, or choose another --output_dir."
            )
    if any(checkpoint.glob("*.safetensors")) and not any(checkpoint.glob("optimizer*")):
        raise OptionError(
            f"{checkpoint} holds the weights only (--save_only_model), so nothing can be resumed: "
            f"start from them with --model {checkpoint} and another --output_dir."
        )
    _find_best(checkpoint)
    log.info("Going on from %s", checkpoint)
    return checkpoint


def holds_model(folder: Path) -> bool:
    return any(folder.glob("model*.safetensors"))  # in one piece, or in several


def begin(options: Options, arguments: TrainingArguments, material: dict[str, Any]) -> None:
    """Write down what must be the same when this run is resumed, its `material` as well."""
    folder = Path(arguments.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    record = _lasting(options, arguments) | material
    (folder / BEGUN).write_text(json.dumps(record, ensure_ascii=False, indent=1), "utf-8")


def material(train: Prepared, test: Prepared, processor: ProcessorMixin) -> dict[str, Any]:
    """By what the rows and the tokens of a run can be known again."""
    tokens = sorted(processor.tokenizer.get_vocab().items())
    spelt = {"tokens": len(tokens), "checksum": zlib.crc32(repr(tokens).encode())}
    return {"train_rows": train.state, "test_rows": test.state, "spelling": spelt}


def check_material(folder: Path, now: dict[str, Any]) -> None:
    """Raises OptionError when the run in `folder` began with another `material`.

    Rows drawn anew would be measured on though they were learnt from, and letters that moved
    would be taken for each other. A run that wrote nothing of this down is let through.
    """
    before = _begun(folder)
    same_model = "start from the same model and data"
    data_back = (
        "put the data back as it was, or choose another --output_dir if an earlier version of this "
        "program began it"
    )
    for key, what, unit, changed, remedy in (
        ("train_rows", "data to learn from", "rows", "names, transcripts or order", data_back),
        ("test_rows", "data to measure on", "rows", "names, transcripts or order", data_back),
        ("spelling", "characters to spell with", "tokens", "ones or in another order", same_model),
    ):
        then = before.get(key, now[key])
        if then == now[key]:
            continue
        counts = f"{then[unit]} {unit}, now {now[key][unit]}"
        if then[unit] == now[key][unit]:
            counts = f"{then[unit]} {unit} as now, but other {changed}"
        raise OptionError(
            f"{folder} began with other {what} ({counts}): {remedy} to resume it, or choose "
            "another --output_dir."
        )


def _begun(folder: Path) -> dict[str, Any]:
    """What `begin` wrote down, where it did."""
    path = folder / BEGUN
    try:
        return json.loads(path.read_text("utf-8")) if path.exists() else {}
    except ValueError:
        log.warning("%s is damaged, so nobody can tell whether the run is the same.", path)
        return {}


def _lasting(options: Options, arguments: TrainingArguments) -> dict[str, Any]:
    values = arguments.to_dict()
    lasting = {name: getattr(options, name) for name in LASTING}
    lasting |= {name: values[name] for name in LASTING_ARGUMENTS}
    return lasting | {"nproc_per_node": arguments.world_size}  # as `torchrun` calls it


def _find_best(checkpoint: Path) -> None:
    """Let the Trainer find its best checkpoint where the folder is now, if it was moved.

    It would forget which was best, and end with the last (`_load_best_model` in its `trainer.py`).
    """
    path = checkpoint / "trainer_state.json"
    state = json.loads(path.read_text("utf-8"))
    known = state.get("best_model_checkpoint")
    if not known or Path(known).exists():
        return
    best = checkpoint.with_name(Path(known).name)
    if not best.exists():
        log.warning("The best checkpoint so far, %s, is gone: the last one may be worse.", best)
        return
    with whole(path) as partial:
        partial.write_text(json.dumps(state | {"best_model_checkpoint": str(best)}), "utf-8")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder`.

    The Trainer writes `trainer_state.json` last: a checkpoint without it, or with a broken one,
    was cut short by a crash or a full disk; after a power cut, others may be empty.
    """
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_text())
            if any(not state.stat().st_size for state in path.glob("*.pt")):
                raise ValueError("empty")
            for weights in path.glob("*.safetensors"):
                with safe_open(weights, "numpy"):
                    pass
        except (OSError, ValueError, SafetensorError):
            log.warning("%s is incomplete and passed over", path)
        else:
            return path
    return None


def _step(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1
