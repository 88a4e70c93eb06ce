"""The model card: what a fine-tuned model was made from, how, and how good it is.

A card is public. Names of local files and folders, which may be names of people, stay out of it.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import data, evaluation, mistakes, models
from asr_core.evaluation import Evaluation
from asr_core.report import Part, Report

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from asr_core.flags import Options

log = logging.getLogger(__name__)

PICTURES = {
    "training.png": "Error rates, losses and learning rate over the steps of the training",
    "data.png": "Durations of the clips",
}
CONFIGURATION = """preset freeze vocabulary augment mask_time_prob batch_seconds
per_device_train_batch_size gradient_accumulation_steps learning_rate
lr_scheduler_type warmup_steps weight_decay adam_beta2 num_train_epochs max_steps patience bf16
fp16 seed""".split()
LIBRARIES = ("transformers", "torch", "datasets")
CONFUSIONS = 8


def save(
    folder: Path,
    name: str,
    options: Options,
    arguments: TrainingArguments,
    looked: Report,
    before: Evaluation | None,
    after: Evaluation,
) -> None:
    """`README.md` in `folder`, of a model called `name`: an id of the Hub, or a folder's name.

    `before` is the evaluation of the model that was fine-tuned, None where it could not
    transcribe yet. The metadata at its top is what the Hub's pages and searches are made of.
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    base, licence = origin(options.model)
    dataset = options.dataset if _on_hub(options.dataset) else None
    # Of other data nobody has said what is spoken in it.
    config = options.dataset_config if dataset else None
    language = re.fullmatch(r"(?!xs|xl)([a-z]{2})(-[A-Z]{2})?", config or "")  # those are sizes
    results = [
        EvalResult(
            task_type="automatic-speech-recognition",
            task_name="Automatic Speech Recognition",
            dataset_type=dataset or "local",
            dataset_name=_data_name(options),
            dataset_config=config,
            metric_type=metric,
            metric_name=metric.upper(),
            metric_value=round(value, 4),
        )
        for metric, value in (("wer", after.wer), ("cer", after.cer))
    ]
    front = ModelCardData(
        model_name=name,
        library_name="transformers",
        pipeline_tag="automatic-speech-recognition",
        license=licence,
        language=language[1] if language else None,
        base_model=base,
        datasets=[dataset] if dataset else None,
        metrics=["wer", "cer"],
        tags=["ctc", "asr-core"],
        eval_results=results,
    )
    parts = [
        _introduction(name, options, base),
        _results(before, after, looked.shared, arguments.load_best_model_at_end),
        _usage(name, looked.hangul),
        _data(options, looked),
        _errors(after),
        _training(options, arguments),
        _licence(licence, base),
        *(f"![{text}]({file})" for file, text in PICTURES.items() if (folder / file).exists()),
    ]
    ModelCard(f"---\n{front.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n").save(
        folder / "README.md"
    )


def origin(model: str) -> tuple[str | None, str | None]:
    """The id on the Hub and the licence of the model that was fine-tuned, None where not known.

    A directory is asked by its own card: fine-tuned again, a model keeps its first ancestor's
    licence.
    """
    from huggingface_hub import HfApi, ModelCard

    folder = models.EMBEDDED_FOLDER if model == models.EMBEDDED else Path(model).expanduser()
    try:
        if folder.is_dir():
            front = ModelCard.load(folder / "README.md", ignore_metadata_errors=True).data
            base = front.base_model
            return (base[0] if isinstance(base, list) else base), front.license
        front = HfApi().model_info(model, timeout=10).card_data
    except Exception as error:  # no card, or no Hub: the card says that the licence is not known
        log.info("The licence of %s is not known (%s)", model, type(error).__name__)
        return (None if folder.is_dir() else model), None
    return model, front.license if front else None


def _introduction(name: str, options: Options, base: str | None) -> str:
    made = f"[{base}](https://huggingface.co/{base})" if base else _model_name(options)
    return (
        f"# {name.rpartition('/')[2]}\n\nSpeech recognition: {made} fine-tuned with CTC on "
        f"{_data_name(options)}."
    )


def _results(before: Evaluation | None, after: Evaluation, shared: int, chosen: bool) -> str:
    def row(label: str, one: Evaluation) -> tuple[str, ...]:
        wer = (_share(one.wer), _span(one.wer_interval))
        return (label, *wer, _share(one.cer), _span(one.cer_interval))

    rows = [row("fine-tuned", after)]
    if before:
        rows.insert(0, row("before", before))
        change, (low, high) = (100 * np.asarray(v) for v in evaluation.change(before, after))
        found = f"WER changed by {change:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}). "
    else:
        found = "Before, the model had no output layer for these characters. "
    seen = f"of which {shared:,} were trained on, too" if shared else "that were not trained on"
    seen += "; the best checkpoint was chosen by them" if chosen else ""
    failed = f", {len(after.failed)} left out" if after.failed else ""
    return (
        "## Results\n\n"
        + _table(("", "WER", "95 % interval", "CER", "95 % interval"), rows)
        + f"\n\n{found}Measured on {after.utterances} utterances "
        f"({after.audio_seconds / 60:.1f} minutes{failed}) {seen}; greedy "
        "decoding without a language model; intervals by bootstrap over utterances."
    )


