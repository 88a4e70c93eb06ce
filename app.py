"""The page: speak or drop in a recording, and read what was said.

    python app.py [--model M] [--host H] [--port P] [--share]

The page's layout, and serving it; what the page does is in `asr_core/page.py`.
"""

import argparse
import asyncio
import io
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from asr_core import page, teaching
from asr_core.engine import Engine, background, zero_gpu
from asr_core.errors import AsrError, OptionError, sentence
from asr_core.opening import ASSETS, run_first
from asr_core.phrases import PHRASES
from asr_core.start import quick_start, run_and_leave, told_to_end
from asr_core.visitors import (
    drop_broken_uploads,
    folders_of_this_run,
    forget_in_time,
    remember_files_of_assistants,
)

if TYPE_CHECKING:
    import gradio as gr

log = logging.getLogger("asr_core")

SWEEP, KEEP = 10, 50  # minutes: how often old recordings are looked for, and how old they may get
MAX_FILE_SIZE = "500mb"
WAITING = 200  # visitors and programs; who comes then is told to try again later


def build(engine: Engine, public: bool = False) -> "gr.Blocks":
    """The page and all that is wired to it; nothing is loaded or served yet."""
    import gradio as gr

    from asr_core.api import Blocks, api
    from asr_core.files_tab import files_tab
    from asr_core.live_tab import live_tab
    from asr_core.teach_tab import teach_tab
    from asr_core.transcribe_tab import transcribe_tab
    from asr_core.transcript_panel import LIVE_REGION

    i18n = gr.I18n(**PHRASES)
    with Blocks(
        title="asr-core", analytics_enabled=False, delete_cache=(SWEEP * 60, KEEP * 60)
    ) as demo:
        gr.Markdown(i18n("heading"))
        gr.Markdown(i18n("insecure"), elem_id="insecure")
        gr.Markdown(i18n("denied"), elem_id="denied")
        gr.Markdown(i18n("stale"), elem_id="stale")
        gr.Button(i18n("reload"), elem_id="reload")
        line = gr.HTML(elem_id="model", js_on_load=LIVE_REGION)
        models = engine.models()
        model = gr.Dropdown(
            [(i18n("default_model"), ""), *models],
            value="",
            label=i18n("choose_model"),
            visible=bool(models),
            elem_id="models",
        )
        with gr.Accordion(i18n("wishes"), open=False, elem_id="wishes"):
            language_model = gr.Checkbox(
                True,
                label=i18n("language_model"),
                info=i18n("language_model_info"),
                visible=False,
                elem_id="language-model",
            )
            hotwords = gr.Textbox(
                label=i18n("hotwords"), info=i18n("hotwords_info"), elem_id="hotwords"
            )
        wishes = [model, language_model, hotwords]
        with gr.Tab(i18n("tab_transcribe"), id="transcribe"):
            transcribe_tab(engine, i18n, wishes)
        if not zero_gpu():  # captions need a model that stays where the sound arrives
            with gr.Tab(i18n("tab_live"), id="live"):
                live_tab(engine, i18n, wishes)
        with gr.Tab(i18n("tab_files"), id="files"):
            files_tab(engine, i18n, wishes)
        if teaching.allowed(public):
            with gr.Tab(i18n("tab_teach"), id="teach") as tab:
                teach_tab(engine, i18n, model, tab, keep=KEEP * 60)
        gr.Markdown(i18n("privacy"), elem_id="privacy")
        api(engine)

        async def on_load(model: str, request: gr.Request):
            lines = page.model_line(engine, page.spoken(request), model)
            # On threads of their own: gradio's forty serve the whole page, and on a cold start as
            # many views of it may wait for the model.
            while said := await asyncio.wrap_future(background(next, lines, None)):
                yield said, gr.Checkbox(visible=engine.has_language_model(model))

        gr.on(
            [demo.load, model.change],
            on_load,
            model,
            [line, language_model],
            trigger_mode="always_last",  # also where it changes while another one is loading
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
    demo.queue(max_size=WAITING)  # what each has sent is kept in memory
    return demo


def theme() -> "gr.themes.Base":
    """gradio's Soft with colours and edges that everybody can see: its own are too light."""
    import gradio as gr

    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}
    strong, stronger, grey = "*primary_600", "*primary_700", "*neutral_600"
    # Three times as dark as the page, or as bright where that is dark, as WCAG 2.2 asks (1.4.11):
    # gradio's greys are fainter, or louder than need be.
    edge = "color-mix(in srgb, var(--neutral-400), var(--neutral-500))"
    return gr.themes.Soft(**fonts).set(
        color_accent=strong,  # on dark ground another one, see head.html
        body_text_color_subdued=grey,
        input_placeholder_color=grey,
        input_placeholder_color_dark="*neutral_400",
        block_label_text_color=strong,
        block_title_text_color=strong,
        button_primary_background_fill=strong,
        button_primary_background_fill_hover=stronger,
        button_primary_background_fill_hover_dark=stronger,
        button_primary_border_color=strong,
        checkbox_label_background_fill_selected=strong,
        input_border_width="1px",
        button_border_width="1px",
        **_edges("input", edge),
        **_edges("button_secondary", edge, grey, "*neutral_300"),
        button_primary_border_color_hover=stronger,
        button_primary_border_color_hover_dark=stronger,
        **_edges("button_cancel", "transparent", "transparent", "transparent"),
        **_edges("checkbox", edge, grey, "*neutral_300"),
        **_edges("checkbox_label", edge),
    )


