"""One recording, from the microphone or a file, becomes words. Layout and wiring."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from asr_core import page
from asr_core.engine import Engine, Wish, gpu
from asr_core.phrases import say
from asr_core.transcript import Transcript
from asr_core.transcript_panel import transcript_panel

SAMPLES = tempfile.TemporaryDirectory(prefix="asr-samples-")


def recorder(i18n: gr.I18n, elem_id: str) -> gr.Audio:
    """Where a visitor speaks or drops in a file."""
    return gr.Audio(
        sources=["microphone", "upload"],
        type="filepath",
        label=i18n("recording"),
        buttons=[],
        # To draw a waveform, the browser would unpack the whole of it: an hour freezes the page.
        waveform_options={"show_recording_waveform": False},
        elem_id=elem_id,
        elem_classes="recording",
    )


def transcribe_tab(engine: Engine, i18n: gr.I18n, wishes: list[gr.components.Component]) -> None:
    """`wishes` hold the fields of a `Wish`."""
    clips = page.samples(Path(SAMPLES.name))
    # Else gradio copies them once, into the folder from which recordings are swept, and hands out
    # what is gone (`Examples` in its `helpers.py`).
    gr.set_static_paths([SAMPLES.name])
    recording = recorder(i18n, "recording")
    # gradio's page takes for sound what the browser does, whatever one tells it.
    gr.Markdown(i18n("recording_help"), elem_classes="hint")
    examples = gr.Examples(
        [[clip.path] for clip in clips],
        [recording],
        label=i18n("samples"),
        example_labels=[clip.sentence for clip in clips],
        elem_id="samples",
        api_visibility="private",
    )
    with gr.Row():
        start = gr.Button(i18n("transcribe"), variant="primary", elem_id="transcribe", scale=3)
        cancel = gr.Button(i18n("cancel"), visible=False, elem_id="cancel", scale=1)
    gr.Markdown(i18n("unsaved"), elem_id="transcript-unsaved")
    panel = transcript_panel(i18n, "transcript", player="#recording audio")
    # Runs are numbered, and one that is not the newest any more ends by itself: gradio's way of
    # cancelling answers only when the run's step is done, and `dispatch` in its `dependency.ts` now
    # and then cancels what was meant to take the place.
    number, newest = gr.Number(0, precision=0, visible=False), gr.State([0])

    @gpu
    def transcribe(recording: str | None, wish: Wish, language: str):
        yield from page.transcribe(engine, recording, language, wish)

    def on_turn(newest: list[int]):
        newest[0] += 1  # in the list that runs hold
        return newest[0]

    def on_recording(
        request: gr.Request, recording: str | None, number: int, newest: list[int], *wish: Any
    ):
        if number == newest[0]:
            wished = Wish(*wish)
            at_once = not engine.ready(wished.model)
            engine.fetch(wished.model)
            views = transcribe(recording, wished, page.spoken(request))
            before = None
            for view, shown in page.cancellable(views, at_once):
                if number != newest[0]:
                    break
                changed = panel.changed(view, before)
                if recording is None:  # what is shown stays
                    changed = {panel.notice: view.notice}
                if shown is not None:
                    changed[cancel] = gr.Button(visible=shown)
                yield changed
                before = view
        yield gr.skip()  # or gradio would send the last view again, over what was corrected since

    def on_cancel(transcript: Transcript | None, request: gr.Request):
        said = page.notice("done", say("cancelled", page.spoken(request)))
        return said, transcript.text if transcript else "", gr.Button(visible=False)

    def on_clear(transcript: Transcript | None, request: gr.Request):
        """A look at the other way to record does this too: no words are lost by it."""
        if transcript and transcript.complete:
            return gr.skip()
        if transcript:
            return on_cancel(transcript, request)
        return "", "", gr.Button(visible=False)

    turn = {
        "fn": on_turn,
        "inputs": newest,
        "outputs": number,
        "queue": False,
        "api_visibility": "private",
    }
    begun = [
        gr.on([recording.stop_recording, recording.upload, start.click], **turn),
        examples.load_input_event.then(**turn),
    ]
    runs = [
        begin.then(
            on_recording,
            [recording, number, newest, *wishes],
            [*panel.outputs, cancel],
            trigger_mode="multiple",  # the one before may still be on its last step
            show_progress="minimal",
            show_progress_on=panel.words,
            concurrency_limit=page.VISITORS,
            concurrency_id="transcription",
            api_visibility="private",
        )
        for begin in begun
    ]
    # Cancelled as well, so that those leave the queue that only wait in it.
    cancel.click(**turn).then(None, cancels=runs, api_visibility="private").then(
        on_cancel,
        panel.transcript,
        [panel.notice, panel.text, cancel],
        api_visibility="private",
    )
    recording.clear(**turn).then(
        on_clear,
        panel.transcript,
        [panel.notice, panel.text, cancel],
        cancels=runs,
        api_visibility="private",
    )
