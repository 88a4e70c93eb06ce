"""Start sooner: imports and models stay, so that looking through them for garbage is lost time.
And come to an end while starting."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_starting = 0
_started = False


@contextmanager
def quick_start() -> Iterator[None]:
    """For imports and for loading a model, on any thread: a fifth less time until the first words.

    What is there after the first time is never looked through again (`gc.freeze`). Later models may
    be forgotten, and knots in them have to be found.
    """
    global _starting, _started
    with _lock:
        _starting += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _starting -= 1
            if not _starting:
                if not _started:
                    gc.freeze()
                _started = True
                gc.enable()


@contextmanager
def end_later(*signals: signal.Signals) -> Iterator[None]:
    """Whoever sends one of `signals` that has a handler makes the program exit when this is over,
    not within.

    An exit that is raised inside a request leaves locks of httpcore's connection pool held, for
    which its closing then waits for ever. For the main thread, and where a start is short.
    """
    came: list[int] = []
    before = {one: handler for one in signals if callable(handler := signal.getsignal(one))}
    for one in before:
        signal.signal(one, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    if came:
        sys.exit()
