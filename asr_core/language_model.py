"""A language model: how probable words are after others. Built from text, saved beside a model.

A folder with two files: `ngrams.safetensors` (words, n-grams, quantised to one byte a number) and
`language_model.json` (what it is, and the weights that `tune` found).
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import models, ngrams
from asr_core.errors import ModelError, OptionError, reason
from asr_core.files import whole
from asr_core.text import normalize

if TYPE_CHECKING:
    from asr_core import search
    from asr_core.flags import Options

log = logging.getLogger(__name__)

FOLDER = "language_model"  # inside a model's own folder
NUMBERS, SETTINGS = "ngrams.safetensors", "language_model.json"
VERSION = 1


@dataclass(frozen=True)
class Weights:
    """How the decoder weighs a language model against what is heard, and how hard it searches.

    Scores are natural logarithms.
    """

    alpha: float = 0.4  # of the language model's log-probabilities
    beta: float = 1.0  # for each word, against too few of them
    unknown: float = -7.0  # for each word outside the vocabulary
    letter: float = -1.0  # and for each of its letters after the beginning that is known
    hotword: float = 1.5  # for each letter of a hotword
    prior: float = 0.0  # of the logarithms of `LanguageModel.heard`, which are taken away
    width: int = 50  # hypotheses kept
    beam: float = 8.0  # those this much worse than the best are dropped
    token: float = 5.0  # columns this much less probable than a frame's best are not tried
    skip: float = -0.01  # frames with a more probable blank than this extend nothing

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 1000:
            raise OptionError(f"A beam of {self.width} is not possible: give 1 to 1000 hypotheses.")


@dataclass(frozen=True)
class LanguageModel:
    """Back-off n-grams over `words`, the first three of which are `ngrams.SPECIAL`.

    `heard` are the shares of tokens, the blank as "", in all that the acoustic model hears. It has
    learnt which letters are common; the n-grams know that, too, and it should count only once
    (Miao et al., 2015, https://arxiv.org/abs/1507.08240, section 3.2).
    """

    words: tuple[str, ...]
    ngrams: search.Ngrams
    order: int
    weights: Weights = field(default_factory=Weights)
    name: str = ""
    heard: dict[str, float] = field(default_factory=dict)

    def log_probability(self, text: str) -> float:
        """Natural logarithm of the probability of `text` as one whole sentence."""
        from asr_core import search

        numbers = {word: number for number, word in enumerate(self.words)}
        spelling = ngrams.spelling_of(Counter("".join(self.words)))
        total, state = 0.0, self.begin
        for word in [*normalize(text, spelling).split(), "</s>"]:
            score, state = search.step(self.ngrams, state, numbers.get(word, ngrams.UNKNOWN))
            total += score
        return total

    @property
    def begin(self) -> int:
        """The state at the beginning of a sentence."""
        from asr_core import search

        return search.shortest(self.ngrams, ngrams.BEGIN)

    def with_weights(self, **changes: float) -> LanguageModel:
        return replace(self, weights=replace(self.weights, **changes))


def build(
    texts: Sequence[str | Path],
    output: str | Path,
    order: int = 3,
    megabytes: float = 100.0,
    vocabulary: int = ngrams.LARGEST_VOCABULARY,
    minimum: int = 1,
) -> LanguageModel:
    """Learn n-grams up to `order` from text files into the folder `output`.

    The commonest words that occur at least `minimum` times make the vocabulary; n-grams are pruned
    until everything fits into `megabytes`. Needs about 30 bytes of memory for each distinct n-gram
    of the text. Raises DataError or OptionError.
    """
    ngrams.check(order, megabytes, vocabulary)
    if Path(output).is_file():
        raise OptionError(f"{output} is a file: give a folder for the language model.")
    words, tokens = ngrams.encode(ngrams.read(texts), vocabulary, minimum)
    known = len(words) - len(ngrams.SPECIAL)
    log.info("%s tokens, a vocabulary of %s words", f"{len(tokens):,}", f"{known:,}")
    levels = ngrams.count(tokens, len(words), order)
    ngrams.smooth(levels)
    log.info("%s n-grams of order 1 to %d", _sizes(levels), order)
    levels = ngrams.prune(levels, round(megabytes * 1e6))
    log.info("%s after pruning to %g MB", _sizes(levels), megabytes)
    save_levels(words, levels, Path(output), {"tokens": len(tokens)})
    return load(output)


def wish(options: Options, new: bool) -> str:
    """What `provide` is to put beside a model that is fine-tuned, or "none".

    "auto" is what the model it starts from has, unless the characters are `new`.
    """
    if options.language_model != "auto":
        return options.language_model
    folder = None if new else _folder_of(options.model)
    if folder is None:
        return "none"
    log.info("The language model of %s comes along (not with --language_model none)", options.model)
    return str(folder)


def provide(
    model_folder: str | Path, wish: str, transcripts: Iterable[str], texts: Sequence[str] = ()
) -> None:
    """Put a language model into a model's folder, where it is found when the model is loaded.

    `wish` is the directory of one that is there, "build" for one of transcripts and text files, or
    "none": one that an earlier model in that folder had goes. Raises DataError or ModelError.
    """
    output = Path(model_folder, FOLDER)
    if wish == "none":
        if output.exists():
            log.warning("The language model in %s goes, as the new model has none.", model_folder)
            shutil.rmtree(output, ignore_errors=True)
        return
    if wish != "build":
        if Path(wish).expanduser().resolve() != output.resolve():
            output.mkdir(parents=True, exist_ok=True)
            for name in (NUMBERS, SETTINGS):
                shutil.copyfile(Path(wish).expanduser() / name, output / name)
        return
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "transcripts.txt")
        said.write_text(
            "\n".join(" ".join((t or "").split()) for t in transcripts), encoding="utf-8"
        )
        build([said, *texts], output)


def save_levels(words: Sequence[str], levels: list, folder: Path, about: dict) -> None:
    """Write a model of smoothed levels, with the default weights."""
    from safetensors.numpy import save_file

    tensors = {"words": np.frombuffer("\n".join(words).encode(), np.uint8)}
    for index, level in enumerate(levels):
        with np.errstate(divide="ignore"):
            logs = np.maximum(np.log(level.probability), -99.0)
        tensors[f"word.{index}"] = _small(level.word)
        codes, book = _quantise(logs)
        tensors[f"log_probability.{index}"], tensors[f"log_probability.{index}.values"] = (
            codes,
            book,
        )
        if index + 1 < len(levels):
            children = np.bincount(levels[index + 1].parent, minlength=len(level.word))
            tensors[f"children.{index}"] = _small(children)
            codes, book = _quantise(np.log(level.backoff))
            tensors[f"backoff.{index}"], tensors[f"backoff.{index}.values"] = codes, book
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
        words = tuple(tensors["words"].tobytes().decode().split("\n"))
        heard = {str(k): float(v) for k, v in settings.get("heard", {}).items()}
        order = int(settings["order"])
        numbers = _unpack(tensors, order)
    except (ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"The language model in {folder} cannot be read: {error}; build it again."
        ) from error
    return LanguageModel(words, numbers, order, weights, str(folder), heard)


def check(folder: str | Path, tokenizer: Any) -> None:
    """Raises ModelError when a model with `tokenizer` could not be used with what is in `folder`.

    Beside the model it would be loaded with it, and neither of them could then.
    """
    from asr_core.decoding import Alphabet
    from asr_core.lexicon import Vocabulary

    Vocabulary.of(Alphabet.of(tokenizer, len(tokenizer)), load(folder))


def find(model: str, wish: str = "auto") -> LanguageModel | None:
    """The language model to use with a model: that in the directory `wish`, or the model's own.

    None when `wish` is "none", or "auto" and the model has none. Raises ModelError when it cannot
    be read.
    """
    if wish == "none":
        return None
    if wish != "auto":
        return load(wish)
    folder = _folder_of(model)
    return load(folder) if folder else None


def _folder_of(model: str) -> Path | None:
    """Where the language model is that was saved with a model."""
    if model == models.EMBEDDED:
        folder = models.EMBEDDED_FOLDER.parent / FOLDER
    elif Path(model).expanduser().is_dir():
        folder = Path(model).expanduser() / FOLDER
    else:
        return _download(model)
    return folder if (folder / SETTINGS).is_file() else None


def _download(model: str) -> Path | None:
    """The folder in the cache with the language model of a model of the Hub."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        paths = [hf_hub_download(model, f"{FOLDER}/{name}") for name in (SETTINGS, NUMBERS)]
    except EntryNotFoundError:  # also where the model is in the cache and the Hub out of reach
        return None
    return Path(paths[0]).parent


def save_weights(folder: str | Path, weights: Weights, **about: Any) -> None:
    """Store tuned weights beside the n-grams, with what they were tuned on."""
    folder = Path(folder).expanduser()
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    _write_settings(folder, settings | {"weights": asdict(weights), **about})


def _unpack(tensors: dict[str, np.ndarray], order: int) -> search.Ngrams:
    from asr_core import search

    def joined(name: str, levels: int) -> np.ndarray:
        return np.concatenate(
            [tensors[f"{name}.{i}.values"][tensors[f"{name}.{i}"]] for i in range(levels)]
        )

    word = np.concatenate([tensors[f"word.{i}"] for i in range(order)])
    word = word.astype(np.uint32 if word.dtype == np.uint32 else np.uint16)  # numba knows these
    children = [np.zeros(0, np.int64), *(tensors[f"children.{i}"] for i in range(order - 1))]
    children = np.concatenate(children).astype(np.int64)
    unigrams = len(tensors["word.0"])
    if order == 1:  # one state for each word is needed all the same, none of them remembered
        children = np.zeros(unigrams, np.int64)
    first = unigrams + np.concatenate([[0], np.cumsum(children)])
    backoff = joined("backoff", order - 1) if order > 1 else np.zeros(unigrams, np.float32)
    if first[-1] != len(word):
        raise ValueError("the n-grams are not complete")
    made = search.Ngrams(
        word,
        first.astype(np.int32),
        joined("log_probability", order),
        backoff,
        np.empty(len(backoff), np.int32),
    )
    parent = np.concatenate(
        [np.full(unigrams, search.EMPTY), np.repeat(np.arange(len(children)), children)]
    )
    search.links(made, parent.astype(np.int32))
    return made


def _quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(codes, what they stand for): 256 groups of equal size, each by its mean."""
    order = np.argsort(values, kind="stable")
    groups = np.array_split(values[order], 256)
    book = np.array([group.mean() if len(group) else 0.0 for group in groups], np.float32)
    codes = np.empty(len(values), np.uint8)
    codes[order] = np.repeat(np.arange(256), [len(group) for group in groups])
    return codes, book


def _small(values: np.ndarray) -> np.ndarray:
    """In as few bytes as the largest needs."""
    largest = int(values.max(initial=0))
    kind = next(k for k in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(k).max)
    return np.ascontiguousarray(values.astype(kind))


def _sizes(levels: list) -> str:
    return " + ".join(f"{len(level.word):,}" for level in levels)
