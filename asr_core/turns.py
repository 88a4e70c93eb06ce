"""Who computes when many want to: in the order they came, as many at once as is quickest."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import Any
from weakref import WeakSet

from asr_core.errors import ModelError

_all: WeakSet[Turns] = WeakSet()
LINGER = 1.0  # seconds: who has just had a turn is likely to want another


class Turns:
    """Lets up to `abreast` callers compute at once, who share the `cores` of a CPU.

    One alone has them all. What a small model does with a window is too little to share among
    cores, so that two windows on one core each are done sooner than one after the other on two.
    Without `cores`, torch is left to choose.
    """

    def __init__(self, abreast: int = 1, cores: int | None = None) -> None:
        self.abreast, self.cores = abreast, cores
        self.callers = abreast  # how many keep it busy
        self.early = abreast  # how much of one caller's work may be begun at once
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._pool = ThreadPoolExecutor(self.abreast, thread_name_prefix="recognizer")
        self._lock = Lock()
        self._present = 0  # who computes or waits
        self._most, self._since = 0, 0.0  # the most there were of late, and when that was

    def forked(self) -> None:
        """Go on in a process that was forked: our threads and torch's have stayed behind."""
        self.abreast = self.callers = self.early = self.cores = 1
        self._begin()

    def take(self, work: Callable, *args: Any) -> Any:
        """What `work` returns or raises, when its turn has come."""
        with self._lock:
            self._arrived(1)
            turn = submit(self._pool, self._with_its_share, work, *args)
        try:
            return turn.result()
        finally:
            with self._lock:
                self._present -= 1

    def _arrived(self, count: int) -> None:
        self._present += count
        now = monotonic()
        if self._present >= self._most or now - self._since > LINGER:
            self._most, self._since = self._present, now

    def ahead(self, work: Callable, items: Iterable) -> Iterator:
        """What `work`, which takes turns, makes of each item, in order.

        Up to `early` of them are begun before they are asked for; other callers go first.
        """
        if self.early < 2:
            yield from map(work, items)
            return
        begun: deque[Future] = deque()
        items, failure = iter(items), None
        threads: set[Thread] = set()
        workers = ThreadPoolExecutor(self.early, initializer=lambda: threads.add(current_thread()))
        try:
            while True:
                asked = monotonic()
                try:
                    item = next(items)
                except StopIteration:
                    break
                except Exception as error:  # after what there was before it
                    failure = error
                    break
                if not begun and self._present >= self.early:  # a thread for it would only wait
                    yield work(item)
                    continue
                begun.append(submit(workers, work, item))
                slow = monotonic() - asked > LINGER  # as from a radio: what is done does not wait
                while begun and (
                    max(len(begun), self._present) >= self.early or (slow and begun[0].done())
                ):
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
            if failure:
                raise failure
        finally:  # who gives up does not wait: gradio closes iterators in its event loop
            workers.shutdown(wait=False, cancel_futures=True)
            self._forgo(threads)

    def _forgo(self, threads: set[Thread]) -> None:
        """Nobody wants any more what these wait for: here it is little, and soon done."""

    def _with_its_share(self, work: Callable, *args: Any) -> Any:
        if not self.cores:
            return work(*args)
        import torch

        # Threads of torch that have no core wait for one by spinning, and slow all others.
        torch.set_num_threads(max(1, self.cores // min(self._most, self.abreast)))
        try:
            return work(*args)
        finally:  # it holds for threads that others begin later, too
            torch.set_num_threads(self.cores)


def submit(pool: ThreadPoolExecutor, work: Callable, *args: Any) -> Future:
    """Raises ModelError where no work is taken any more, as the program is ending."""
    try:
        return pool.submit(work, *args)
    except RuntimeError as error:
        raise ModelError(
            f"Nothing more is transcribed ({error}): the main thread has to wait for this one, as "
            "with `thread.join()`."
        ) from error


def _after_fork() -> None:
    if _all:
        import torch

        torch.set_num_threads(1)  # or this thread would hand work to those that have stayed behind
    for turns in _all:
        turns.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
