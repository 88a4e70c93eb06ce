// Live captions: what is recorded is kept here until the server says that it has arrived, so that
// neither a busy server nor a message that is lost costs a word. It goes with the page, though, which
// gradio reloads when the connection has been broken: opening.js has the visitor asked first.
// `server.hear` is `captions.receive`.

const STEP = 500; // milliseconds between two messages
const MOST = 5; // seconds of sound in one
const DOUBLE = 600; // milliseconds in which a second click belongs to the first

// Runs beside the page: gathers mono sound in pieces of 1024 samples. An answer comes after them all.
const RECORDER = `registerProcessor("recorder", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.port.onmessage = () => this.port.postMessage(null);
  }
  piece = new Float32Array(1024);
  filled = 0;
  process([[samples]]) {
    if (samples) {
      this.piece.set(samples, this.filled);
      this.filled += samples.length;
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece);
        this.filled = 0;
      }
    }
    return true;
  }
})`;

let stop = null;
let turn = 0; // a second click while the browser still asks takes the place of the first
let stopped = -DOUBLE;
let tapes = []; // what was recorded since the page was opened, or cleared

// The key of a new session and the seconds recorded before it. In place of the key, null without a
// microphone, "" where none was meant to begin: Record takes the place of Stop, and so the second
// click of a double one.
window.startMicrophone = async () => {
  if (performance.now() - stopped < DOUBLE) return ["", 0];
  stop?.();
  const mine = ++turn;
  const stream = await navigator.mediaDevices?.getUserMedia({ audio: true }).catch(() => null);
  if (!stream) return [null, 0]; // head.html says so
  const context = new AudioContext();
  const session = { key: crypto.randomUUID(), rate: context.sampleRate, pieces: [], first: 0 };
  const tape = { rate: session.rate, pieces: [] };
  const program = new Blob([RECORDER], { type: "text/javascript" });
  await context.audioWorklet.addModule(URL.createObjectURL(program));
  if (mine !== turn) {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    return ["", 0];
  }
  const recorder = new AudioWorkletNode(context, "recorder", {
    channelCount: 1, channelCountMode: "explicit", numberOfOutputs: 0,
  });
  let complete;
  const all = new Promise((resume) => (complete = resume));
  recorder.port.onmessage = ({ data }) => {
    if (!data) return complete();
    const piece = Int16Array.from(data, (sample) => 32767 * Math.max(-1, Math.min(1, sample)));
    session.pieces.push(piece);
    tape.pieces.push(piece);
    const loudest = data.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    document.documentElement.style.setProperty("--loudness", loudest.toFixed(2));
  };
  const source = context.createMediaStreamSource(stream);
  source.connect(recorder);
  const play = () => {
    const audio = element.querySelector("audio");
    URL.revokeObjectURL(audio.src); // or each Stop would leave a copy of all in the memory
    audio.src = URL.createObjectURL(wav(tapes, session.rate));
  };
  session.seal = async () => { // when what the page had no time for has come; a recorder may be gone
    if (context.state === "closed") return;
    await Promise.race([all, wait(STEP)]);
    recorder.port.onmessage = null;
    context.close();
    play();
  };
  stop = session.end = () => {
    if (session.stopped) return; // another one may have begun
    stop = null;
    session.stopped = true;
    stream.getTracks().forEach((track) => track.stop());
    source.disconnect();
    recorder.port.postMessage(null);
    show(false);
    play();
  };
  stream.getTracks().forEach((track) => (track.onended = stop)); // the microphone was pulled out
  putAway();
  element.querySelector("div").innerHTML = "<audio controls></audio>";
  show(true);
  send(session);
  const before = tapes.reduce((sum, { rate, pieces }) => sum + (1024 * pieces.length) / rate, 0);
  tapes.push(tape);
  return [session.key, before];
};

function putAway() {
  const audio = element.querySelector("audio");
  if (audio) URL.revokeObjectURL(audio.src);
}

window.clearTape = () => {
  tapes = [];
  putAway();
  element.querySelector("div").innerHTML = "";
};

window.stopMicrophone = () => {
  if (stop) stopped = performance.now();
  stop?.();
};

function show(speaking) {
  const button = document.activeElement?.closest("#live-record, #live-stop");
  document.documentElement.classList.toggle("speaking", speaking);
  if (button) document.querySelector(speaking ? "#live-stop" : "#live-record").focus();
}

const wait = (milliseconds) => new Promise((resume) => setTimeout(resume, milliseconds));

async function send(session) {
  const { key, rate, pieces } = session;
  for (let known = false; ; ) {
    await wait(STEP);
    const stopped = session.stopped;
    if (stopped) await session.seal();
    const some = pieces.slice(0, Math.ceil((MOST * rate) / 1024));
    const last = Boolean(stopped) && some.length === pieces.length;
    const arrived = await server.hear(key, rate, session.first, encode(some), last);
    if (arrived === undefined) continue; // the line is bad
    if (arrived === null && !known) continue; // our turn has not come yet
    if (arrived === null || arrived < 0) { // the server gave up, and says why
      session.end();
      return session.seal();
    }
    known = true;
    while (session.first < arrived) session.first += pieces.shift().length;
    if (last && pieces.length === 0) return;
  }
}

// What was recorded, to be played: it has never been a file anywhere.
function wav(tapes, rate) {
  const pieces = tapes.flatMap((tape) => (tape.rate === rate ? tape.pieces : resampled(tape, rate)));
  const bytes = pieces.reduce((sum, piece) => sum + piece.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const fields = [0x46464952, bytes + 36, 0x45564157, 0x20746d66, 16, 0x10001, rate, 2 * rate, 0x100002, 0x61746164, bytes];
  fields.forEach((field, index) => header.setUint32(4 * index, field, true));
  return new Blob([header, ...pieces], { type: "audio/wav" });
}

// Another device may have been plugged in: to be listened to only, so that the nearest sample will do.
function resampled({ rate, pieces }, wanted) {
  const at = (index) => Math.floor((index * rate) / wanted);
  const length = Math.floor((1024 * pieces.length * wanted) / rate);
  return [Int16Array.from({ length }, (_, index) => pieces[at(index) >> 10][at(index) & 1023])];
}

function encode(pieces) {
  let text = "";
  for (const piece of pieces) text += String.fromCharCode(...new Uint8Array(piece.buffer));
  return btoa(text);
}
