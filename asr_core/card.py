"""The model card of a fine-tuned model, and the way to the Hub."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_core.errors import ModelError
from asr_core.evaluation import Evaluation
from asr_core.report import Report

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from asr_core.training import Options

log = logging.getLogger(__name__)


def save(
    folder: Path, options: Options, looked: Report, before: Evaluation | None, after: Evaluation
) -> None:
    """`README.md` in `folder`: what it was made from, how, and how good it is."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    results = [
        EvalResult(
            task_type="automatic-speech-recognition",
            dataset_type=options.dataset,
            dataset_name=options.dataset,
            metric_type=name,
            metric_value=round(value, 4),
        )
        for name, value in (("wer", after.wer), ("cer", after.cer))
    ]
    front = ModelCardData(
        model_name=folder.name,
        library_name="transformers",
        pipeline_tag="automatic-speech-recognition",
        base_model=options.model if "/" in options.model else None,
        datasets=[options.dataset] if "/" in options.dataset else None,
        tags=["ctc", "asr-core"],
        eval_results=results,
    )
    ModelCard(
        f"---\n{front.to_yaml()}\n---\n\n{_text(folder, options, looked, before, after)}"
    ).save(folder / "README.md")


def _text(
    folder: Path, options: Options, looked: Report, before: Evaluation | None, after: Evaluation
) -> str:
    rows = [("after", after)] if before is None else [("before", before), ("after", after)]
    table = "\n".join(
        f"| {label} | {e.wer:.3f} | {e.wer_interval[0]:.3f} to {e.wer_interval[1]:.3f} "
        f"| {e.cer:.3f} |"
        for label, e in rows
    )
    return f"""# {folder.name}

`{options.model}` fine-tuned with CTC on `{options.dataset}`
({looked.train.clips} clips, {looked.train.hours:.2f} hours).

| | WER | 95 % interval | CER |
| --- | --- | --- | --- |
{table}

Measured on {after.utterances} utterances ({after.audio_seconds / 60:.1f} minutes) that were not
trained on, greedy decoding, without a language model.

```python
from transformers import pipeline

transcriber = pipeline("automatic-speech-recognition", model="{folder.name}")
```

Every value of the training is in `training.json`, the data in `data.json`.
"""


def push(folder: Path, arguments: TrainingArguments) -> str:
    """Upload model, processor and card; returns the address.

    Raises ModelError, with the command to try again, when the Hub does not take them; what is in
    `folder` stays as it is.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=arguments.hub_token)
    name = arguments.hub_model_id or folder.resolve().name
    again = f"hf upload {name} {folder}"
    try:
        repository: Any = api.create_repo(
            name, private=arguments.hub_private_repo, exist_ok=True
        ).repo_id
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            ignore_patterns=["checkpoint-*", "runs/*", "training_args.bin", "*.pt"],
            commit_message="Fine-tuned with asr-core",
        )
    except Exception as error:  # transport errors are not of the Hub's own family
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"The Hub did not take the model ({first}). It is safe in {folder}: sign in with "
            f"`hf auth login`, then try again with `{again}`."
        ) from error
    return f"https://huggingface.co/{repository}"
