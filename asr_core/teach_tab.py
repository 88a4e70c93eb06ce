"""A visitor's own sentences make a model of their own. Layout and wiring."""

from __future__ import annotations

import gradio as gr
import pandas as pd

from asr_core import page, teaching
from asr_core.engine import Engine
from asr_core.errors import AsrError
from asr_core.lesson import Lesson
from asr_core.phrases import say
from asr_core.prompts import prompts
from asr_core.transcribe_tab import recorder
from asr_core.transcript_panel import LIVE_REGION


def teach_tab(engine: Engine, i18n: gr.I18n, model: gr.Dropdown, tab: gr.Tab, keep: float) -> None:
    """`model` is where visitors choose, `tab` what this is in; lessons end `keep` s after use."""
    gr.Markdown(i18n("teach_help"))
    lesson = gr.State(time_to_live=keep, delete_callback=lambda held: held and held.close())
    number = gr.Radio(label=i18n("teach_sentences"), elem_id="teach-numbers")
    sentence = gr.Textbox(
        label=i18n("teach_read"), info=i18n("teach_read_info"), elem_id="teach-sentence"
    )
    recording = recorder(i18n, "teach-recording")
    with gr.Row():
        start = gr.Button(i18n("teach"), variant="primary", elem_id="teach", scale=3)
        cancel = gr.Button(i18n("cancel"), visible=False, elem_id="teach-cancel", scale=1)
    notice = gr.HTML(elem_id="teach-notice", js_on_load=LIVE_REGION)
    with gr.Row(visible=False) as course:
        plots = [
            gr.LinePlot(
                x="step",
                y="value",
                color="line",
                y_title=" ",
                color_title=" ",
                show_label=False,
                height=260,
                y_lim=[0, None],
                min_width=280,
                elem_id=f"teach-{name}",
            )
            for name in ("losses", "rates")
        ]
    result = gr.HTML(elem_id="teach-result")
    with gr.Row(visible=False) as takings:
        use = gr.Button(i18n("teach_use"), elem_id="teach-use")
        download = gr.DownloadButton(i18n("teach_download"), elem_id="teach-download")
    reader = [number, sentence, recording]

    def marks(held: Lesson) -> list[tuple[str, int]]:
        """The numbers of the sentences, and which ones have been recorded."""
        every = range(len(held.sentences))
        return [("✓ " * (i in held.clips) + str(i + 1), i) for i in every]

    def show(held: Lesson, index: int) -> dict:
        """The sentence to read."""
        clip = held.clips.get(index)
        return {
            lesson: held,
            number: gr.Radio(marks(held), value=index),
            sentence: held.sentences[index],
            recording: str(clip) if clip else None,
        }

    def begin(held: Lesson | None, model: str) -> Lesson:
        if held:
            return held
        return Lesson(engine, prompts("".join(engine.recognizer(model).alphabet.tokens)))

    def on_open(held: Lesson | None, model: str, request: gr.Request):
        language = page.spoken(request)
        if held:
            yield gr.skip()
            return
        if not engine.ready(model):
            yield {notice: page.notice("busy", say("loading", language))}
        try:
            shown = show(begin(None, model), 0)
        except Exception as error:
            yield {notice: page.notice("problem", page.complaint(error, language))}
        else:
            yield shown | {notice: ""}
            yield gr.skip()  # or gradio would show it once more, over what has been written since

    def on_recording(
        held: Lesson | None,
        index: int | None,
        said: str,
        path: str | None,
        model: str,
        request: gr.Request,
    ):
        language = page.spoken(request)
        if path is None:
            return {notice: page.notice("problem", say("nothing_recorded", language))}
        try:
            held, index = begin(held, model), index or 0
            held.record(index, path, said, model)
        except AsrError as error:
            return {notice: page.notice("problem", page.complaint(error, language))}
        following = held.next(index)
        key = "teach_all" if following == index else "teach_kept"
        kept = say(key, language, count=len(held.clips), all=len(held.sentences))
        return show(held, following) | {notice: page.notice("done", kept)}

    def on_number(held: Lesson | None, index: int):
        """The number stays as it is: it may have moved on while this was on its way."""
        return [show(held, index)[part] for part in (sentence, recording)] if held else gr.skip()

    def on_clear(held: Lesson | None, index: int):
        """A look at the other way to record does this too, so what is written there stays."""
        if held is None:
            return gr.skip()
        held.forget(index)
        return gr.Radio(marks(held))

    def on_sentence(
        held: Lesson | None,
        index: int | None,
        said: str,
        path: str | None,
        model: str,
        request: gr.Request,
    ):
        if held is None or index is None or not said.strip():
            return gr.skip()
        held.sentences[index] = said.strip()
        if path is None or index in held.clips:
            return gr.skip()
        return on_recording(held, index, said, path, model, request)  # refused for what was written

    def on_teach(held: Lesson | None, model: str, request: gr.Request):
        language = page.spoken(request)
        drawn = teaching.View("")
        views = teaching.teach(held, model, language)
        for view, shown in page.cancellable(views, at_once=True):
            yield {
                lesson: held,
                notice: view.notice,
                start: gr.Button(interactive=not view.running),
                cancel: gr.skip() if shown is None else gr.Button(visible=shown),
                course: gr.Row(visible=view.steps > 0),
                takings: gr.Row(visible=view.download is not None),
                download: view.download,
                result: view.result,
                **(draw(view, language) if view.steps and view[1:3] != drawn[1:3] else {}),
            }
            drawn = view

    def draw(view: teaching.View, language: str) -> dict:
        return {
            plot: gr.LinePlot(
                pd.DataFrame(points, columns=["step", "value", "line"]),
                title=say(key, language),
                x_title=say("teach_steps", language),
                x_lim=[0, view.steps],
            )
            for plot, key, points in zip(
                plots, ("teach_losses", "teach_rates"), view[1:3], strict=True
            )
        }

    def on_cancel(held: Lesson | None):
        if held:
            held.cancel()

    def on_use(held: Lesson | None, request: gr.Request):
        if held is None or held.model is None:
            return gr.skip()
        language = page.spoken(request)
        names = [(say("default_model", language), ""), *((name, name) for name in engine.models())]
        names.append((say("taught", language), held.model))
        return gr.Dropdown(names, value=held.model, visible=True)

    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    shown = [lesson, *reader, notice]
    tab.select(on_open, [lesson, model], shown, **quiet)
    # On a busy server the next comes while one is on its way: what changes the lesson does so in
    # its turn, and what the server says sets nothing that the visitor may have changed since.
    turns = {"concurrency_id": "lesson", "trigger_mode": "multiple", **quiet}
    number.input(
        on_number, [lesson, number], [sentence, recording], trigger_mode="always_last", **quiet
    )
    sentence.blur(on_sentence, [lesson, *reader, model], shown, **turns)
    gr.on(
        [recording.stop_recording, recording.upload],
        on_recording,
        [lesson, *reader, model],
        shown,
        **turns,
    )
    recording.clear(on_clear, [lesson, number], number, **turns)
    start.click(
        on_teach,
        [lesson, model],
        [lesson, notice, start, cancel, course, takings, download, result, *plots],
        concurrency_limit=None,  # whoever comes second is told so instead of waiting
        **quiet,
    )
    cancel.click(on_cancel, lesson, **quiet)
    use.click(on_use, lesson, model, **quiet)
