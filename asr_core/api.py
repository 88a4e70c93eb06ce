"""The same for programs: the endpoint `/transcribe` and the MCP tool `transcribe`.

from gradio_client import Client, handle_file
Client("http://127.0.0.1:7860").predict(handle_file("call.wav"), "srt", api_name="/transcribe")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.data_classes import ValidationError  # pydantic's, which gradio brings
from gradio.exceptions import InvalidPathError

from asr_core import page
from asr_core.engine import Engine, Wish, gpu
from asr_core.subtitles import FORMATS, writer

RECORDING = (
    'A recording is given as {"path": PATH, "meta": {"_type": "gradio.FileData"}}, where PATH is '
    "what /gradio_api/upload answered or an address on the web."
)
GROWTH = 1.1  # by which a transcript is longer than the last one that was told


class Blocks(gr.Blocks):
    """Takes calls from programs that were written before an endpoint had its last parameters.

    What is wrong with others it says to them, in a sentence, and not to who hosts: gradio answers
    "null" and logs a traceback (`queueing.py`, `process_events`).
    """

    def validate_inputs(self, block_fn: gr.blocks.BlockFunction, inputs: list[Any]) -> None:
        # gradio's clients fill in defaults themselves; those who post a list of values do not.
        inputs += [component.value for component in block_fn.inputs[len(inputs) :]]
        super().validate_inputs(block_fn, inputs)

    async def preprocess_data(self, *arguments: Any, **options: Any) -> list[Any]:
        try:
            return await super().preprocess_data(*arguments, **options)
        except (ValidationError, InvalidPathError) as error:
            raise gr.Error(RECORDING, print_exception=False) from error
        except gr.Error as error:  # a sentence of gradio's, as of a format that there is not
            error.print_exception = False
            raise


def api(engine: Engine) -> None:
    """Components that nobody sees, but that give the endpoint its signature."""
    recording = gr.Audio(type="filepath", label="recording", visible=False)
    format = gr.Dropdown(list(FORMATS), value="txt", label="format", visible=False)
    language_model = gr.Checkbox(True, label="language_model", visible=False)
    hotwords = gr.Textbox("", label="hotwords", visible=False)
    result = gr.Textbox(label="transcript", visible=False)

    # Step by step, or gradio could not end it when whoever called has gone.
    @gpu
    def listen(recording: str | None, format: str, wish: Wish) -> Iterator[tuple[str | None, str]]:
        """Transcripts, None where one is as before; and what went wrong."""
        try:
            write = writer(format)  # what is wrong with it is told before the work
            length = 0
            for transcript in page.sparingly(engine.stream(recording, wish)):
                made = write(transcript)
                # gradio keeps all of them until somebody asks for them, perhaps never: growing by a
                # share, they are together no more than some times the last one.
                if transcript.complete or len(made) > GROWTH * length:
                    length = len(made)
                    yield made, ""
                else:
                    yield None, ""
        except Exception as error:
            yield "", page.complaint(error, "en")

    def transcribe(
        recording: str, format: str = "txt", language_model: bool = True, hotwords: str = ""
    ) -> Iterator[str]:
        """
        Write down what is said in a recording.

        Parameters:
            recording: the recording, in any common format (WAV, FLAC, MP3, OGG, M4A, WebM, MP4)
            format: txt for the words, json with the time and confidence of each, srt, vtt or tsv
            language_model: whether a language model makes words of the letters that are heard
            hotwords: words and names to favour, with commas
        Returns:
            the transcript in that format; while the recording is read, what there is of it so far
        """
        made = ""
        for new, problem in listen(recording, format, Wish("", language_model, hotwords)):
            if problem:
                raise gr.Error(problem, print_exception=False)
            made = made if new is None else new  # the same string takes no memory again
            yield made

    gr.Button(visible=False).click(
        transcribe,
        [recording, format, language_model, hotwords],
        result,
        api_name="transcribe",
        concurrency_limit=page.VISITORS,
        concurrency_id="transcription",
    )
