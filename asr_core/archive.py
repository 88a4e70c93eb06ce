"""Recordings and where their transcripts go: some files, or a folder of however many.

    for job in Jobs(["talks"], Path("transcripts"), "srt"):   # talks/2024/first.mp3
        job.target                                            # transcripts/2024/first.srt

A transcript that is there is not made again, so a run that ended early goes on where it was. One
may be older than its recording, though, which was still being copied then.
Folders are walked, never listed as a whole: a million files take no more memory than those of the
largest folder.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from asr_core.errors import DataError, OptionError, printable, reason
from asr_core.files import whole

# How files in the formats that `audio` reads are named.
ENDINGS = frozenset(
    ".wav .wave .bwf .w64 .rf64 .aif .aiff .aifc .au .snd .caf .flac .mp3 .mp2 .mpga .ogg .oga "
    ".ogx .ogv .spx .opus .mov .qt .mp4 .mp4v .m4a .m4b .m4r .m4v .f4v .3gp .3gpp .3g2 .mkv .mka "
    ".webm .weba .aac .amr .awb .wma .wmv .asf .avi .flv .mpg .mpeg .mpe .vob .ts .tp .trp .mts "
    ".m2t .m2ts .ac3 .eac3 .ape .wv .tta .voc .sph".split()
)
# What is wrong with one file's name, or in the way of just this one, not with the place it goes to.
UNNAMEABLE = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM)

NOTHING = (0, 0)  # of a file that is none


class State(Enum):
    """Of a transcript."""

    MISSING = "missing"
    OLD = "older than its recording"
    DONE = "done"


class Job(NamedTuple):
    """A recording, the file for its transcript (None where it is printed), and its name."""

    source: str
    target: Path | None
    name: str  # in a folder, from there on

    @property
    def state(self) -> State:
        _, written = _look(self.target) if self.target else NOTHING
        if not written:
            return State.MISSING
        _, changed = self.look()
        return State.OLD if written < changed else State.DONE

    def look(self) -> tuple[int, int]:
        """What shows whether the recording changes; `NOTHING` of what is no file, as a pipe is."""
        return _look(Path(self.source))

    def write(self, transcript: str, changed: int = 0) -> None:
        """As a whole or not at all, whenever the power fails.

        It is made no older than its recording, which `changed` then (ns), as clocks differ.
        Raises DataError where only this one cannot be written, else OptionError.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with whole(self.target) as partial, partial.open("w", encoding="utf-8") as file:
                file.write(transcript)
                file.flush()
                os.fsync(file.fileno())
                if os.fstat(file.fileno()).st_mtime_ns < changed:
                    with suppress(OSError):
                        os.utime(partial, ns=(changed, changed))
        except OSError as error:
            kind = DataError if error.errno in UNNAMEABLE + IN_THE_WAY else OptionError
            raise kind(f"{printable(self.target)} cannot be written: {reason(error)}.") from error


