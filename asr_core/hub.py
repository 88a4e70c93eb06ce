"""The way to the Hub: who may push where is asked before training, the push comes once after it.

Only what makes the model work and what describes it is pushed: no checkpoints, no names of
recordings, and never a recording.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr_core.errors import ModelError, OptionError, first_line

if TYPE_CHECKING:
    from transformers import TrainingArguments

PUSHED = (
    "*.safetensors*",
    "config.json",
    "*_config.json",
    "tokenizer.json",
    "*_tokens*.json",  # special and added ones; a file token.json may be a key
    "vocab.json",
    "*.model",
    "README.md",
    "data.png",
    "training.png",
    "language_model/*",
)
NOT_PUSHED = ("[!l]*/*", "l[!a]*/*")  # for patterns match in folders, too: all but language_model


@dataclass(frozen=True)
class Destination:
    """Where a model goes: `id` is owner/name."""

    id: str
    private: bool | None = None
    revision: str | None = None
    token: str | None = None

    def again(self, folder: Path) -> str:
        """The command that uploads `folder` by hand."""
        words = ["hf", "upload", self.id, str(folder), "."]
        if self.private:
            words.append("--private")
        if self.revision:
            words += ["--revision", self.revision]
        words += [word for pattern in PUSHED for word in ("--include", pattern)]
        words += [word for pattern in NOT_PUSHED for word in ("--exclude", pattern)]
        return shlex.join(words)


def destination(arguments: TrainingArguments) -> Destination:
    """Where `--push_to_hub` goes, having asked the Hub who we are.

    It is asked before training, so that nobody trains for hours and learns then that the door is
    locked. Raises OptionError when the flags contradict what this program does, ModelError when
    we are not signed in, may not write there, or the Hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
    from huggingface_hub.utils import validate_repo_id

    strategy = getattr(arguments.hub_strategy, "value", arguments.hub_strategy)
    if "checkpoint" in strategy:
        raise OptionError(
            f"--hub_strategy {strategy}: checkpoints stay on this machine, "
            "only the finished model is pushed; leave the flag out."
        )
    name = arguments.hub_model_id or Path(arguments.output_dir).resolve().name
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise OptionError(
            f"'{name}' cannot be a name on the Hub: give one such as me/my-model with "
            "--hub_model_id."
        ) from error
    try:
        me = HfApi(token=arguments.hub_token).whoami()
    except LocalTokenNotFoundError:
        raise ModelError(
            "--push_to_hub needs an account on the Hub: sign in with `hf auth login`, or leave "
            "the flag out and push later."
        ) from None
    except HfHubHTTPError as error:
        raise ModelError(
            f"The Hub does not let us in ({_said(error)}): sign in again with `hf auth login`."
        ) from error
    except Exception as error:  # transport errors are not of the Hub's own family
        raise ModelError(
            f"--push_to_hub: the Hub does not answer ({_said(error)}): check the connection, or "
            "leave the flag out and push later."
        ) from error
    owners = [me["name"], *(organisation["name"] for organisation in me.get("orgs", []))]
    owner, _, rest = name.rpartition("/")
    if owner and owner not in owners:
        raise ModelError(
            f"You are signed in as {me['name']}, who may not push to '{name}': choose a name "
            f"under {' or '.join(owners)} with --hub_model_id."
        )
    if me.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise ModelError(
            f"The token of {me['name']} may only read: make one that may write on "
            "https://huggingface.co/settings/tokens and sign in with it by `hf auth login`."
        )
    return Destination(
        f"{owner or me['name']}/{rest}",
        arguments.hub_private_repo,
        arguments.hub_revision,
        arguments.hub_token,
    )


def push(folder: Path, where: Destination) -> str:
    """Upload model, processor, card and pictures; returns the model's address.

    Raises ModelError, with the command to try again, when the Hub does not take them; what is in
    `folder` stays as it is.
    """
    from huggingface_hub import HfApi

    api = HfApi(token=where.token)
    try:
        api.create_repo(where.id, private=where.private, exist_ok=True)
        if where.revision:
            api.create_branch(where.id, branch=where.revision, exist_ok=True)
        api.upload_folder(
            repo_id=where.id,
            folder_path=folder,
            revision=where.revision,
            allow_patterns=list(PUSHED),
            ignore_patterns=list(NOT_PUSHED),
            commit_message="Fine-tuned with asr-core",
        )
    except Exception as error:  # transport errors are not of the Hub's own family
        raise ModelError(
            f"The Hub did not take the model ({_said(error)}), which is safe in {folder}. "
            f"Try again with: {where.again(folder)}"
        ) from error
    return f"{api.endpoint}/{where.id}"


def files(folder: Path) -> list[str]:
    """What of a model's folder is pushed, as paths inside it."""
    from huggingface_hub.utils import filter_repo_objects

    names = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
    patterns = {"allow_patterns": list(PUSHED), "ignore_patterns": list(NOT_PUSHED)}
    return list(filter_repo_objects(names, **patterns))


def _said(error: BaseException) -> str:
    """What the Hub says where it says something, else the first line of the error."""
    said = getattr(error, "server_message", None)
    return (said.splitlines()[0] if said else first_line(error)).rstrip(".")
