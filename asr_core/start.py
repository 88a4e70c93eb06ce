"""Start sooner: imports and models stay, so that looking through them for garbage is lost time.
And end at any time."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import NoReturn

from asr_core.imports import lean

_lock = Lock()
_starting = 0
_started = False


@contextmanager
def quick_start() -> Iterator[None]:
    """For imports, which are `lean`, and for loading a model, on any thread: a third less time.

    What is there after the first time is never looked through again (`gc.freeze`). Later models may
    be forgotten, and knots in them have to be found.
    """
    global _starting, _started
    lean()
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


def told_to_end() -> list[int]:
    """Fills with the signals by which a host, or a terminal that is closed, ends us. For the main
    thread.

    An exit that a handler raises can be lost, in the callbacks of an import (`cb` of CPython's
    `importlib._bootstrap`), and inside a request it would leave locks of httpcore's connection pool
    held, for which its closing then waits for ever.
    """
    came: list[int] = []
    for name in ("SIGTERM", "SIGHUP"):
        one = getattr(signal, name, None)  # not all systems have the second
        if one == signal.SIGTERM or (one and signal.getsignal(one) is not signal.SIG_IGN):
            signal.signal(one, lambda number, _: came.append(number))
    return came


def run_and_leave(main: Callable[[list[str]], int]) -> NoReturn:
    """Exit with the status of `main` after what `atexit` knows, whatever other threads are at.

    Python would stop them where they next want it: in torch, in the middle of C++ that lets nothing
    out, and the program would be aborted (CPython issue 87135, which 3.14 mends).
    """
    status = main(sys.argv[1:])
    atexit._run_exitfuncs()
    with suppress(OSError):  # nobody reads what we print
        print(end="", flush=True)
    os._exit(status)
