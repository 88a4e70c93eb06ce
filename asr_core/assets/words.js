// The words of a transcript: they light up as the recording plays, and play it from there.
// Runs once in each words component (`element`), whose words are rewritten as they come.

const box = element;
let lit = null;

function player() {
  const audio = props.player ? document.querySelector(props.player) : null;
  return audio?.currentSrc ? audio : null;
}

function words() {
  return [...box.querySelectorAll(".word")];
}

function light(word) {
  if (word === lit) return;
  lit?.classList.remove("lit");
  word?.classList.add("lit");
  lit = word;
  if (word) reveal(word);
}

// Scrolls the transcript only, not the page.
function reveal(word) {
  const list = word.parentElement;
  const above = word.offsetTop - list.offsetTop - list.scrollTop;
  if (above < 0 || above > list.clientHeight - 2 * word.offsetHeight)
    list.scrollTop += above - list.clientHeight / 3;
}

function playFrom(word) {
  const audio = player();
  if (!audio) return;
  audio.currentTime = Number(word.dataset.start);
  audio.play();
}

function follow() {
  const audio = player();
  if (audio && !audio.paused) {
    const now = audio.currentTime;
    light(words().findLast((word) => Number(word.dataset.start) <= now) ?? null);
  }
  requestAnimationFrame(follow);
}

// One stop for the Tab key; arrows go from word to word and from line to line.
function step(word, by) {
  const all = words();
  move(word, all[Math.min(Math.max(all.indexOf(word) + by, 0), all.length - 1)]);
}

function stepLine(word, down) {
  const all = words();
  const at = all.indexOf(word);
  const others = down ? all.slice(at + 1) : all.slice(0, at).reverse();
  const line = others.find((other) => other.offsetTop !== word.offsetTop)?.offsetTop;
  const there = others.filter((other) => other.offsetTop === line);
  const gap = (other) => Math.abs(other.offsetLeft - word.offsetLeft);
  if (there.length) move(word, there.reduce((best, other) => (gap(other) < gap(best) ? other : best)));
}

function move(word, next) {
  word.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

box.addEventListener("click", (event) => {
  const word = event.target.closest(".word");
  if (word && getSelection().isCollapsed) playFrom(word);
});

box.addEventListener("keydown", (event) => {
  const word = event.target.closest(".word");
  if (!word) return;
  if (event.key === "Enter" || event.key === " ") playFrom(word);
  else if (event.key === "ArrowRight") step(word, 1);
  else if (event.key === "ArrowLeft") step(word, -1);
  else if (event.key === "ArrowDown") stepLine(word, true);
  else if (event.key === "ArrowUp") stepLine(word, false);
  else if (event.key === "Home") step(word, -Infinity);
  else if (event.key === "End") step(word, Infinity);
  else if (event.key === "Escape") player()?.pause();
  else return;
  event.preventDefault();
});

// Keep the newest words in sight while they come, unless the reader has scrolled up.
let atEnd = true;
box.addEventListener("scroll", () => {
  const list = box.querySelector(".words");
  atEnd = list.scrollTop + list.clientHeight > list.scrollHeight - 60;
}, true);
watch("value", () => {
  const list = box.querySelector(".words");
  if (list.children.length === 0) atEnd = true;
  if (atEnd && !player()?.currentTime) list.scrollTop = list.scrollHeight;
});

// The words are rewritten all the time: a screen reader is given each once, when it has settled.
if (props.aloud) {
  const voice = document.createElement("p");
  voice.className = "aloud";
  voice.setAttribute("role", "log");
  box.after(voice);
  let told = -1; // seconds
  watch("value", () => {
    const settled = props.value.filter(([, , , mark]) => mark !== "tentative");
    if (!props.value.length) told = -1;
    const fresh = settled.filter(([, start]) => start > told);
    if (!fresh.length) return;
    told = fresh.at(-1)[1];
    voice.textContent = joined(fresh);
  });
}

requestAnimationFrame(follow);