def _usage(name: str, hangul: str) -> str:
    begin, end, composed = "", "", ""
    if hangul == "jamo":  # which the pipeline leaves apart
        begin, end, composed = 'normalize("NFC", ', ")", "from unicodedata import normalize\n\n"
    return f"""## How to use

```python
{composed}from transformers import pipeline

transcriber = pipeline("automatic-speech-recognition", model="{name}")
print({begin}transcriber("speech.wav")["text"]{end})
```

In a browser, with asr-core: `python app.py --model {name}`"""


def _data(options: Options, looked: Report) -> str:
    def row(label: str, part: Part) -> tuple[str, ...]:
        speakers = "not known" if part.speakers is None else f"{part.speakers:,}"
        longest = f"{max(part.durations):.1f} s"
        return label, f"{part.clips:,}", f"{part.hours:.2f}", speakers, longest, f"{part.left_out}"

    reasons: dict[str, int] = {}
    for part in (looked.train, looked.test):
        for reason, names in part.dropped.items():
            reasons[reason] = reasons.get(reason, 0) + len(names)
    known = [
        f"{count:,} of the {all_of_them:,} {what}"
        for count, all_of_them, what in (
            (looked.known_speakers, looked.test.speakers, "speakers"),
            (looked.known_sentences, looked.test.clips, "transcripts"),
        )
        if count
    ]
    measured = looked.test.left_out
    left_out = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
    parts = f"`{options.train_split}`"
    parts += f" and `{options.eval_split}`" if options.eval_split else ""
    return (
        f"## Data\n\nFrom {_data_name(options)}: {parts}.\n\n"
        + _table(
            ("", "clips", "hours", "speakers", "longest", "left out"),
            [row("trained on", looked.train), row("measured on", looked.test)],
        )
        + (f"\n\nMeasured on, but trained on as well: {' and '.join(known)}." if known else "")
        + (f"\n\nLeft out: {left_out}." if left_out else "")
        + ("\n\nWhat can be heard of the test part is measured all the same." if measured else "")
    )


def _errors(after: Evaluation) -> str:
    found = mistakes.confusions(after.rows, CONFUSIONS)
    rows = [
        *((n, f"{said} heard as {heard}") for said, heard, n in found.substitutions),
        *((n, f"{said} not heard") for said, n in found.deletions),
        *((n, f"{heard} heard, not said") for heard, n in found.insertions),
    ]
    rows = sorted(rows, key=lambda row: -row[0])[:CONFUSIONS]
    groups = [
        (group.name, f"{group.utterances}", _share(group.wer), _share(group.cer))
        for group in mistakes.by_duration(after.rows)
    ]
    text = "## Errors\n\n" + _table(("duration", "utterances", "WER", "CER"), groups)
    if rows:
        text += "\n\n" + _table(("times", "most frequent"), [(f"{n}", what) for n, what in rows])
    return text


def _training(options: Options, arguments: TrainingArguments) -> str:
    values = {**arguments.to_dict(), **vars(options)}
    rows = [(key, f"{values[key]}") for key in CONFIGURATION]
    rows += [(library, version(library)) for library in LIBRARIES]
    return "## Training\n\n" + _table(("option", "value"), rows)


def _licence(licence: str | None, base: str | None) -> str:
    if licence:
        return f"## Licence\n\n{licence}, as {base or 'the model that was fine-tuned'}."
    return (
        "## Licence\n\nThe model that was fine-tuned does not state one here: ask its authors "
        "before passing this one on."
    )


def _on_hub(dataset: str) -> bool:
    return dataset != data.SAMPLE and "/" in dataset and not Path(dataset).expanduser().exists()


def _data_name(options: Options) -> str:
    if options.dataset == data.SAMPLE:
        return "the synthetic banking sentences that come with asr-core"
    if not _on_hub(options.dataset):
        return "recordings of its author's"
    return options.dataset + (f" ({options.dataset_config})" if options.dataset_config else "")


def _model_name(options: Options) -> str:
    if options.model == models.EMBEDDED:
        return "the small model that comes with asr-core"
    return "a model of its author's"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; what is in its cells stays text."""

    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(html.escape(cell).replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), "|" + " --- |" * len(head), *map(line, rows)])


def _share(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _span(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"
