"""Garbage is not looked for while things are imported and loaded, and again afterwards."""

from __future__ import annotations

import gc
import os
import signal
import weakref

import pytest

from asr_core.start import end_later, quick_start


class Knot:
    def __init__(self) -> None:
        self.itself = self


def test_garbage_is_collected_again_after_the_last_start_even_one_that_failed():
    with quick_start():
        with pytest.raises(ZeroDivisionError), quick_start():
            raise ZeroDivisionError
        assert not gc.isenabled()
    assert gc.isenabled()
    knot = weakref.ref(Knot())
    gc.collect()
    assert knot() is None


def test_what_a_later_start_made_can_be_forgotten():
    """As a model that a visitor taught is, or each would stay in memory."""
    with quick_start():
        pass
    with quick_start():
        model = Knot()
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None


@pytest.fixture
def handler():
    def ended(*_):
        raise AssertionError("ended within")

    before = signal.signal(signal.SIGTERM, ended)
    yield ended
    signal.signal(signal.SIGTERM, before)


def test_who_is_told_to_end_while_starting_ends_after_that(handler):
    done = []
    with pytest.raises(SystemExit), end_later(signal.SIGTERM):
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("started")
    assert done == ["started"]
    assert signal.getsignal(signal.SIGTERM) is handler
    with end_later(signal.SIGTERM):
        pass  # nobody told it, so it goes on


def test_what_a_host_lets_nobody_hear_stays_so(handler):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with end_later(signal.SIGTERM, signal.SIGHUP):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
