"""Words appear while one speaks. Layout and wiring."""

from __future__ import annotations

from typing import Any

import gradio as gr

from asr_core import captions, page
from asr_core.engine import Engine, Wish
from asr_core.phrases import say
from asr_core.transcript_panel import ASSETS, transcript_panel

SPEAKERS = 8  # listened to at once, the others wait while their browsers record

START = "async (key, began, ...others) => [...(await startMicrophone()), ...others]"
STOP = "() => stopMicrophone()"
CLEAR = "(newest) => (clearTape(), [newest])"


def live_tab(engine: Engine, i18n: gr.I18n, wishes: list[gr.components.Component]) -> None:
    """`wishes` hold the fields of a `Wish`."""
    speaking = captions.Sessions()

    async def hear(message: Any) -> int | None:
        return captions.receive(speaking, message)

    gr.Markdown(i18n("live_help"))
    with gr.Row():  # which of them is seen is up to the microphone, see head.html
        record = gr.Button(i18n("live_record"), variant="primary", elem_id="live-record", scale=3)
        stop = gr.Button(i18n("live_stop"), variant="stop", elem_id="live-stop", scale=3)
        clear = gr.Button(i18n("live_clear"), elem_id="live-clear", scale=1)
    gr.HTML(
        html_template="<div></div>",  # to play what was recorded
        js_on_load=(ASSETS / "microphone.js").read_text(),
        server_functions=[hear],
        elem_id="live-microphone",
    )
    key = gr.Textbox(visible=False)  # of the session, made up by the browser
    began = gr.Number(visible=False)  # seconds that had been recorded before
    newest = gr.State([])  # session: in the list, which runs hold
    gr.Markdown(i18n("unsaved"), elem_id="live-unsaved")
    panel = transcript_panel(i18n, "live", player="#live-microphone audio", aloud=True)

    def on_record(
        request: gr.Request,
        key: str | None,
        began: float,
        newest: list[captions.Session],
        text: str | None,
        *wish: Any,
    ):
        if key == "":  # nothing was meant to begin, and what is shown stays
            yield gr.skip()
            return
        language = page.spoken(request)
        if key is None:
            yield {panel.notice: page.notice("problem", say("no_microphone", language))}
            return
        session, key = captions.Session(), key[: captions.KEY]
        speaking[key] = session
        former, newest[:] = newest[:], [session]
        shown = None
        try:
            before = captions.said_before(former, text, began)
            for view in captions.listen(engine, session, language, Wish(*wish), before):
                session.transcript = view.transcript
                yield panel.changed(view, shown)
                shown = view
            yield gr.skip()  # or gradio would send the last view once more
        finally:
            speaking[key] = captions.ENDED
            session.done.set()

    def on_clear(newest: list[captions.Session]):
        newest.clear()
        return panel.changed(page.View([], ""), None)

    record.click(
        on_record,
        [key, began, newest, panel.text, *wishes],
        panel.outputs,
        js=START,
        trigger_mode="multiple",  # the last words of one session may still be on their way
        show_progress="minimal",
        show_progress_on=panel.notice,
        concurrency_limit=SPEAKERS,
        api_visibility="private",
    )
    stop.click(None, js=STOP, api_visibility="private")
    clear.click(
        on_clear, newest, panel.outputs, js=CLEAR, show_progress="hidden", api_visibility="private"
    )
