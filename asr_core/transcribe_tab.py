"""One recording, from the microphone or a file, becomes words. Layout and wiring."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import gradio as gr

from asr_core import page
from asr_core.engine import Engine, Wish, gpu
from asr_core.phrases import say
from asr_core.transcript import Transcript
from asr_core.transcript_panel import transcript_panel

SAMPLES = tempfile.TemporaryDirectory(prefix="asr-samples-")

STRAGGLER = 0.5  # seconds


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
    recording = recorder(i18n, "recording")
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
    panel = transcript_panel(i18n, "transcript", player="#recording audio")
    # gradio can cancel what a sample takes the place of only while it starts to transcribe the
    # sample, and now and then cancels that (`dispatch` in its `dependency.ts`). So runs carry the
    # number of samples that were chosen before, as the browser counts, and old ones end themselves.
    chosen, newest = gr.Number(0, precision=0, visible=False), gr.State([0])

    @gpu
    def transcribe(recording: str | None, wish: Wish, language: str):
        yield from page.transcribe(engine, recording, language, wish)

    def on_sample(chosen: int, newest: list[int]):
        newest[0] = chosen + 1  # in the list that runs hold
        return chosen + 1

    def on_recording(
        request: gr.Request, recording: str | None, chosen: int, newest: list[int], *wish: Any
    ):
        for view in transcribe(recording, Wish(*wish), page.spoken(request)):
            if chosen < newest[0]:
                return
            yield {
                panel.words: view.words,
                panel.notice: view.notice,
                panel.transcript: view.transcript,
                panel.text: "" if view.running else view.text,
                cancel: gr.Button(visible=view.running),
            }

    def on_cancel(transcript: Transcript | None, request: gr.Request):
        # A last view of the cancelled run may still be on its way to the browser: let it pass.
        time.sleep(STRAGGLER)
        said = page.notice("done", say("cancelled", page.spoken(request)))
        return said, transcript.text if transcript else "", gr.Button(visible=False)

    def on_clear():
        return "", [], None, "", gr.Button(visible=False)

    wiring = {
        "fn": on_recording,
        "inputs": [recording, chosen, newest, *wishes],
        "outputs": [*panel.outputs, cancel],
        "show_progress": "minimal",
        "show_progress_on": panel.words,
        "concurrency_limit": page.VISITORS,
        "concurrency_id": "transcription",
        "api_visibility": "private",
    }
    runs = [
        gr.on([recording.stop_recording, recording.upload, start.click], **wiring),
        examples.load_input_event.then(
            on_sample, [chosen, newest], chosen, queue=False, api_visibility="private"
        ).then(**wiring, trigger_mode="multiple"),
    ]
    # In two steps, or a last view of the cancelled run could arrive after the answer.
    cancel.click(None, cancels=runs, api_visibility="private").then(
        on_cancel,
        panel.transcript,
        [panel.notice, panel.text, cancel],
        api_visibility="private",
    )
    recording.clear(
        on_clear, outputs=[*panel.outputs, cancel], cancels=runs, api_visibility="private"
    )
