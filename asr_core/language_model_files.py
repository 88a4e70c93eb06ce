"""A language model in a folder: two files, written and read.

`language_model.json` says what it is, and holds the weights that `tune` found.
`ngrams.safetensors` holds all `words`, one a line, in `capitals` those that are not written small
throughout, if any, and for each order (0 for single words) its n-grams sorted as in `ngrams.Level`:

    word.0              the last word of each n-gram
    log_probability.0   its natural logarithm, in one byte: a place in `log_probability.0.values`
    backoff.0           the same of the probability left to other words, not of the highest order
    children.0          how many n-grams of the next order go on from each, nor this
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core.errors import ModelError, OptionError, reason
from asr_core.files import whole
from asr_core.language_model import LanguageModel, Weights

if TYPE_CHECKING:
    from asr_core import search
    from asr_core.ngrams import Level

NUMBERS, SETTINGS = "ngrams.safetensors", "language_model.json"
VERSION = 1
IMPOSSIBLE = -99.0  # natural logarithm of a probability of 0, as of <s> after a word


def save(
    words: Sequence[str],
    capitals: Sequence[str],
    levels: Sequence[Level],
    folder: Path,
    about: dict,
) -> None:
    """Write a model of smoothed levels, with the default weights."""
    from safetensors.numpy import save_file

    tensors = {"words": _joined(words), **_packed(levels)}
    if capitals:
        tensors["capitals"] = _joined(capitals)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / NUMBERS, lambda path: save_file(tensors, path))
    settings = {
        "version": VERSION,
        "order": len(levels),
        "ngrams": [len(level.word) for level in levels],
        **about,
        "weights": asdict(Weights()),
    }
    _write_settings(folder, settings)


def save_weights(folder: str | Path, weights: Weights, **about: Any) -> None:
    """Store tuned weights beside the n-grams, with what they were tuned on."""
    folder = Path(folder).expanduser()
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    _write_settings(folder, settings | {"weights": asdict(weights), **about})


def load(folder: str | Path) -> LanguageModel:
    """The language model in `folder`. Raises ModelError when there is none that can be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    folder = Path(folder).expanduser()
    if not (folder / SETTINGS).is_file() or not (folder / NUMBERS).is_file():
        raise ModelError(
            f"{folder} holds no language model ({SETTINGS} and {NUMBERS}): make one with "
            "`python -m asr_core language-model build`."
        )
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        tensors = load_file(folder / NUMBERS)
        if settings["version"] != VERSION:
            raise ValueError(f"it is of version {settings['version']}, not {VERSION}")
        known = {f.name for f in fields(Weights)}
        weights = Weights(**{k: v for k, v in settings["weights"].items() if k in known})
        words = _parted(tensors["words"])
        capitals = _parted(tensors["capitals"]) if "capitals" in tensors else ()
        heard = {str(k): float(v) for k, v in settings.get("heard", {}).items()}
        order = int(settings["order"])
        numbers = _unpacked(tensors, order)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"The language model in {folder} cannot be read: {error}; build it again."
        ) from error
    return LanguageModel(words, numbers, order, weights, str(folder), heard, capitals)


def _write_settings(folder: Path, settings: dict[str, Any]) -> None:
    written = json.dumps(settings, indent=2) + "\n"
    _write(folder / SETTINGS, lambda path: path.write_text(written, encoding="utf-8"))


def _write(path: Path, write: Callable[[Path], Any]) -> None:
    """As a whole or not at all. Raises OptionError where that cannot be, as on a full disk."""
    from safetensors import SafetensorError

    try:
        with whole(path) as partial:
            write(partial)
    except (OSError, SafetensorError) as error:
        raise OptionError(f"{path} cannot be written: {reason(error)}.") from error


def _joined(words: Sequence[str]) -> np.ndarray:
    return np.frombuffer("\n".join(words).encode(), np.uint8)


def _parted(lines: np.ndarray) -> tuple[str, ...]:
    return tuple(lines.tobytes().decode().split("\n"))


def _packed(levels: Sequence[Level]) -> dict[str, np.ndarray]:
    """The tensors of n-grams."""
    tensors = {}
    for order, level in enumerate(levels):
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(level.probability), IMPOSSIBLE)
        tensors[f"word.{order}"] = _small(level.word)
        tensors |= _quantised(f"log_probability.{order}", logs)
        if order + 1 < len(levels):
            children = np.bincount(levels[order + 1].parent, minlength=len(level.word))
            tensors[f"children.{order}"] = _small(children)
            tensors |= _quantised(f"backoff.{order}", np.log(level.backoff))
    return tensors


def _unpacked(tensors: dict[str, np.ndarray], orders: int) -> search.Ngrams:
    """Raises ValueError or KeyError where something is missing."""
    from asr_core import search

    def joined(name: str, orders: int) -> np.ndarray:
        return np.concatenate(
            [tensors[f"{name}.{i}.values"][tensors[f"{name}.{i}"]] for i in range(orders)]
        )

    word = np.concatenate([tensors[f"word.{i}"] for i in range(orders)])
    word = word.astype(np.uint32 if word.dtype == np.uint32 else np.uint16)  # numba knows these
    children = [np.zeros(0, np.int64), *(tensors[f"children.{i}"] for i in range(orders - 1))]
    children = np.concatenate(children).astype(np.int64)
    unigrams = len(tensors["word.0"])
    if orders == 1:  # one state for each word is needed all the same, none of them remembered
        children = np.zeros(unigrams, np.int64)
    first = unigrams + np.concatenate([[0], np.cumsum(children)])
    backoff = joined("backoff", orders - 1) if orders > 1 else np.zeros(unigrams, np.float32)
    if first[-1] != len(word):
        raise ValueError("the n-grams are not complete")
    ngrams = search.Ngrams(
        word,
        first.astype(np.int32),
        joined("log_probability", orders),
        backoff,
        np.empty(len(backoff), np.int32),
    )
    parent = np.concatenate(
        [np.full(unigrams, search.EMPTY), np.repeat(np.arange(len(children)), children)]
    )
    search.links(ngrams, parent.astype(np.int32))
    return ngrams


def _quantised(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """The tensors of `values`: 256 groups of equal size, each of which stands for its mean."""
    order = np.argsort(values, kind="stable")
    groups = np.array_split(values[order], 256)
    means = np.array([group.mean() if len(group) else 0.0 for group in groups], np.float32)
    codes = np.empty(len(values), np.uint8)
    codes[order] = np.repeat(np.arange(256), [len(group) for group in groups])
    return {name: codes, f"{name}.values": means}


def _small(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 up, in as few bytes as the largest needs."""
    largest = int(values.max(initial=0))
    kind = next(k for k in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(k).max)
    return np.ascontiguousarray(values.astype(kind))
