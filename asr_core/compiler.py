"""torch's compiler, imported when something is to be compiled: half a second or more.

transformers imports it (`torch._dynamo`) to mark functions, most of which it is to leave alone, and
so does torch where such a one is called. The marks are kept here until the compiler is there.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
MASKS = f"{COMPILER}._trace_wrapped_higher_order_op"  # of which transformers has one class: quick
MARKS = ("allow_in_graph", "assume_constant_result")
Execute = Callable[[ModuleType], None]

_waits: list[Callable[[], None]] = []  # what executes the compiler's module, until it has been
_marked: list[tuple[str, Any]] = []


def deferred(execute: Execute) -> Execute:
    """What is to execute the compiler's module: only as far as marks go, and wholly when asked for
    anything else."""

    def defer(module: ModuleType) -> None:
        marks = {name: functools.partial(_mark, name) for name in MARKS}
        there = marks | {"disable": _disable, "__getattr__": functools.partial(_ask, module)}
        vars(module).update(there)

        def finish() -> None:
            for name in there:
                delattr(module, name)
            execute(module)
            for name, function in _marked:
                getattr(module, name)(function)

        _waits.append(finish)

    return defer


def part(name: str) -> ModuleSpec | None:
    """For who finds modules: one of the compiler's brings all of it, and itself with it."""
    if name == MASKS or not _waits:
        return None
    _finish()
    return ModuleSpec(name, _There()) if name in sys.modules else None


class _There:
    """Loads what is loaded."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        pass


def _finish() -> None:
    while _waits:
        _waits.pop()()


def _ask(module: ModuleType, name: str) -> Any:
    if name.startswith("__"):  # as whoever looks through all modules does
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    _finish()
    return getattr(module, name)


def _mark(name: str, function: Any) -> Any:
    _marked.append((name, function))
    return function


def _disable(function: Any = None, recursive: bool = True, **given: Any) -> Any:
    if function is None:
        return functools.partial(_disable, recursive=recursive, **given)

    @functools.wraps(function)
    def disabled(*args: Any, **kwargs: Any) -> Any:
        if _waits:  # nothing can have been compiled
            return function(*args, **kwargs)
        from torch._dynamo import disable

        return disable(function, recursive, **given)(*args, **kwargs)

    return disabled
