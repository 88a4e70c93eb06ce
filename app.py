"""The page: speak or drop in a recording, and read what was said.

    python app.py [--model M] [--host H] [--port P] [--share]

Layout and wiring only; what the page does is in `asr_core/page.py`.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asr_core import page
from asr_core.engine import Engine
from asr_core.errors import AsrError, OptionError
from asr_core.phrases import PHRASES, language, say
from asr_core.subtitles import FORMATS

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger("asr_core")

SWEEP, KEEP = 10, 50  # minutes: how often old recordings are looked for, and how old they may get
MAX_FILE_SIZE = "500mb"
VISITORS = 4  # served at once, in turns; the others see their place in the queue
SAMPLES = tempfile.TemporaryDirectory(prefix="asr-samples-")
ASSETS = Path(page.__file__).parent / "assets"

# `${}` is JavaScript. Nothing a visitor brings may go through gradio's other syntax, double braces:
# that would become part of the program.
WORDS = r"""<div class="words" role="group" aria-live="off">${
  (value || []).map(([text, start, title, unsure], index) =>
    `<span class="word${unsure ? " unsure" : ""}" data-start="${start}" title="${title}"
      tabindex="${index ? -1 : 0}">${
      text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
    }</span>`).join(" ")
}</div>"""
COPY = "(words) => copyText((words || []).map((word) => word[0]).join(' '))"
LIVE_REGION = "element.setAttribute('role', 'status')"  # read out when it changes
SAVE = "(file) => { if (file) saveFile(...file); }"


def build(engine: Engine) -> "gr.Blocks":
    """The page and all that is wired to it; nothing is loaded or served yet."""
    import gradio as gr

    i18n = gr.I18n(**PHRASES)
    with gr.Blocks(
        title="asr-core", analytics_enabled=False, delete_cache=(SWEEP * 60, KEEP * 60)
    ) as demo:
        gr.Markdown(i18n("heading"))
        model = gr.HTML(elem_id="model")
        transcribe_tab(engine, i18n)
        gr.Markdown(i18n("privacy"), elem_id="privacy")

        def on_load(request: gr.Request):
            yield from page.model_line(engine, spoken(request))

        demo.load(
            on_load,
            outputs=model,
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
    return demo


def transcribe_tab(engine: Engine, i18n: "gr.I18n") -> None:
    """One recording, from the microphone or a file: its words, to listen to, correct and take."""
    import gradio as gr

    clips = page.samples(Path(SAMPLES.name))
    recording = gr.Audio(
        sources=["microphone", "upload"],
        type="filepath",
        label=i18n("recording"),
        buttons=[],
        # To draw a waveform, the browser would unpack the whole of it: an hour freezes the page.
        waveform_options={"show_recording_waveform": False},
        elem_id="recording",
    )
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
    notice = gr.HTML(elem_id="notice", js_on_load=LIVE_REGION)
    words = gr.HTML(
        [],
        label=i18n("transcript"),
        show_label=True,
        container=True,
        html_template=WORDS,
        js_on_load=(ASSETS / "words.js").read_text(),
        elem_id="words",
    )
    gr.Markdown(i18n("words_help"), elem_id="hint")
    with gr.Row(elem_id="downloads"):
        copy = gr.Button(i18n("copy"), size="sm", min_width=60, elem_id="copy")
        downloads = {
            format: gr.Button(f"↓ {format.upper()}", size="sm", min_width=60) for format in FORMATS
        }
    with gr.Accordion(i18n("edit"), open=False, elem_id="edit"):
        text = gr.Textbox(
            show_label=False, info=i18n("edit_info"), lines=4, max_lines=16, elem_id="transcript"
        )
    transcript, file = gr.State(), gr.JSON(visible=False)

    @gpu
    def transcribe(recording: str | None, language: str):
        yield from page.transcribe(engine, recording, language)

    def on_recording(recording: str | None, request: gr.Request):
        for view in transcribe(recording, spoken(request)):
            yield {
                words: view.words,
                notice: view.notice,
                transcript: view.transcript,
                cancel: gr.Button(visible=view.running),
                text: gr.skip() if view.running else view.text,
            }

    wiring = {
        "fn": on_recording,
        "inputs": recording,
        "outputs": [words, notice, transcript, cancel, text],
        "show_progress": "minimal",
        "show_progress_on": words,
        "concurrency_limit": VISITORS,
        "concurrency_id": "transcription",
        "api_visibility": "private",
    }
    runs = [
        gr.on([recording.stop_recording, recording.upload, start.click], **wiring),
        examples.load_input_event.then(**wiring),
    ]

    def on_cancel(transcript, request: gr.Request):
        said = page.notice("done", say("cancelled", spoken(request)))
        return said, gr.Button(visible=False), transcript.text if transcript else ""

    # In two steps, or a last view of the cancelled run could arrive after the answer.
    cancel.click(None, cancels=runs, api_visibility="private").then(
        on_cancel, transcript, [notice, cancel, text], api_visibility="private"
    )
    recording.clear(
        lambda: ([], "", None, gr.Button(visible=False), ""),
        outputs=[words, notice, transcript, cancel, text],
        cancels=runs,
        api_visibility="private",
    )

    def on_edit(transcript, text: str):
        transcript = page.edit(transcript, text)
        return transcript, page.rows(transcript)

    text.blur(
        on_edit,
        [transcript, text],
        [transcript, words],
        show_progress="hidden",
        api_visibility="private",
    )
    copy.click(None, words, js=COPY)
    for format, button in downloads.items():

        def on_download(transcript, text: str, request: gr.Request, format: str = format):
            made = page.download(transcript, text, format)
            if made:
                return list(made), gr.skip()
            return None, page.notice("problem", say("nothing_to_download", spoken(request)))

        button.click(
            on_download,
            [transcript, text],
            [file, notice],
            show_progress="hidden",
            api_visibility="private",
        ).then(None, file, js=SAVE)


def spoken(request: "gr.Request") -> str:
    """The language to speak with the visitor who sent `request`."""
    return language(request.headers.get("accept-language"))


def gpu(function: Callable) -> Callable:
    """`spaces.GPU` on Hugging Face's ZeroGPU, which lends a GPU for a call; else `function`."""
    try:
        import spaces  # has to come before torch
    except ImportError:
        return function
    return spaces.GPU(function)


