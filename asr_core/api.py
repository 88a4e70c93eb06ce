"""The same for programs: the endpoint `/transcribe` and the MCP tool `transcribe`.

from gradio_client import Client, handle_file
Client("http://127.0.0.1:7860").predict(handle_file("call.wav"), "srt", api_name="/transcribe")
"""

from __future__ import annotations

import gradio as gr

from asr_core import page
from asr_core.engine import Engine, gpu
from asr_core.subtitles import FORMATS, render


def api(engine: Engine) -> None:
    """Components that nobody sees, but that give the endpoint its signature."""
    recording = gr.Audio(type="filepath", label="recording", visible=False)
    format = gr.Dropdown(list(FORMATS), value="txt", label="format", visible=False)
    result = gr.Textbox(label="transcript", visible=False)

    @gpu
    def listen(recording: str | None, format: str) -> tuple[str, str]:
        try:
            transcripts = list(engine.recognizer().stream(recording))
            return render(transcripts[-1], format), ""
        except Exception as error:
            return "", page.complaint(error, "en")

    def transcribe(recording: str, format: str = "txt") -> str:
        """
        Write down what is said in a recording.

        Parameters:
            recording: the recording, in any common format (WAV, FLAC, MP3, OGG, M4A, WebM, MP4)
            format: txt for the words, json with the time and confidence of each, srt, vtt or tsv
        Returns:
            the transcript in that format
        """
        made, problem = listen(recording, format)
        if problem:
            raise gr.Error(problem, print_exception=False)
        return made

    gr.Button(visible=False).click(
        transcribe,
        [recording, format],
        result,
        api_name="transcribe",
        concurrency_limit=page.VISITORS,
        concurrency_id="transcription",
    )
