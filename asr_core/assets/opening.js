// Runs before gradio, see `opening.py`.

// gradio's own words come in the browser's language, and ours beside them would be English.
if (!LANGUAGES.includes(navigator.language.split("-")[0].toLowerCase()))
  Object.defineProperty(navigator, "language", { value: "en" });

// Who speaks, waits for words, has corrected some that are in no file yet or has read out sentences
// is asked before the page goes. Who stays goes on: gradio's own listener would have ended that.
// When the connection was broken, gradio does nothing more but to load the page anew, once: then any
// words are worth a question, and who stays is told.
addEventListener("beforeunload", (event) => {
  if (leaves) return;
  const stops = [...document.querySelectorAll(".recording :is(.stop-button, .stop-button-paused)")];
  if (
    !document.querySelector("html.speaking, html.lost .word, [id$=-notice] .notice.busy") &&
    ![...written.keys()].some(unsaved) &&
    !stops.some((button) => getComputedStyle(button).display !== "none") &&
    !document.querySelector("#teach-numbers")?.innerText.includes("✓")
  )
    return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (document.documentElement.matches(".lost")) setTimeout(() => tell("stale"));
});
let leaves = false;
addEventListener("click", ({ target }) => {
  leaves = Boolean(target.closest("#reload"));
  if (leaves) location.reload();
});

// Corrections as they were written, until they are in a file or on the clipboard: what takes their
// place later comes from elsewhere. And what stood there before: who puts it back corrects nothing.
const written = new Map(), given = new Map();
const squeezed = (text) => text?.split(/\s+/).filter(Boolean).join(" ");
const unsaved = (text) => text?.isConnected && text.value === written.get(text);
addEventListener("focusin", ({ target }) => {
  if (target.closest("[id$=-edit]") && written.get(target) !== target.value)
    given.set(target, target.value);
});
addEventListener("input", ({ target }) => {
  if (!target.closest("[id$=-edit]")) return;
  doubtNoMore();
  if (squeezed(target.value) === squeezed(given.get(target))) written.delete(target);
  else written.set(target, target.value);
});
// `text` is what has been copied or saved; of a file not more is known than that it was.
window.keptCorrection = (text) => {
  for (const [target, words] of written)
    if (text === undefined || squeezed(words) === squeezed(text)) written.delete(target);
  doubtNoMore();
};

// Shows the sentence of that name, which waits unseen on the page.
window.tell = (name) => {
  document.documentElement.classList.add(name);
  const sentence = document.querySelector(`#${name}`);
  sentence.role = "alert";
  sentence.scrollIntoView({ block: "nearest" });
};

// What would put other words in their place is done when it is asked for twice. Not by `confirm`:
// browsers keep that from pages within pages, such as Spaces.
const REPLACE = {
  transcript: "#samples button, body:has(#recording audio) #transcribe, " +
    "#recording :is(.record-button, .upload-container)",
  live: "#live-clear",
};
function doubtNoMore() {
  for (const name in REPLACE) document.documentElement.classList.remove(`${name}-unsaved`);
}

function askFirst(event) {
  const name = Object.keys(REPLACE).find((name) => event.target.closest(REPLACE[name]));
  const text = document.querySelector(`#${name}-edit textarea`);
  if (!unsaved(text)) return;
  const told = document.documentElement.classList.contains(`${name}-unsaved`);
  if (told && event.detail < 2) { // not the second click of a double one
    written.delete(text);
    doubtNoMore();
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(`${name}-unsaved`);
}
addEventListener("click", askFirst, true);
addEventListener("drop", askFirst, true);
