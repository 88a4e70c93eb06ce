"""Files and streams as ffmpeg can read them, which takes the beginning for that of a recording."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from asr_core.errors import first_line

HEAD = 1 << 10  # bytes of a stream that tell whether an MP4 says where its sound is before it
IN_MEMORY = 1 << 24  # bytes of a copy before it goes to the disk


def look_into(file: BinaryIO) -> tuple[bytes, int | None]:
    """The first 64 KiB of a file that can be rewound, and its size.

    Nothing is read of another one, as it could not be put back.
    """
    try:
        start = file.tell()
        file.seek(0, os.SEEK_END)
        size = file.tell() - start
        file.seek(start)
        head = file.read(1 << 16)
        file.seek(start)
    except (AttributeError, OSError, ValueError):
        return b"", None
    return (head, size) if isinstance(head, bytes) else (b"", None)


def for_ffmpeg(file: BinaryIO, rewinds: bool) -> BinaryIO | _From | _Stream:
    """`file` from where it is on. Raises OSError when a stream that does not rewind breaks."""
    if not rewinds:
        return _streamed(file)
    start = file.tell()
    return _From(file, start) if start else file


@dataclass(frozen=True)
class _From:
    """A file from where it is on, which for ffmpeg is its beginning."""

    file: BinaryIO
    start: int

    def read(self, count: int) -> bytes:
        return self.file.read(count)

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        place += self.start if whence == os.SEEK_SET else 0
        return self.file.seek(place, whence) - self.start

    def tell(self) -> int:
        return self.file.tell() - self.start


@dataclass
class _Stream:
    """What can only be read on, whose errors are those of a file: an HTTP client has its own."""

    file: BinaryIO
    head: bytes = b""  # what comes first, as it has been read already

    def read(self, count: int) -> bytes:
        if self.head:
            head, self.head = self.head[:count], self.head[count:]
            return head
        try:
            return self.file.read(count)
        except Exception as error:
            raise OSError(first_line(error)) from error


def _streamed(file: BinaryIO) -> _Stream | BinaryIO:
    """A stream, or its copy where its end has to be read first: many an MP4 and M4A tells there
    where its sound is."""
    stream, head = _Stream(file), b""
    while len(head) < HEAD and (len(head) < 8 or head[4:8] == b"ftyp"):
        more = stream.read(HEAD - len(head))
        if not more or not isinstance(more, bytes):
            break
        head += more
    stream.head = head
    if head[4:8] != b"ftyp" or b"moov" in head.partition(b"mdat")[0] or b"mdat" not in head:
        return stream
    copy = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 - goes when nobody reads it any more
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy
