"""Several recordings, one after the other. Layout and wiring."""

from __future__ import annotations

import base64
from typing import Any

import gradio as gr

from asr_core import batch, page
from asr_core.archive import ENDINGS
from asr_core.engine import Engine, Wish, gpu
from asr_core.phrases import say
from asr_core.transcript_panel import LIVE_REGION, SAVE


def files_tab(engine: Engine, i18n: gr.I18n, wishes: list[gr.components.Component]) -> None:
    """`wishes` hold the fields of a `Wish`."""
    files = gr.File(
        file_count="multiple",
        # By their endings too: whether a server knows FLAC for sound is up to its system.
        file_types=["audio", "video", *sorted(ENDINGS)],
        label=i18n("files"),
        elem_id="files",
    )
    with gr.Row():
        start = gr.Button(i18n("files_start"), variant="primary", scale=3, elem_id="files-start")
        cancel = gr.Button(i18n("cancel"), visible=False, scale=1, elem_id="files-cancel")
    notice = gr.HTML(elem_id="files-notice", js_on_load=LIVE_REGION)
    table = gr.HTML(elem_id="files-table")
    save = gr.Button(i18n("files_zip"), size="sm", elem_id="files-zip")
    lines, file = gr.State(()), gr.JSON(visible=False)

    @gpu
    def transcribe(paths: list[str] | None, wish: Wish, language: str):
        yield from batch.transcribe_files(engine, paths, language, wish)

    def on_files(request: gr.Request, paths: list[str] | None, *wish: Any):
        wished = Wish(*wish)
        at_once = not engine.ready(wished.model)
        engine.fetch(wished.model)
        batches = transcribe(paths, wished, page.spoken(request))
        for made, shown in page.cancellable(batches, at_once):
            changed = {notice: made.notice}
            if paths:  # else what is shown stays
                changed |= {table: made.table, lines: made.lines}
            if shown is not None:
                changed[cancel] = gr.Button(visible=shown)
            yield changed

    def on_cancel(lines: tuple[batch.Line, ...], request: gr.Request):
        language = page.spoken(request)
        said = page.notice("done", say("cancelled", language))
        return batch.cancelled(lines, language) if lines else "", said, gr.Button(visible=False)

    def on_save(lines: tuple[batch.Line, ...], request: gr.Request):
        made = batch.zipped(lines)
        if made is None:
            return None, page.notice("problem", say("nothing_yet", page.spoken(request)))
        return ["transcripts.zip", base64.b64encode(made).decode(), True], gr.skip()

    run = gr.on(
        [files.upload, start.click],
        on_files,
        [files, *wishes],
        [table, notice, lines, cancel],
        trigger_mode="always_last",  # files that are added meanwhile are not forgotten
        show_progress="minimal",
        show_progress_on=notice,
        concurrency_limit=page.VISITORS,
        concurrency_id="transcription",
        api_visibility="private",
    )
    cancel.click(None, cancels=run, api_visibility="private").then(
        on_cancel, lines, [table, notice, cancel], api_visibility="private"
    )
    save.click(
        on_save, lines, [file, notice], show_progress="hidden", api_visibility="private"
    ).then(None, file, js=SAVE % '"files"')
