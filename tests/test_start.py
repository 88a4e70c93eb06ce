"""Garbage is not looked for while things are imported and loaded, and again afterwards."""

from __future__ import annotations

import gc
import os
import signal
import weakref

import pytest

from asr_core.start import quick_start, told_to_end


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
def signals():
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def test_who_is_told_to_end_is_not_torn_out_of_what_is_being_done(signals):
    came = told_to_end()
    assert not came
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)
    assert set(came) == {signal.SIGHUP, signal.SIGTERM}


def test_what_a_host_lets_nobody_hear_stays_so(signals):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    came = told_to_end()
    os.kill(os.getpid(), signal.SIGHUP)
    assert not came
