// Runs before gradio, see `opening.py`.

// gradio's own words come in the browser's language, and ours beside them would be English.
if (!LANGUAGES.includes(navigator.language.split("-")[0].toLowerCase()))
  Object.defineProperty(navigator, "language", { value: "en" });

// Who speaks or waits for words is asked before the page goes, also by gradio, which loads it anew
// when the connection was broken. Who stays goes on: gradio's own listener would have ended that.
addEventListener("beforeunload", (event) => {
  if (!document.querySelector("html.speaking, [id$=-notice] .notice.busy")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});
