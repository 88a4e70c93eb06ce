"""A transcript on the page: its words, and all that can be done with them. Layout and wiring."""

from __future__ import annotations

import json
from dataclasses import dataclass

import gradio as gr

from asr_core import page
from asr_core.opening import ASSETS
from asr_core.phrases import PHRASES, say
from asr_core.subtitles import FORMATS
from asr_core.transcript import Transcript

# `${}` is JavaScript. Nothing a visitor brings may go through gradio's other syntax, double braces:
# that would become part of the program.
WORDS = r"""<div class="words" dir="auto" role="group" aria-label="${label}">${
  (value || []).map(([text, start, title, mark, space], index) =>
    `${space ? " " : ""}<span class="word ${mark} ${space ? "" : "glued"}" title="${title}"
      data-start="${start}" role="button" tabindex="${index ? -1 : 0}">${
      text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)
    }</span>`).join("")
}</div>"""
LIVE_REGION = "element.setAttribute('role', 'status')"  # read out when it changes
# The text as it is corrected this moment; while words still come, there is none.
COPY = "(words, text) => copyText(text?.trim() || joined(words || []), %s, %s)"
NOTHING = {language: page.notice("problem", say("nothing_yet", language)) for language in PHRASES}
SAVE = "(file) => { if (file) saveFile(%s, ...file); }"


@dataclass(frozen=True)
class Panel:
    """The components that show a transcript; `transcript` is a state that holds a Transcript.

    `rates` and `pairs` say how right it is.
    """

    notice: gr.HTML
    words: gr.HTML
    transcript: gr.State
    text: gr.Textbox
    rates: gr.HTML
    pairs: gr.HTML

    @property
    def outputs(self) -> list[gr.components.Component]:
        return [self.notice, self.words, self.transcript, self.text, self.rates, self.pairs]

    def changed(self, view: page.View, before: page.View | None) -> dict:
        """What gradio is to set for `view`; `before` is the last view of the same recording."""
        changed = {
            self.notice: view.notice,
            self.words: view.words,
            self.transcript: view.transcript,
            self.text: "" if view.running else view.text,
        }
        return changed if before else changed | {self.rates: "", self.pairs: ""}


def transcript_panel(i18n: gr.I18n, name: str, player: str, aloud: bool = False) -> Panel:
    """`name` begins the ids of its parts; `player` selects the element that plays the recording.

    With `aloud`, screen readers say the words as they settle.
    """
    notice = gr.HTML(elem_id=f"{name}-notice", js_on_load=LIVE_REGION)
    words = gr.HTML(
        [],
        label=i18n("transcript"),
        show_label=True,
        container=True,
        html_template=WORDS,
        js_on_load=(ASSETS / "words.js").read_text(),
        elem_id=f"{name}-words",
        player=player,
        aloud=aloud,
    )
    gr.Markdown(i18n("words_help"), elem_classes="hint")
    with gr.Row(elem_id=f"{name}-downloads"):
        copy = gr.Button(i18n("copy"), size="sm", min_width=60, elem_id=f"{name}-copy")
        downloads = {
            format: gr.Button(f"↓ {format.upper()}", size="sm", min_width=60) for format in FORMATS
        }
    with gr.Accordion(i18n("edit"), open=False, elem_id=f"{name}-edit"):
        text = gr.Textbox(
            label=i18n("edit"), show_label=False, info=i18n("edit_info"), lines=4, max_lines=16
        )
    with gr.Accordion(i18n("compare"), open=False, elem_id=f"{name}-compare"):
        said = gr.Textbox(
            label=i18n("compare"),
            show_label=False,
            info=i18n("compare_info"),
            lines=2,
            max_lines=16,
        )
        compare = gr.Button(i18n("compare_button"), size="sm")
        rates, pairs = gr.HTML(js_on_load=LIVE_REGION), gr.HTML()
    transcript, file = gr.State(), gr.JSON(visible=False)
    panel = Panel(notice, words, transcript, text, rates, pairs)
    quiet = {"show_progress": "hidden", "api_visibility": "private"}

    def on_edit(transcript: Transcript | None, text: str, request: gr.Request):
        language = page.spoken(request)
        if transcript is None:  # what is shown stays
            return gr.skip(), gr.skip(), page.lost(text, language) or gr.skip()
        corrected = page.edit(transcript, text)
        said = gr.skip() if corrected is transcript else page.outcome(corrected, language)
        return corrected, page.rows(corrected), said

    def on_download(format: str):
        def make(transcript: Transcript | None, text: str, request: gr.Request):
            made = page.download(transcript, text, format)
            if made:
                return list(made), gr.skip()
            language = page.spoken(request)
            nothing = page.notice("problem", say("nothing_yet", language))
            return None, page.lost(text, language) or nothing

        return make

    def on_compare(transcript: Transcript | None, text: str, said: str, request: gr.Request):
        return page.compare(page.edit(transcript, text), said, page.spoken(request))

    last = {"trigger_mode": "always_last", **quiet}  # while one is on its way, the next may come
    text.blur(on_edit, [transcript, text], [transcript, words, notice], **last)
    copy.click(None, [words, text], notice, js=COPY % (json.dumps(name), json.dumps(NOTHING)))
    for format, button in downloads.items():
        saved = button.click(on_download(format), [transcript, text], [file, notice], **quiet)
        saved.then(None, file, js=SAVE % json.dumps(name))
    gr.on(
        [compare.click, said.submit], on_compare, [transcript, text, said], [rates, pairs], **last
    )
    return panel