def _edges(part: str, colour: str, hover: str = "", hover_dark: str = "") -> dict[str, str]:
    """Of a part of the theme, on light and on dark ground, and below the pointer where told."""
    name = f"{part}_border_color"
    below = {f"{name}_hover": hover, f"{name}_hover_dark": hover_dark} if hover else {}
    return {name: colour, f"{name}_dark": colour} | below


def reach_ourselves(host: str) -> None:
    """Not by a proxy, which leads elsewhere: gradio asks whether the page at `host` is there."""
    others = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").strip()
    if others != "*":  # which stands for everything, but only alone
        others = ",".join(filter(None, [others, "localhost", "127.0.0.1", "::1", host]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = others


def root_path(path: str) -> str:
    """Where a proxy shows the page, with the slash without which gradio takes it for a host."""
    path = path.strip().strip("/")
    return path if not path or path.startswith("http") else f"/{path}"


def serve(model: str | None, host: str | None, port: int | None, share: bool) -> None:
    """Show the page, then load the model, until interrupted.

    Raises ModelError when `model` cannot be loaded and OptionError when nothing can be served at
    `host` and `port`.
    """
    host = host or os.environ.pop("GRADIO_SERVER_NAME", None)
    if host and ":" in host and not host.startswith("["):
        host = f"[{host}]"  # an IPv6 address as it is written before a port, which gradio wants
    reach_ourselves((host or "").strip("[]"))
    os.environ["GRADIO_ROOT_PATH"] = root_path(os.environ.get("GRADIO_ROOT_PATH", ""))
    os.environ["MPLBACKEND"] = "agg"  # for gradio: a notebook's is not for here
    ends = told_to_end()
    with quick_start():
        folders_of_this_run(SWEEP * 60, KEEP * 60)
        try:
            import gradio as gr
            from gradio import http_server
        except ImportError as error:
            if "socksio" not in str(error):
                raise
            raise OptionError(
                "The proxy of this machine (ALL_PROXY and its like) speaks SOCKS, for which a "
                "package is missing: `pip install httpx[socks]`, or unset it."
            ) from error

        from starlette.middleware import Middleware

        from asr_core.downloads import bound
        from asr_core.serving import Guard

        public = share or "SPACE_ID" in os.environ
        engine = Engine(model, public)
        demo = build(engine, public)
    run_first()
    drop_broken_uploads()
    if zero_gpu():
        engine.recognizer()  # what is forked while the model is being loaded never gets it
    try:
        demo.launch(
            server_name=host,
            server_port=port,
            share=share,
            max_file_size=MAX_FILE_SIZE,
            run_history=False,
            mcp_server=True,
            # Spaces ask for it: Node would serve pages that `run_first` does not reach, and go
            # on when we end.
            ssr_mode=False,
            app_kwargs={"middleware": [Middleware(Guard)]},
            # Not "settings": among them is a language, which the server is not told.
            footer_links=["api"],
            i18n=gr.I18n(**PHRASES),
            theme=theme(),
            css_paths=[ASSETS / "page.css"],
            head_paths=[ASSETS / "head.html"],
            prevent_thread_lock=True,
            quiet=True,
        )
    except BrokenPipeError:
        raise
    except OSError as error:
        first, count = http_server.INITIAL_PORT_VALUE, http_server.TRY_NUM_PORTS
        ports = port or (f"{first} to {first + count - 1}" if count > 1 else first)
        where = f"{host or http_server.LOCALHOST_NAME}, port {ports}"
        raise OptionError(
            f"Nothing can be served at {where}: the port is taken, or the address is not one of "
            "this machine's. Try another --port or --host."
        ) from error
    try:
        bound(demo.max_file_size)
        forget_in_time(demo.state_holder, KEEP * 60)
        remember_files_of_assistants(demo)
        print(f"Open {demo.share_url or demo.local_url} in a browser. Ctrl+C ends.", flush=True)
        # Only now: importing torch beside gradio would hold the page up.
        ready = background(get_ready, engine, model, public)
        while not ends:
            if ready.done():
                ready.result()
            time.sleep(0.1)
    finally:
        logging.disable()  # who is still served fails now, as we end, and that is no news
        demo.close(verbose=False)  # before what visitors have left is deleted, or more may come


def get_ready(engine: Engine, model: str | None, public: bool) -> None:
    """For visitors. Raises ModelError and OptionError for what only who hosts can put right."""
    try:
        print(f"Ready: {engine.recognizer()}.", flush=True)
        if teaching.allowed(public):
            teaching.check()
        import av  # noqa: F401
        import matplotlib.pyplot  # noqa: F401  gradio wants it, and the first visitor would wait
    except AsrError as error:
        if model or isinstance(error, OptionError):
            raise
        log.error("%s", error)  # visitors read it too, and the next recording tries again


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="app.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", help="embedded, a folder, or an id of the Hugging Face Hub")
    parser.add_argument("--host", help="address to listen on (127.0.0.1; 0.0.0.0 for everybody)")
    parser.add_argument("--port", type=int, help="port to listen on (the first free from 7860)")
    parser.add_argument("--share", action="store_true", help="make a public link for a week")
    chosen = parser.parse_args(arguments)
    if chosen.port is not None and not 0 < chosen.port < 65536:
        parser.error(f"--port {chosen.port} is not a port: use 1 to 65535.")
    port = os.environ.get("GRADIO_SERVER_PORT", "7860").strip()
    if not (port.isdecimal() and 0 < int(port) < 65536):  # gradio cannot even be imported
        parser.error(f"GRADIO_SERVER_PORT={port} is not a port: use 1 to 65535.")
    count = os.environ.get("GRADIO_NUM_PORTS", "100").strip()
    if not (count.isdecimal() and int(count)):
        parser.error(f"GRADIO_NUM_PORTS={count} is no number of ports: use 1 or more.")
    return chosen


def main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("asr_core").setLevel(logging.INFO)
    chosen = options(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # gradio prints signs that not all can show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        serve(chosen.model, chosen.host, chosen.port, chosen.share)
    except BrokenPipeError:
        print("app.py: Nobody reads what is printed: send it to a file.", file=sys.stderr)
        return 141  # 128 + SIGPIPE
    except (AsrError, OSError) as error:
        print(f"app.py: {sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    run_and_leave(main)
