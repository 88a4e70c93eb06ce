"""More visitors than can be served at once: in turns, each knows their place, memory is bounded."""

from __future__ import annotations

import re

import pytest
from browser import PATIENCE, long_recording, notice, transcript, upload
from gradio_client import Client, handle_file
from playwright.sync_api import expect

from asr_core import page
from asr_core.phrases import say

pytestmark = pytest.mark.browser

expect.set_options(timeout=PATIENCE)

RANK = re.compile("queue: |대기 순서: ")
MINUTES = 180  # so that no processor has heard the first one's when the last visitor comes
WHOLE = MINUTES * 60 * 16_000 * 4 / 1e6  # MB that such a recording would take in memory


def place(visitor):
    return visitor.locator("#transcript-words .progress-text")


def words(visitor):
    return visitor.locator("#transcript-words .word")


def test_visitors_are_served_in_turns_and_know_their_place(app, visit, tmp_path):
    # Few words: six pages full of them, in one browser, are what takes longest to show.
    path = long_recording(tmp_path / "long.wav", MINUTES, slowly=4)
    visitors = [visit() for _ in range(page.VISITORS + 1)] + [visit(locale="ko-KR")]
    visitors[0].click("#samples button >> nth=0")
    transcript(visitors[0])
    before = app.megabytes()
    for visitor in visitors:
        upload(visitor, path)
        # "processing" is said before it is known who came first: the next one waits for more.
        words(visitor).or_(place(visitor).filter(has_text=RANK)).first.wait_for()
    *served, fifth, sixth = visitors
    for visitor in served:
        notice(visitor, "busy")
        expect(words(visitor)).not_to_have_count(0)
    for visitor, rank in ((fifth, "queue: 1/"), (sixth, "대기 순서: 2/")):
        expect(place(visitor)).to_contain_text(rank)
        place(visitor).scroll_into_view_if_needed()
        expect(place(visitor)).to_be_in_viewport()
    assert app.megabytes() - before < len(served) * WHOLE / 2

    served[0].click("#cancel")
    expect(words(fifth)).not_to_have_count(0)
    expect(words(sixth)).to_have_count(0)
    expect(place(sixth)).to_contain_text("대기 순서: 1/")
    for visitor in (*served[1:], fifth):
        visitor.click("#cancel")
    expect(words(sixth)).not_to_have_count(0)
    sixth.click("#cancel")
    assert notice(sixth, "done") == say("cancelled", "ko")


def test_many_programs_at_once_all_get_their_own_answer(app, tmp_path):
    clips = [clip.path for clip in page.samples(tmp_path, 3)] * 2
    client = Client(app.url, verbose=False)
    alone = [client.predict(handle_file(clip), "json", api_name="/transcribe") for clip in clips]
    jobs = [client.submit(handle_file(clip), "json", api_name="/transcribe") for clip in clips]
    assert [job.result() for job in jobs] == alone
    assert len({re.sub("source.*", "", answer) for answer in alone}) == 3