class Jobs(Iterable[Job]):
    """What there is for `paths`, files or one folder, to be gone through as often as one likes.

    `part` is (k, n): the k-th (from 1) of n parts about as large, the same on every machine.
    `unread` are the folders that could not be read, with the reasons. Raises OptionError where two
    transcripts would be the same file, or none has a place.
    """

    def __init__(
        self, paths: Sequence[str], output: Path | None, ending: str, part: tuple[int, int] = (1, 1)
    ) -> None:
        self.output, self.ending, self.part = output, ending, part
        self.unread: dict[str, str] = {}
        if not all(paths):
            raise OptionError("A recording has no name: see what the shell made of the command.")
        folders = [path for path in paths if Path(path).is_dir()]
        if folders and len(paths) > 1:
            raise OptionError(f"{printable(folders[0])} is a folder: transcribe it by itself.")
        if folders and output is None:
            raise OptionError(
                f"{printable(folders[0])} is a folder: --output_dir is needed for its transcripts."
            )
        self.folder = Path(folders[0]) if folders else None
        self.files = [] if folders else _of_files(paths, output, ending)

    def __iter__(self) -> Iterator[Job]:
        number, count = self.part
        for job in self._walk() if self.folder else self.files:
            if zlib.crc32(os.fsencode(job.name)) % count == number - 1:
                yield job

    def doubtful(self) -> list[tuple[Job, str]]:
        """Files whose transcripts, if there are any, may be of another beside them; its name.

        In a folder that is gone through as a whole, such have names of their own.
        """
        beside: dict[Path, list[str]] = {}
        for folder in {Path(job.source).parent for job in self.files if job.target}:
            with suppress(OSError):
                for path in folder.iterdir():
                    if is_recording(path.name):
                        beside.setdefault(path.with_suffix(""), []).append(path.name)
        return [
            (job, name)
            for job in self.files
            for name in beside.get(Path(job.source).with_suffix(""), ())
            if name != Path(job.source).name and job.target.stem == Path(job.source).stem
        ]

    def _walk(self) -> Iterator[Job]:
        """The folder's recordings and those of all below it, in the order of their names."""
        seen = set()  # links may lead in circles
        for place, below, names in os.walk(self.folder, onerror=self._pass_over, followlinks=True):
            here = Path(place)
            # Hidden files are not for people: "._talk.mp3" on a Mac is no recording.
            below[:] = sorted(name for name in below if not name.startswith("."))
            try:
                found = here.stat()
            except OSError as error:  # it went away meanwhile
                self._pass_over(error)
                below.clear()
                continue
            if (found.st_dev, found.st_ino) in seen:
                below.clear()
                continue
            seen.add((found.st_dev, found.st_ino))
            inside = here.relative_to(self.folder)
            recordings = sorted(
                name for name in names if is_recording(name) and not _is_pipe(here / name)
            )
            for name, kept in short_names(recordings).items():
                target = self.output / inside / f"{kept}.{self.ending}"
                yield Job(str(here / name), target, str(inside / name))

    def _pass_over(self, error: OSError) -> None:
        if Path(error.filename) == self.folder:
            raise OptionError(
                f"{printable(self.folder)} cannot be read: {reason(error)}."
            ) from error
        self.unread[str(error.filename)] = reason(error)


def _of_files(files: Sequence[str], folder: Path | None, ending: str) -> list[Job]:
    if folder is None:
        return [Job(file, None, file) for file in files]
    names = [Path(file).name for file in files]
    ((most, times),) = Counter(name.casefold() for name in names).most_common(1)
    if times > 1:
        raise OptionError(f"Two recordings are named {printable(most)}: transcribe them apart.")
    kept = short_names(names)
    return [
        Job(file, folder / f"{kept[name]}.{ending}", file)
        for file, name in zip(files, names, strict=True)
    ]


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without their endings, where that leaves them apart, also for who ignores case."""
    kept = {name: "stdin" if name == "-" else Path(name).stem for name in names}
    while True:
        taken = Counter(short.casefold() for short in kept.values())
        again = [name for name in names if taken[kept[name].casefold()] > 1 and kept[name] != name]
        if not again:
            return kept
        kept.update(zip(again, again, strict=True))


def _look(file: Path) -> tuple[int, int]:
    """The size of a file, and when it changed (ns)."""
    try:
        found = file.stat()
    except (OSError, ValueError):  # also of a name that is too long
        return NOTHING
    # Whoever set the clock to 1970, it is there.
    return (found.st_size, found.st_mtime_ns or 1) if stat.S_ISREG(found.st_mode) else NOTHING


def is_recording(name: str) -> bool:
    return Path(name).suffix.lower() in ENDINGS and not name.startswith(".")


def _is_pipe(path: Path) -> bool:
    """A named pipe, to which nobody may ever write; what cannot be seen is told when it is read."""
    try:
        return path.is_fifo()
    except OSError:
        return False
