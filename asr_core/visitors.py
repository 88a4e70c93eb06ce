"""What the server remembers of visitors goes with them.

gradio keeps what every component last showed each of up to 10,000 sessions, also when the tab has
been closed, and every call from a program is a session of its own (`state_holder.py`). What
assistants send over MCP it writes to a file that it forgets, and so never deletes (`mcp.py`). What
was uploaded it deletes in time, but not always when it is asked to end, and never what a run that
was killed has left (`delete_files_created_by_app` in its `route_utils.py`), nor an upload that
broke off: it knows of one only when all of it is there (`GradioMultiPartParser` there).
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradio import Blocks
    from gradio.state_holder import StateHolder

log = logging.getLogger(__name__)

OURS = "asr-recordings-"  # begins the names of folders with what visitors leave: ours alone
EMPTY = 60  # seconds that a session is kept which holds nothing, like those of programs


def folders_of_this_run(every: float, keep: float) -> None:
    """From now on, what visitors leave lies in folders that go when the program ends.

    Uploads are in one in `GRADIO_TEMP_DIR`, which gradio lets their visitors fetch again; lessons
    and all else in one where temporary files are. To be called before gradio is imported, which
    reads that variable then. `every` so many seconds, `sweep` for `keep` seconds.
    """
    uploads = _folder(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    temporary = _folder(tempfile.gettempdir())
    os.environ["GRADIO_TEMP_DIR"], tempfile.tempdir = str(uploads), str(temporary)
    busy = threading.Lock()

    def tidy() -> None:
        with busy:
            for folder in (uploads, temporary):
                sweep(folder, keep)
            drop_parts(uploads, keep)

    @atexit.register
    def leave() -> None:
        busy.acquire()  # for good: `sweep` would make the folders anew
        for folder in (uploads, temporary):
            shutil.rmtree(folder, ignore_errors=True)

    tidy()
    _repeat(every, tidy)


def _folder(place: str) -> Path:
    """A new one in `place`."""
    Path(place).mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=OURS, dir=place))


def sweep(own: Path, keep: float) -> None:
    """Delete the folders beside `own` of runs that gave no sign for `keep` seconds; give one.

    Nothing is deleted if there was none of this run either: the machine slept, and others with it.
    """
    own.mkdir(parents=True, exist_ok=True)
    slept = own.stat().st_mtime < time.time() - keep
    os.utime(own)
    if slept:
        return
    for folder in own.parent.glob(f"{OURS}*"):
        with suppress(OSError):  # another run may be as quick
            if not folder.is_symlink() and folder.stat().st_mtime < time.time() - keep:
                shutil.rmtree(folder, ignore_errors=True)


def drop_parts(uploads: Path, keep: float) -> None:
    """Delete the uploads that never became whole and to which nothing was added for `keep` seconds.

    They lie in the folder itself; whole ones are moved to a folder of their own.
    """
    for path in uploads.iterdir():
        with suppress(OSError):  # it may have become whole just now
            if path.is_file() and path.stat().st_mtime < time.time() - keep:
                path.unlink()


def drop_broken_uploads() -> None:
    """From now on, an upload is deleted when its visitor goes away or the disk is full."""
    from gradio import route_utils

    class Parser(route_utils.GradioMultiPartParser):
        async def parse(self):
            try:
                return await super().parse()
            except BaseException:  # gradio tidies up only after what it refuses itself
                for file in self._files_to_close_on_error:
                    with suppress(OSError):
                        file.close()
                    Path(file.name).unlink(missing_ok=True)
                raise

    route_utils.GradioMultiPartParser = Parser


def forget_in_time(holder: StateHolder, keep: float) -> None:
    """From now on, `forget` what was not used for `keep` seconds, and make room with care.

    When its table is full, gradio evicts the session that was not used for longest, perhaps one
    whose tab is open, and runs no delete callbacks. Here one without state goes first, if any.
    """
    _repeat(EMPTY / 6, lambda: forget(holder, keep))
    update = holder.update

    def make_room(newest: str) -> None:
        if len(holder.session_data) > holder.capacity:
            others = [each for each in list(holder.session_data.items()) if each[0] != newest]
            _drop(holder, min(others, key=lambda each: bool(each[1].state_data))[0])
        update(newest)

    holder.update = make_room


def _repeat(every: float, work: Callable[[], None]) -> None:
    def run() -> None:
        while True:
            time.sleep(every)
            try:
                work()
            except Exception as error:  # the next time may do better
                log.error("What visitors have left could not be deleted: %s", error)

    threading.Thread(target=run, daemon=True).start()


def forget(holder: StateHolder, keep: float) -> None:
    """Drop the sessions of closed tabs that were not used for `keep` seconds, and empty ones.

    Who leaves a tab open keeps the transcript in it, however late it is downloaded.
    """
    now = datetime.now()
    for key, session in list(holder.session_data.items()):
        unused = now - holder.time_last_used.get(key, now)
        if unused >= timedelta(seconds=keep if session.state_data else EMPTY) and (
            session.is_closed or not session.state_data
        ):
            _drop(holder, key)


def _drop(holder: StateHolder, key: str) -> None:
    holder.delete_state(key)
    with holder.lock:
        holder.session_data.pop(key, None)
        holder.time_last_used.pop(key, None)


def remember_files_of_assistants(demo: Blocks) -> None:
    """From now on, recordings that come over MCP are swept like those that visitors upload."""
    server = demo.mcp_server_obj
    if server is None:
        return
    convert = server.convert_strings_to_filedata

    def converted(value: Any, positions: list) -> Any:
        made = convert(value, positions)
        files = [each for each in made.values() if isinstance(each, dict) and "path" in each]
        demo.upload_file_set.update(
            each["path"] for each in files if not each["path"].startswith(("http:", "https:"))
        )
        return made

    server.convert_strings_to_filedata = converted
