"""What the browser runs before gradio's own page.

What `launch` takes as `head` is put into the page later, when gradio has chosen its language and
listens to what happens to the window. So this goes into the templates of its pages.
"""

from __future__ import annotations

from pathlib import Path

from asr_core.phrases import PHRASES

ASSETS = Path(__file__).parent / "assets"
SCRIPT = ASSETS / "opening.js"
TEMPLATES = ("frontend/index.html", "frontend/share.html")


def run_first() -> None:
    """From now on, every page begins with `SCRIPT`."""
    from gradio import routes
    from jinja2 import ChoiceLoader, DictLoader

    program = SCRIPT.read_text(encoding="utf-8").replace("LANGUAGES", str(list(PHRASES)))
    environment = routes.templates.env
    pages = {}
    for name in TEMPLATES:
        page, *_ = environment.loader.get_source(environment, name)
        script = f"{{% raw %}}<script>{program}</script>{{% endraw %}}"
        pages[name] = page.replace("<head>", f"<head>{script}", 1)
    environment.loader = ChoiceLoader([DictLoader(pages), environment.loader])
