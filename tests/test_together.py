"""Who waits at the same time is heard together, and nobody notices but by the clock."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from asr_core.errors import ModelError
from asr_core.together import Together


class Gate:
    """Work that notes its batches, whose first one waits until all others are in the queue."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()

    def __call__(self, items: list[str]) -> list[str]:
        self.batches.append(items)
        assert self.open.wait(10)
        if "bad" in items:
            raise ValueError("a bad one")
        return [item.upper() for item in items]


def queued(turns: Together, gate: Gate, items: list[str], callers: ThreadPoolExecutor) -> list:
    """What each item's caller will get, when the first runs and the rest wait in this order."""
    found = []
    for number, item in enumerate(items):
        found.append(callers.submit(lambda item=item: turns.take(gate, [item])[0]))
        while turns._present <= number or not gate.batches:
            time.sleep(0.001)
    return found


def heard(turns: Together, items: list[str]) -> list[list[str]]:
    gate = Gate()
    with ThreadPoolExecutor(len(items)) as callers:
        found = queued(turns, gate, items, callers)
        gate.open.set()
        assert [each.result(10) for each in found] == [item.upper() for item in items]
    assert turns._present == 0
    return gate.batches


def test_one_alone_does_not_wait_for_others():
    assert Together(100, padded=True).take(lambda items: [len(each) for each in items], ["ab"]) == [
        2
    ]


def test_who_waits_is_heard_in_one_batch_and_gets_its_own():
    items = ["first", "a", "bb", "ccc", "dddd"]
    first, rest = heard(Together(100, padded=True), items)
    assert first == ["first"]
    assert sorted(rest) == sorted(items[1:])


def test_no_more_items_than_allowed_at_once():
    items = ["first", *"abcdefg"]
    assert [len(batch) for batch in heard(Together(100, True, most=3), items)] == [1, 3, 3, 1]


def test_a_batch_is_no_longer_than_allowed_with_its_padding():
    batches = heard(Together(12, padded=True), ["first", "aaaa", "b", "c", "d"])
    assert all(len(batch) * max(map(len, batch)) <= 12 for batch in batches)
    assert len(batches) == 3


def test_an_item_that_is_too_long_for_any_batch_is_heard_alone():
    assert heard(Together(3, padded=True), ["first", "aaaa", "b"]) == [["first"], ["aaaa"], ["b"]]


def test_those_of_like_length_come_along_and_nobody_starves():
    items = ["first", "a" * 9, "b", "c", "d" * 8, "e", "f" * 9]
    batches = heard(Together(27, padded=True), items)
    # The one who waits longest leads, whatever its length, and takes those that are most like it.
    assert batches[1:] == [["a" * 9, "f" * 9, "d" * 8], ["b", "c", "e"]]


def test_without_padding_all_of_a_batch_are_of_one_length():
    items = ["first", "aa", "b", "cc", "d"]
    assert heard(Together(100, padded=False), items) == [["first"], ["aa", "cc"], ["b", "d"]]


def test_batches_that_run_abreast_share_who_waits():
    turns = Together(100, padded=False, abreast=2, cores=2)
    assert sorted(map(len, heard(turns, [*"abcdef"]))) == [1, 1, 1, 1, 2]


def test_lengths_may_be_told_otherwise():
    turns = Together(100, padded=False, length=lambda item: 2 * -(-len(item) // 2))
    assert heard(turns, ["first", "a", "bb", "ccc"]) == [["first"], ["a", "bb"], ["ccc"]]


def test_an_error_is_told_to_those_alone_who_brought_it():
    turns, gate = Together(100, padded=True), Gate()
    items = ["first", "a", "b", "bad", "c", "d"]
    with ThreadPoolExecutor(len(items)) as callers:
        found = queued(turns, gate, items, callers)
        gate.open.set()
        for item, each in zip(items, found, strict=True):
            if item == "bad":
                with pytest.raises(ValueError, match="a bad one"):
                    each.result(10)
            else:
                assert each.result(10) == item.upper()
    assert turns.take(gate, ["next"]) == ["NEXT"]


def test_what_nobody_wants_any_more_is_not_run_and_holds_nobody_up():
    turns, gate = Together(100, padded=True), Gate()
    with ThreadPoolExecutor(3) as callers:
        found = queued(turns, gate, ["first", "left", "stays"], callers)
        turns._waiting[0].result.cancel()
        gate.open.set()
        assert [found[at].result(10) for at in (0, 2)] == ["FIRST", "STAYS"]
        assert isinstance(found[1].exception(10), BaseException)
    assert gate.batches == [["first"], ["stays"]]


def test_after_a_batch_too_large_for_the_memory_the_next_are_smaller():
    turns, batches = Together(100, padded=True), []

    def work(items: list[str]) -> list[str]:
        batches.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("no room")
        return items

    items = ["aaaa"] * 12
    first, second = turns.take(work, items), []
    while len(second) < 12:
        before = len(batches)
        second += turns.take(work, items)
    assert first == second == items
    assert max(batches[before:]) <= 3 < max(batches[:before])


def test_several_items_of_one_caller_come_back_in_their_order():
    turns = Together(3, padded=True)
    assert turns.take(lambda items: [each.upper() for each in items], ["a", "bbb", "cc"]) == [
        "A",
        "BBB",
        "CC",
    ]


def test_the_windows_of_one_recording_are_heard_together():
    turns, batches = Together(100, padded=True), []

    def work(items: list[str]) -> list[str]:
        batches.append(items)
        time.sleep(0.01)
        return items

    items = [str(number) for number in range(10, 50)]
    assert list(turns.ahead(lambda item: turns.take(work, [item])[0], items)) == items
    assert len(batches) < len(items)


def test_what_was_begun_early_for_who_gave_up_is_not_heard():
    turns, heard = Together(100, padded=True, most=1), []
    blocked, may_end = threading.Event(), threading.Event()

    def work(items: list[str]) -> list[str]:
        heard.extend(items)
        if len(heard) > 1:
            blocked.set()
            assert may_end.wait(10)
        return items

    results = turns.ahead(lambda item: turns.take(work, [item])[0], map(str, range(40)))
    assert next(results) == "0"
    assert blocked.wait(10)
    while len(turns._waiting) < 14:  # of the 16 that were begun
        time.sleep(0.001)
    left = [each.item for each in turns._waiting]
    results.close()
    may_end.set()
    while turns._present:
        time.sleep(0.001)
    assert not {*left} & {*heard}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
def test_a_process_that_was_forked_goes_on_by_itself_on_a_cpu():
    turns = Together(100, padded=False, abreast=2, cores=2)

    def work(items: list[str]) -> list[tuple[str, int, int]]:
        return [(item, os.getpid(), torch.get_num_threads()) for item in items]

    assert turns.take(work, ["a"]) == [("a", os.getpid(), 2)]
    forked = multiprocessing.get_context("fork")
    there, here = forked.Pipe()
    child = forked.Process(target=lambda: here.send(turns.take(work, ["b"])))
    child.start()
    try:
        assert there.poll(60)
        assert there.recv() == [("b", child.pid, 1)]
    finally:
        child.kill()


def test_a_process_that_was_forked_is_told_to_be_begun_otherwise():
    turns = Together(100, padded=True)
    turns.forked()
    with pytest.raises(ModelError, match=r'get_context\("spawn"\)'):
        turns.take(lambda items: items, ["a"])
