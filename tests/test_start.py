"""Garbage is not looked for while things are imported and loaded, and again afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

from asr_core.start import quick_start


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
