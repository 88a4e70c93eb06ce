"""Recordings and where their transcripts go: some files, or a folder of however many.

    for job in jobs(["talks"], Path("transcripts"), "srt"):   # talks/2024/first.mp3
        job.target                                            # transcripts/2024/first.srt

A transcript that is there and no older than its recording is not made again, so a run that ended
early goes on where it was. Folders are walked, never listed as a whole: a million files take no
more memory than those of the largest folder.
"""

from __future__ import annotations

import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asr_core.errors import OptionError

# How files in the formats that `audio` reads are named.
ENDINGS = frozenset(
    ".wav .w64 .rf64 .aif .aiff .aifc .au .snd .caf .flac .mp3 .ogg .oga .opus .mov .mp4 .m4a .m4b "
    ".m4v .3gp .3g2 .mkv .mka .webm .aac .amr .wma .wmv .asf .avi .flv .mpg .mpeg .ac3 .eac3 .ape "
    ".wv .tta .voc .sph".split()
)


class Job(NamedTuple):
    """A recording, the file for its transcript (None where it is printed), and its name."""

    source: str
    target: Path | None
    name: str  # in a folder, from there on

    @property
    def done(self) -> bool:
        if self.target is None:
            return False
        try:
            return self.target.stat().st_mtime >= Path(self.source).stat().st_mtime
        except OSError:
            return False

    def write(self, transcript: str) -> None:
        """As a whole or not at all, whenever the power fails. Raises OptionError."""
        partial = self.target.with_name(f"{self.target.name}.partial")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(transcript, encoding="utf-8")
            partial.replace(self.target)
        except OSError as error:
            raise OptionError(f"{self.target} cannot be written: {_reason(error)}.") from error


def jobs(paths: Sequence[str], output: Path | None, ending: str) -> Iterable[Job]:
    """What there is for `paths`, to be gone through as often as one likes.

    Raises OptionError where two transcripts would be the same file, or none has a place.
    """
    folders = [path for path in paths if Path(path).is_dir()]
    if not folders:
        return _of_files(paths, output, ending)
    if len(paths) > 1:
        raise OptionError(f"{folders[0]} is a folder: transcribe it by itself.")
    if output is None:
        raise OptionError(f"{folders[0]} is a folder: --output_dir is needed for its transcripts.")
    return Folder(Path(paths[0]), output, ending)


def _of_files(files: Sequence[str], folder: Path | None, ending: str) -> list[Job]:
    if folder is None:
        return [Job(file, None, file) for file in files]
    for named in (lambda file: Path(file).stem, lambda file: Path(file).name):
        targets = [folder / f"{named(file)}.{ending}" for file in files]
        if len(set(targets)) == len(targets):
            return [Job(*job) for job in zip(files, targets, files, strict=True)]
    ((name, _),) = Counter(Path(file).name for file in files).most_common(1)
    raise OptionError(f"Two recordings are named {name}: transcribe them apart.")


class Folder(Iterable[Job]):
    """The recordings in a folder and those below it, whose transcripts lie in the same order."""

    def __init__(self, folder: Path, output: Path, ending: str) -> None:
        self.folder, self.output, self.ending = folder, output, ending

    def __iter__(self) -> Iterator[Job]:
        """Jobs in the order of their names. Raises OptionError where a folder cannot be read."""
        for place, below, names in os.walk(self.folder, onerror=_refuse):
            # Hidden files are not for people: "._talk.mp3" on a Mac is no recording.
            below[:] = sorted(name for name in below if not name.startswith("."))
            here = Path(place).relative_to(self.folder)
            recordings = sorted(name for name in names if is_recording(name))
            # Some file systems take "Talk" for "talk".
            stems = Counter(Path(name).stem.casefold() for name in recordings)
            for name in recordings:
                stem = Path(name).stem
                kept = stem if stems[stem.casefold()] == 1 else name
                target = self.output / here / f"{kept}.{self.ending}"
                yield Job(str(Path(place, name)), target, str(here / name))


def is_recording(name: str) -> bool:
    return Path(name).suffix.lower() in ENDINGS and not name.startswith(".")


class Part(Iterable[Job]):
    """The `number`th (from 1) of `count` parts about as large, the same on every machine."""

    def __init__(self, whole: Iterable[Job], number: int, count: int) -> None:
        self.whole, self.number, self.count = whole, number, count

    def __iter__(self) -> Iterator[Job]:
        for job in self.whole:
            if zlib.crc32(os.fsencode(job.name)) % self.count == self.number - 1:
                yield job


def _refuse(error: OSError) -> None:
    raise OptionError(f"{error.filename} cannot be read: {_reason(error)}.") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
