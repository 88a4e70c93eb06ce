"""The models behind the page: loaded in the background, once, and shared by all visitors.

The page is up before torch is imported; whoever asks for a transcript earlier waits for the model.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from asr_core import models
from asr_core.errors import AsrError, ModelError, OptionError
from asr_core.models import Choice
from asr_core.start import quick_start

if TYPE_CHECKING:
    from asr_core.recognizer import Recognizer
    from asr_core.transcript import Transcript

log = logging.getLogger(__name__)

OWN = "own:"  # begins the names of models that visitors have taught
HOURS = 6.0  # of a recording that are heard where anybody may come
CHOICE = ""  # the job that finds out which model is the default one; the others are models' names


@dataclass(frozen=True)
class Wish:
    """How a visitor wants to be listened to: `model` is a name of `Engine.models`, "" the default.

    `language_model` switches the model's own off, and `hotwords` are words and names to favour,
    with commas. Nothing here can name anything else on the server.
    """

    model: str | None = ""
    language_model: bool = True
    hotwords: str | None = ""


NO_WISH = Wish()


class Engine:
    """The models a page may use, each loaded once, when it is first wanted.

    `model` is the name of the default one; None leaves that to `models.default_model`. `public`
    is a page that anybody may find. Raises OptionError when `ASR_DTYPE` or `ASR_LONGEST` are not
    what they should be, as no visitor can help that.
    """

    def __init__(self, model: str | None = None, public: bool = False) -> None:
        precision()
        self.longest = longest(public)
        self._model = model
        self._jobs: dict[str, Future] = {}
        self._own: dict[str, str] = {}  # names of visitors' own models, and their folders
        self._lock = threading.Lock()

    def choice(self) -> Choice:
        """The default model, and why it is that one; may take seconds to ask the Hub."""
        return self._job(CHOICE, self._choose).result()

    def models(self) -> list[str]:
        """The other models that visitors may choose, from `ASR_MODELS`: names with commas."""
        names = os.environ.get("ASR_MODELS", "").split(",")
        return list(dict.fromkeys(name.strip() for name in names if name.strip()))

    def recognizer(self, name: str | None = None) -> Recognizer:
        """The model of that name, or the default one, as soon as it is loaded.

        Raises ModelError when it cannot be, and the next call tries again; or when the host has
        not put `name` on the list, as a visitor must not make the server load whatever there is.
        Where nobody has asked for the default one, the embedded model takes its place for good.
        """
        if not isinstance(name, str | None):  # whatever a program sends for it
            raise ModelError(f"The model '{name}' is not one of those offered here.")
        if name in self._own:
            return self._job(name, _load, self._own[name]).result()
        if name and name.startswith(OWN):
            raise ModelError(
                "What was taught has been deleted: choose another model, or teach it again."
            )
        if name and name not in self.models():
            raise ModelError(f"The model '{name}' is not one of those offered here.")
        if name:
            return self._job(name, _load, name).result()
        choice = self.choice()
        try:
            return self._job(choice.name, _load, choice.name).result()
        except ModelError as error:
            if choice.asked:
                raise
            log.info("%s", error)
            other = Choice(models.EMBEDDED, f"{choice.name} is not available ({error})")
            with self._lock:
                self._jobs[CHOICE] = Future()
                self._jobs[CHOICE].set_result(other)
            return self.recognizer()

    def lend(self, folder: str | os.PathLike, name: str | None = None) -> str:
        """A name for the model in `folder` that only one visitor knows, as nobody can guess it.

        Given the `name` of a model that was lent, it stands for this one from now on.
        """
        name = name or OWN + secrets.token_urlsafe(16)
        with self._lock:
            self._own[name] = os.fspath(folder)
            self._jobs.pop(name, None)
        return name

    def forget(self, name: str) -> None:
        """Let go of a model that was lent."""
        with self._lock:
            self._own.pop(name, None)
            self._jobs.pop(name, None)

    def fetch(self, name: str | None) -> None:
        """Have a model before a process is forked: what is still being loaded never gets there."""
        if zero_gpu():
            with suppress(AsrError):  # it is told where the model is used
                self.recognizer(name)

    def listener(self, wish: Wish) -> Recognizer:
        """`recognizer`, told what the visitor wishes. Raises OptionError for bad hotwords."""
        return self.recognizer(wish.model).using(bool(wish.language_model), wish.hotwords or "")

    def stream(self, recording: str | None, wish: Wish) -> Iterator[Transcript]:
        """`Recognizer.stream` as the visitor wishes and as long as the host allows."""
        return self.listener(wish).stream(recording, self.longest)

    def has_language_model(self, name: str | None = None) -> bool:
        """Whether a model that is loaded has one that can be switched off."""
        return self.ready(name) and self.recognizer(name).language_model is not None

    def ready(self, name: str | None = None) -> bool:
        """Whether `recognizer` would answer at once."""
        if not isinstance(name, str | None):
            return False
        with self._lock:
            if not name:
                choice = self._jobs.get(CHOICE)
                if not _succeeded(choice):
                    return False
                name = choice.result().name
            return _succeeded(self._jobs.get(name))

    def _choose(self) -> Choice:
        return Choice(self._model) if self._model else models.default_model()

    def _job(self, key: str, function: Callable, *args: Any) -> Future:
        with self._lock:
            job = self._jobs.get(key)
            if job is None or (job.done() and job.exception()):
                job = self._jobs[key] = background(function, *args)
            return job


def zero_gpu() -> bool:
    """Whether this is ZeroGPU, where a call runs in a process of its own, forked for it."""
    return os.environ.get("SPACES_ZERO_GPU") == "true"


def gpu(function: Callable) -> Callable:
    """`spaces.GPU` on Hugging Face's ZeroGPU, which lends a GPU for a call; else `function`."""
    try:
        import spaces  # has to come before torch
    except ImportError:
        return function
    return spaces.GPU(function)


def precision() -> str:
    """What `ASR_DTYPE` says, or "auto". Raises OptionError when that is no precision."""
    wish = os.environ.get("ASR_DTYPE", "").strip().lower() or "auto"
    if wish not in models.PRECISIONS:
        raise OptionError(f"ASR_DTYPE={wish} is not one of {', '.join(models.PRECISIONS)}.")
    return wish


def longest(public: bool) -> float:
    """Seconds of a recording that are heard: the hours in `ASR_LONGEST`, if any.

    Twenty hours of silence are a file of 25 kB. Raises OptionError when it is no number of hours.
    """
    wish = os.environ.get("ASR_LONGEST", "").strip()
    try:
        hours = float(wish) if wish else HOURS if public else math.inf
    except ValueError:
        hours = 0.0
    if not hours > 0:
        raise OptionError(f"ASR_LONGEST={wish} is no number of hours: set it to 0.5, 6 or so.")
    return 3600 * hours


def _load(name: str) -> Recognizer:
    with quick_start():
        from asr_core import Recognizer

        recognizer = Recognizer(name, dtype=precision())
    # Newly installed, the beam search is compiled on the first call: no visitor waits for that. The
    # model is left alone: on ZeroGPU it may run only in the processes that are forked from here.
    decoder = recognizer.decoder()
    decoder.feed(np.zeros((1, len(recognizer.alphabet.tokens)), np.float32))
    decoder.finish()
    return recognizer


def _succeeded(job: Future | None) -> bool:
    return job is not None and job.done() and not job.exception()


def background(function: Callable, *args: Any) -> Future:
    """Like an executor's `submit`, on a thread that does not keep the program from ending."""
    future: Future = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()  # who waits may go, what is begun is ended
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
