"""Imports without what is of no use here: a third less time until the page, a fifth until words.

For programs of ours, not for whoever imports `asr_core` into theirs.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from asr_core import compiler
from asr_core.compiler import Execute


def lean() -> None:
    """From now on; modules that are there already stay as they are."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


class Finder:
    """Finds modules as ever, and has those that are among `CHANGES` made otherwise."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name.startswith(f"{compiler.COMPILER}.") and (there := compiler.part(name)):
            return there
        changed = CHANGES.get(name)
        spec = PathFinder.find_spec(name, path) if changed else None
        if spec is None or spec.loader is None:
            return None
        spec.loader.exec_module = changed(spec.loader.exec_module)
        return spec


def _afterwards(change: Execute) -> Callable[[Execute], Execute]:
    def changed(execute: Execute) -> Execute:
        def execute_and_change(module: ModuleType) -> None:
            execute(module)
            with suppress(AttributeError):  # of another version: it takes longer, that is all
                change(module)

        return execute_and_change

    return changed


@_afterwards
def _no_type_hints(component_meta: ModuleType) -> None:
    """gradio parses the file of each component to write `.pyi` files, for editors, beside it."""
    component_meta.create_or_modify_pyi = lambda *_: None


@_afterwards
def _few_files(import_utils: ModuleType) -> None:
    """transformers reads its 3,300 files, to see what is where, for itself and again for
    `transformers.models` (transformers#44246); and losses of models that see need scipy."""
    import_utils.create_import_structure_from_path = functools.cache(
        import_utils.create_import_structure_from_path
    )
    import_utils.is_scipy_available = lambda: False


CHANGES: dict[str, Callable[[Execute], Execute]] = {
    "gradio.component_meta": _no_type_hints,
    "transformers.utils.import_utils": _few_files,
    compiler.COMPILER: compiler.deferred,
}
