// Runs before gradio, see `opening.py`.

// gradio's own words come in the browser's language, and ours beside them would be English.
if (!LANGUAGES.includes(navigator.language.split("-")[0].toLowerCase()))
  Object.defineProperty(navigator, "language", { value: "en" });

// Who speaks, waits for words, has corrected some that are in no file yet or has read out sentences
// is asked before the page goes, also by gradio, which loads it anew when the connection was broken.
// Who stays goes on: gradio's own listener would have ended that.
addEventListener("beforeunload", (event) => {
  const stops = document.querySelectorAll(".recording :is(.stop-button, .stop-button-paused)");
  if (
    !document.querySelector("html.speaking, [id$=-notice] .notice.busy") &&
    ![...written].some(([text, words]) => text.isConnected && text.value === words) &&
    ![...stops].some((button) => button.checkVisibility()) &&
    !document.querySelector("#teach-numbers")?.innerText.includes("✓")
  )
    return;
  event.preventDefault();
  event.stopImmediatePropagation();
});

// Corrections as they were written, until they are in a file or on the clipboard: what takes their
// place later comes from elsewhere.
const written = new Map();
addEventListener("input", ({ target }) => {
  if (target.closest("[id$=-edit]")) written.set(target, target.value);
});
addEventListener("click", ({ target }) => {
  const downloads = target.closest("button")?.closest("[id$=-downloads]")?.id;
  if (downloads) written.delete(document.querySelector(`#${downloads.split("-")[0]}-edit textarea`));
}, true);
