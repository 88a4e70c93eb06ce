"""Words appear while one speaks. Layout and wiring."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np

from asr_core import captions, page
from asr_core.engine import Engine, Wish
from asr_core.transcript_panel import transcript_panel

SPEAKERS = 8  # listened to at once
STEP = 1.0  # seconds of sound that the browser sends at a time; gradio drops what overtakes it


def live_tab(engine: Engine, i18n: gr.I18n, wishes: list[gr.components.Component]) -> None:
    """`wishes` hold the fields of a `Wish`."""
    gr.Markdown(i18n("live_help"))
    microphone = gr.Audio(
        sources=["microphone"],
        streaming=True,
        type="numpy",
        label=i18n("live_microphone"),
        buttons=[],
        elem_id="live-microphone",
    )
    panel = transcript_panel(i18n, "live", player="")
    session = gr.State()
    shown = [panel.words, panel.notice]

    def on_start():
        return captions.Session(), "", [], None, ""

    def on_sound(
        request: gr.Request,
        sound: tuple[int, np.ndarray] | None,
        session: captions.Session | None,
        *wish: Any,
    ):
        session = session or captions.Session()
        heard = captions.hear(engine, session, sound, page.spoken(request), Wish(*wish))
        if heard is None:
            return session, gr.skip(), gr.skip()
        return session, heard.words, heard.notice

    def on_stop(session: captions.Session | None, request: gr.Request):
        session = session or captions.Session()
        heard = captions.stop(session, page.spoken(request))
        text = heard.transcript.text if heard.transcript else ""
        return session, heard.notice, heard.words, heard.transcript, text

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    microphone.start_recording(on_start, outputs=[session, *panel.outputs], **quiet)
    microphone.stream(
        on_sound,
        [microphone, session, *wishes],
        [session, *shown],
        stream_every=STEP,
        time_limit=None,
        concurrency_limit=SPEAKERS,
        **quiet,
    )
    microphone.stop_recording(on_stop, session, [session, *panel.outputs], **quiet)
