"""What the server remembers of visitors goes with them.

gradio keeps what every component last showed each of up to 10,000 sessions, also when the tab has
been closed, and every call from a program is a session of its own (`state_holder.py`). What
assistants send over MCP it writes to a file that it forgets, and so never deletes (`mcp.py`).
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradio import Blocks
    from gradio.state_holder import StateHolder


def forget_in_time(holder: StateHolder, every: float, keep: float) -> None:
    """From now on, `every` so many seconds, `forget` what was not used for `keep` seconds."""

    def sweep() -> None:
        while True:
            time.sleep(every)
            forget(holder, keep)

    threading.Thread(target=sweep, daemon=True).start()


def forget(holder: StateHolder, keep: float) -> None:
    """Drop the sessions of programs and closed tabs that were not used for `keep` seconds.

    Who leaves a tab open keeps the transcript in it, however late it is downloaded.
    """
    past = datetime.now() - timedelta(seconds=keep)
    for key, session in list(holder.session_data.items()):
        left = session.is_closed or not session.state_data  # programs have no such data
        if left and holder.time_last_used.get(key, past) <= past:
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
