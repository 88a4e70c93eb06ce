"""Fixtures that several test files share."""

import signal

from browser import app, chromium, visit
from tiny import embedded, tiny

__all__ = ["app", "chromium", "embedded", "tiny", "visit"]

# A shell that starts us in the background has us ignore Ctrl-C, and with us every program that a
# test starts and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items) -> None:
    """Files that take long come first, so that in the end nobody is left alone with one of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
