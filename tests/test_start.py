"""Garbage is not looked for while things are loaded; a program ends when it is told to."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from textwrap import dedent

import pytest

from asr_core.start import quick_start, told_to_end

ROOT = Path(__file__).parent.parent


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


def test_what_is_left_to_do_is_done_before_threads_are_stopped():
    program = dedent("""
        import atexit, sys

        class Thread:
            def __del__(self):
                print("stopped")

        atexit.register(lambda: print("tidied up"))  # before `asr_core` is there, and after
        from asr_core.start import run_and_leave

        def main(arguments):
            atexit.register(print, *arguments)
            sys.modules["kept"] = Thread()  # until the interpreter is taken apart
            return 3

        run_and_leave(main)
    """)
    command = [sys.executable, "-c", program, "heard"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (3, "heard\ntidied up\n"), done.stderr
