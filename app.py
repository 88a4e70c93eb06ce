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
from asr_core.phrases import PHRASES, language

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger("asr_core")

SWEEP, KEEP = 10, 50  # minutes: how often old recordings are looked for, and how old they may get
MAX_FILE_SIZE = "500mb"
VISITORS = 4  # served at once, in turns; the others see their place in the queue

CSS = """
.gradio-container { max-width: 56rem !important; margin: 0 auto !important; }
.notice { margin: 0; color: var(--body-text-color-subdued); }
.notice.problem { color: var(--error-text-color); }
#model, #privacy { font-size: var(--text-sm); color: var(--body-text-color-subdued); }
#privacy p { font-size: inherit; color: inherit; }
/* The two sources are icons with a name for screen readers only: everybody may read it. */
#recording .source-selection { gap: var(--spacing-xl); height: auto; padding: var(--spacing-md); }
#recording .source-selection button { display: flex; align-items: center; width: auto; }
#recording .source-selection svg { width: 1.2em; }
#recording .source-selection button::after { content: attr(aria-label); padding: 0 0.5em; }
"""


def build(engine: Engine) -> "gr.Blocks":
    """The page and all that is wired to it; nothing is loaded or served yet."""
    import gradio as gr

    i18n = gr.I18n(**PHRASES)
    folder = tempfile.TemporaryDirectory(prefix="asr-samples-")
    clips = page.samples(Path(folder.name))

    def on_load(request: gr.Request):
        yield from page.model_line(engine, spoken(request))

    @gpu
    def transcribe(recording: str | None, language: str):
        yield from page.transcribe(engine, recording, language)

    def on_recording(recording: str | None, request: gr.Request):
        yield from transcribe(recording, spoken(request))

    with gr.Blocks(
        title="asr-core", analytics_enabled=False, delete_cache=(SWEEP * 60, KEEP * 60)
    ) as demo:
        demo.samples = folder  # deleted with the page
        gr.Markdown(i18n("heading"))
        model = gr.HTML(elem_id="model")
        recording = gr.Audio(
            sources=["microphone", "upload"],
            type="filepath",
            label=i18n("recording"),
            buttons=[],
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
        button = gr.Button(i18n("transcribe"), variant="primary", elem_id="transcribe")
        notice = gr.HTML(elem_id="notice")
        text = gr.Textbox(
            label=i18n("transcript"),
            placeholder=i18n("transcript_placeholder"),
            lines=4,
            max_lines=16,
            buttons=["copy"],
            elem_id="transcript",
        )
        gr.Markdown(i18n("privacy"), elem_id="privacy")

        demo.load(
            on_load,
            outputs=model,
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        transcription = {
            "fn": on_recording,
            "inputs": recording,
            "outputs": [text, notice],
            "show_progress_on": text,
            "concurrency_limit": VISITORS,
            "concurrency_id": "transcription",
            "api_visibility": "private",
        }
        gr.on([recording.stop_recording, recording.upload, button.click], **transcription)
        examples.load_input_event.then(**transcription)
    return demo


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
            css=CSS,
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
