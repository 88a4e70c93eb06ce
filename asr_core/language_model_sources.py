"""Where a language model comes from: text, a folder, or the model that it was saved with."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr_core import corpus, models, ngrams
from asr_core.capitals import Forms
from asr_core.errors import OptionError
from asr_core.language_model import LanguageModel
from asr_core.language_model_files import NUMBERS, SETTINGS, load, save

if TYPE_CHECKING:
    from asr_core.flags import Options

log = logging.getLogger(__name__)

FOLDER = "language_model"  # inside a model's own folder


def build(
    texts: Sequence[str | Path],
    output: str | Path,
    order: int = 3,
    megabytes: float = 100.0,
    vocabulary: int = ngrams.LARGEST_VOCABULARY,
    minimum: int = 1,
    forms: Forms | None = None,
) -> LanguageModel:
    """Learn n-grams up to `order` from text files into the folder `output`.

    The commonest words that occur at least `minimum` times make the vocabulary; n-grams are pruned
    until everything fits into `megabytes`. Needs about 30 bytes of memory for each distinct n-gram
    of the text. `forms` are of the same text before it was put into small letters, if it was.
    Raises DataError or OptionError.
    """
    ngrams.check(order, megabytes, vocabulary)
    if Path(output).is_file():
        raise OptionError(f"{output} is a file: give a folder for the language model.")
    forms = forms or Forms()
    words, tokens = corpus.encode(corpus.read(texts, forms), vocabulary, minimum)
    known = len(words) - len(ngrams.SPECIAL)
    log.info("%s tokens, a vocabulary of %s words", f"{len(tokens):,}", f"{known:,}")
    levels = ngrams.count(tokens, len(words), order)
    ngrams.smooth(levels)
    log.info("%s n-grams of order 1 to %d", _sizes(levels), order)
    levels = ngrams.prune(levels, round(megabytes * 1e6))
    log.info("%s after pruning to %g MB", _sizes(levels), megabytes)
    capitals = forms.capitals(words, corpus.spelling_of(Counter("".join(words))).dotless)
    save(words, capitals, levels, Path(output), {"tokens": len(tokens)})
    return load(output)


def _sizes(levels: Sequence[ngrams.Level]) -> str:
    return " + ".join(f"{len(level.word):,}" for level in levels)


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
