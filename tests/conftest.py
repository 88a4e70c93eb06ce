"""Fixtures that several test files share."""

import signal

import pytest
from browser import app, chromium, visit
from tiny import embedded, tiny

__all__ = ["app", "chromium", "embedded", "tiny", "visit"]

# A shell that starts us in the background has us ignore Ctrl-C, and with us every program that a
# test starts and then interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def two_cores_of_four(monkeypatch):
    """A machine of four cores, and a container that may use two of them."""
    import torch

    from asr_core import models

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # which joblib heeds like a container's quota
    models.allowed_cores.cache_clear()
    yield
    torch.set_num_threads(before)
    models.allowed_cores.cache_clear()


def pytest_collection_modifyitems(items) -> None:
    """Files that take long come first, so that in the end nobody is left alone with one of them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
