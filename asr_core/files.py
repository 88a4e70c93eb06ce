"""Files that are there as a whole or not at all, and for whom files usually are."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = re.compile(r"[.][0-9a-f]{16}[.]partial")
ABANDONED = 3600.0  # seconds: one takes moments to write, but the clocks of machines differ


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write what shall be at `path`: it is moved there at the end, or else it goes.

    So no full disk or power failure leaves a part of it. Its name is by chance: other machines that
    write there may number their processes alike.
    """
    partial = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        partial.touch()
        usual = partial.stat().st_mode
        yield partial
        _set_rights(partial, usual)
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what `whole` could not, as it was killed, from a folder."""
    for path in folder.glob(".*.partial"):
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > ABANDONED
            if old and PARTIAL.fullmatch(path.name):
                path.unlink()


def share_weights(folder: Path) -> None:
    """Let those read the weights in a model's folder who may read its configuration.

    safetensors 0.8 writes files that nobody else may read (safetensors #782), so that who serves a
    model could not load what somebody else has trained.
    """
    for path in folder.glob("*.safetensors"):
        _set_rights(path, (folder / "config.json").stat().st_mode)


def _set_rights(path: Path, mode: int) -> None:
    """Only where they are others: not every file system lets them be set."""
    if path.stat().st_mode != mode:
        path.chmod(mode)
