"""What goes wrong with what people bring, in one sentence: the name, the limit and the fix.

Everything here is shown to a person as it stands, by the page and by the commands.
"""

from __future__ import annotations

import os
import re

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # and what else may end a line


def printable(name: str | os.PathLike) -> str:
    """A file's name as it can be written down anywhere, on one line: `readable` with escapes.

    Line breaks and what else steers a terminal may be in names, too.
    """
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], readable(name))


def readable(name: str | os.PathLike) -> str:
    """A file's name as text, also one that is not in UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def sentence(error: AsrError | OSError) -> str:
    """What to say of an error that ends a command; of one of the system's, the file and why."""
    if isinstance(error, AsrError):
        return str(error)
    if not error.strerror:  # a library's, in its own words
        return first_line(error)
    file = error.filename
    if error.filename2 and not isinstance(error, FileNotFoundError):
        file = error.filename2  # of a copy that fails, where it goes to: the disk there is full
    name = printable(file) if file else "A file"
    return f"{name} cannot be used: {error.strerror.lower()}."


def first_line(error: BaseException) -> str:
    """What a library says, up to where it explains itself to programmers."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def reason(error: BaseException) -> str:
    """Why a file cannot be used, within a sentence."""
    return str(getattr(error, "strerror", None) or error).lower()


class AsrError(Exception):
    """Something a person can put right."""


class AudioError(AsrError):
    """A recording that cannot be read, or that holds nothing to transcribe."""


class DataError(AsrError):
    """A dataset that cannot be loaded or learnt from."""


class ModelError(AsrError):
    """A model that cannot be found, loaded or used."""


class OptionError(AsrError):
    """Options that are wrong or contradict each other."""


def at_least_one(flag: str, value: int | None) -> None:
    """Raises OptionError where a flag that counts something was given, and counts nothing."""
    if value is not None and value < 1:
        raise OptionError(f"{flag} {value}: at least 1 is needed.")
