// Runs before gradio, see `opening.py`.

// gradio's own words come in the browser's language, and ours beside them would be English.
if (!LANGUAGES.includes(navigator.language.split("-")[0].toLowerCase()))
  Object.defineProperty(navigator, "language", { value: "en" });

// Who speaks, waits for words, has some that are in no file yet though they were corrected or waited
// for, or has read out sentences is asked before the page goes. Who stays goes on: gradio's own
// listener would have ended that.
// When the connection was broken, gradio does nothing more but to load the page anew, once: then any
// words are worth a question, and who stays is told.
addEventListener("beforeunload", (event) => {
  if (leaves) return;
  const stops = [...document.querySelectorAll(".recording :is(.stop-button, .stop-button-paused)")];
  if (
    !document.querySelector("html.speaking, html.lost .word, [id$=-notice] .notice.busy") &&
    !["transcript", "live", "files"].some((name) => corrected(name) || awaited(name)) &&
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
const field = (name) => document.querySelector(`#${name}-edit textarea`);
const corrected = (name) => written.has(field(name)) && field(name).value === written.get(field(name));
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

// So are words of more than a minute, which were waited for, when no more of them come.
const LONG = 60; // seconds
const kept = new Map(); // texts by the names of their panels
const shown = (name) =>
  squeezed(field(name)?.value) ||
  squeezed(document.querySelector(`#${name}-words .words, #${name}-table`)?.textContent);
const awaited = (name) => {
  const last = document.querySelector(`#${name}-words .word:last-child, #${name}-table table`);
  const { start, seconds = start } = last?.dataset ?? {};
  const more = document.querySelector(`#${name}-notice .notice.busy`);
  return seconds >= LONG && !more && kept.get(name) !== shown(name);
};
// `text` is what has been copied; of a file not more is known than that it was saved.
window.keep = (name, text = shown(name)) => {
  kept.set(name, squeezed(text));
  if (squeezed(written.get(field(name))) === squeezed(text)) written.delete(field(name));
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
const AGAIN = "#transcribe"; // finds what was not corrected once more
function doubtNoMore() {
  for (const name in REPLACE) document.documentElement.classList.remove(`${name}-unsaved`);
}

function askFirst(event) {
  const name = Object.keys(REPLACE).find((name) => event.target.closest(REPLACE[name]));
  if (!name || !(corrected(name) || (awaited(name) && !event.target.closest(AGAIN)))) return;
  const told = document.documentElement.classList.contains(`${name}-unsaved`);
  if (told && event.detail < 2) { // not the second click of a double one
    keep(name);
    return;
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  tell(`${name}-unsaved`);
}
addEventListener("click", askFirst, true);
addEventListener("drop", askFirst, true);
