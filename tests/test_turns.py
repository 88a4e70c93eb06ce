"""Many want to compute: as many at once as allowed, in the order they came, with shared cores."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from asr_core.turns import Turns

ROOT = Path(__file__).parents[1]


def cores() -> int:
    return torch.get_num_threads()


def test_one_alone_has_all_cores_and_two_share_them(monkeypatch):
    turns = Turns(abreast=2, cores=4)
    before = cores()
    assert turns.take(cores) == 4
    both_are_there = threading.Barrier(2)

    def late() -> int:
        both_are_there.wait(10)
        return cores()

    with ThreadPoolExecutor(2) as callers:
        found = [callers.submit(turns.take, late) for _ in range(2)]
        # Who came while nobody else was there began with all cores; the other has its half.
        assert 2 in [each.result() for each in found]
    assert turns.take(cores) == 2  # the other may be back at any moment
    monkeypatch.setattr("asr_core.turns.LINGER", 0.0)
    assert turns.take(cores) == 4
    assert cores() == before


@pytest.mark.parametrize("abreast", [1, 3])
def test_no_more_at_once_than_allowed_and_in_the_order_they_came(abreast):
    turns = Turns(abreast, cores=3)
    running, most, order, lock = 0, 0, [], threading.Lock()
    all_are_there, enough = threading.Event(), threading.Barrier(abreast)

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            order.append(number)
        assert all_are_there.wait(10)
        enough.wait(10)  # goes on when so many compute at once, and never if fewer may
        with lock:
            running -= 1
        return number

    with ThreadPoolExecutor(9) as callers:
        found = []
        for number in range(9):
            found.append(callers.submit(turns.take, work, number))
            while turns._present <= number:
                time.sleep(0.001)
        all_are_there.set()
        assert [each.result() for each in found] == list(range(9))
    assert most == abreast
    if abreast == 1:  # those who compute at once may overtake each other
        assert order == list(range(9))


def test_what_goes_wrong_is_the_callers_and_the_next_has_its_turn():
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        turns.take(lambda: 1 / 0)
    assert turns.take(lambda: "next") == "next"


def test_one_alone_computes_the_next_while_there_is_room_and_gets_all_in_order():
    turns = Turns(abreast=2, cores=2)
    both = threading.Barrier(2)

    def work(number: int) -> int:
        turns.take(both.wait, 10)  # goes on when two compute at once
        return number

    assert list(turns.ahead(work, range(6))) == list(range(6))


def test_nothing_is_begun_early_when_others_fill_the_room():
    turns = Turns(abreast=2, cores=2)
    others_may_go, begun = threading.Event(), []

    def work(number: int) -> int:
        begun.append(number)
        return number

    with ThreadPoolExecutor(2) as others:
        for _ in range(2):
            others.submit(turns.take, others_may_go.wait, 10)
        while turns._present < 2:
            time.sleep(0.001)
        results = turns.ahead(work, range(6))
        assert next(results) == 0
        assert begun == [0]
        others_may_go.set()
        assert list(results) == [1, 2, 3, 4, 5]


def test_what_was_heard_before_a_failure_comes_first():
    def items():
        yield from (1, 2, 3)
        raise ValueError("the file is damaged")

    results = Turns(abreast=4, cores=4).ahead(lambda number: number, items())
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="damaged"):
        next(results)


def test_what_is_done_does_not_wait_for_a_source_that_takes_its_time(monkeypatch):
    monkeypatch.setattr("asr_core.turns.LINGER", 0.0)
    turns, worked = Turns(abreast=16, cores=16), set()

    def radio():
        for number in range(16):
            yield number
            while number not in worked:
                time.sleep(0.001)

    def work(number: int) -> int:
        worked.add(number)
        return number

    results = turns.ahead(work, radio())
    assert next(results) == 0
    assert len(worked) < 8
    assert list(results) == [*range(1, 16)]


def test_who_gives_up_does_not_wait_for_what_was_begun():
    turns, ended = Turns(abreast=2, cores=2), []
    began, may_end = threading.Event(), threading.Event()

    def work(number: int) -> int:
        if number:
            began.set()
            turns.take(may_end.wait, 10)
            ended.append(number)
        return number

    results = turns.ahead(work, range(6))
    assert next(results) == 0
    assert began.wait(10)
    results.close()
    assert not ended
    may_end.set()


def test_a_model_that_comes_later_has_all_cores():
    small, large = Turns(abreast=2, cores=4), Turns(cores=4)
    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as callers:
        for _ in range(2):
            callers.submit(small.take, both.wait, 10)
    small.take(int)  # with half of the cores, as the other may be back
    assert large.take(cores) == 4


def test_who_waits_takes_no_core_from_who_computes():
    turns, may_go = Turns(abreast=1, cores=4), threading.Event()
    with ThreadPoolExecutor(3) as callers:
        callers.submit(turns.take, may_go.wait, 10)
        found = [callers.submit(turns.take, cores) for _ in range(2)]
        while turns._present < 3:
            time.sleep(0.001)
        may_go.set()
        assert [each.result() for each in found] == [4, 4]


def test_threads_that_others_begin_have_all_cores():
    before = cores()
    turns = Turns(abreast=2, cores=before)
    assert turns.take(lambda: torch.set_num_threads(1)) is None
    with ThreadPoolExecutor(1) as others:
        assert others.submit(cores).result() == before


@pytest.mark.parametrize("turns", ["Turns()", "Together(1, padded=True)"])
def test_a_thread_that_outlives_the_main_one_is_told_in_a_sentence(turns):
    program = f"""
import concurrent.futures.thread as pools, threading, time
from asr_core.errors import ModelError
from asr_core.together import Together
from asr_core.turns import Turns

def late():
    while not pools._shutdown:
        time.sleep(0.001)
    try:
        turns.take(list, ["a"])
    except ModelError as error:
        print(error)

turns = {turns}
threading.Thread(target=late).start()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.stdout.startswith("Nothing more is transcribed (cannot schedule new futures")
    assert not ended.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that are forked")
def test_a_process_that_was_forked_computes_by_itself():
    turns = Turns(abreast=2, cores=2)
    assert turns.take(os.getpid) == os.getpid()
    forked = multiprocessing.get_context("fork")
    there, here = forked.Pipe()
    child = forked.Process(target=lambda: here.send((turns.take(os.getpid), turns.take(cores))))
    child.start()
    try:
        assert there.poll(60)
        assert there.recv() == (child.pid, 1)
    finally:
        child.kill()