def serve(model: str | None, host: str | None, port: int | None, share: bool) -> None:
    """Show the page, then load the model, until interrupted.

    Raises ModelError when `model` cannot be loaded and OptionError when nothing can be served at
    `host` and `port`.
    """
    import gradio as gr

    engine = Engine(model)
    demo = build(engine)
    try:
        demo.launch(
            server_name=host,
            server_port=port,
            share=share,
            max_file_size=MAX_FILE_SIZE,
            run_history=False,
            footer_links=["api", "settings"],
            i18n=gr.I18n(**PHRASES),
            theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css_paths=[ASSETS / "page.css"],
            head_paths=[ASSETS / "head.html"],
            prevent_thread_lock=True,
            quiet=True,
        )
    except OSError as error:
        where = f"{host or '127.0.0.1'}, port {port or '7860 to 7959'}"
        raise OptionError(
            f"Nothing can be served at {where}: the port is taken, or the address is not one of "
            "this machine's. Try another --port or --host."
        ) from error
    print(f"Open {demo.share_url or demo.local_url} in a browser. Ctrl+C ends.", flush=True)
    try:
        # Only now: importing torch beside gradio would hold the page up.
        print(f"Ready: {engine.recognizer()}.", flush=True)
    except AsrError as error:
        if model:
            raise
        log.error("%s", error)  # visitors read it too, and the next recording tries again
    demo.block_thread()


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="embedded, a folder, or an id of the Hugging Face Hub")
    parser.add_argument("--host", help="address to listen on (127.0.0.1; 0.0.0.0 for everybody)")
    parser.add_argument("--port", type=int, help="port to listen on (the first free from 7860)")
    parser.add_argument("--share", action="store_true", help="make a public link for a week")
    chosen = parser.parse_args(arguments)
    if chosen.port is not None and not 0 < chosen.port < 65536:
        parser.error(f"--port {chosen.port} is not a port: use 1 to 65535.")
    return chosen


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("asr_core").setLevel(logging.INFO)
    chosen = options(arguments)
    try:
        serve(chosen.model, chosen.host, chosen.port, chosen.share)
    except AsrError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
