// What the page knows: the data of the work folder, the verdicts, what is filtered and chosen.
const SHOTS = DATA.shots;
const RISK_ORDER = {high: 3, medium: 2, low: 1, none: 0};
const BY_NAME = new Map(SHOTS.map((shot, index) => [shot.name, index]));

const view = {order: SHOTS.map((_, i) => i), at: 0, chosen: -1, states: new Set()};
const verdicts = new Map();

// Frames are those of the film as coded, from 0; time codes as SMPTE ST 12-1 counts them, drop frame too.
const CLOCK = DATA.film.clock || {rate: [25, 1], drop: false, first: 0, lines: 1, frames: 0, even: true};
const RATE = CLOCK.rate[0] / CLOCK.rate[1];
const NOMINAL = Math.round(RATE);
const LEFT_OUT = CLOCK.drop ? Math.floor(NOMINAL / 15) : 0;

function timecode(frame) {
  const day = 24 * (3600 * NOMINAL - 54 * LEFT_OUT);
  let count = (((CLOCK.first + frame) % day) + day) % day;
  if (CLOCK.drop) {
    const whole = 600 * NOMINAL - 9 * LEFT_OUT, tens = Math.floor(count / whole), rest = count % whole;
    const minutes = Math.floor(Math.max(0, rest - LEFT_OUT) / (60 * NOMINAL - LEFT_OUT));
    count += LEFT_OUT * (9 * tens + minutes);
  }
  return codeText(count);
}

function codeText(count) {
  const two = (value) => String(value).padStart(2, "0");
  const seconds = Math.floor(count / NOMINAL);
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}${CLOCK.drop ? ";" : ":"}${String(count % NOMINAL).padStart(NOMINAL > 100 ? 3 : 2, "0")}`;
}

/** The frame that a time code names; undefined for none of this film. */
function frameOfCode(code) {
  const found = /^(\d\d?):(\d\d):(\d\d)[:;.,](\d\d\d?)$/.exec(code.trim());
  if (!found) return undefined;
  const [hours, minutes, seconds, frames] = found.slice(1).map(Number), past = 60 * hours + minutes;
  return (60 * past + seconds) * NOMINAL + frames - LEFT_OUT * (past - Math.floor(past / 10)) - CLOCK.first;
}

const frameAt = (seconds) => Math.floor(seconds * RATE + 1e-3);
const timeOf = (frame) => (frame + .5) / RATE;  // its middle, so that rounding meets no neighbor
const firstFrame = (shot) => CLOCK.even ? Math.floor(Number(shot.name.split("-")[0]) / CLOCK.lines) : Math.round(shot.start * RATE);
const endFrame = (shot) => CLOCK.even ? Math.floor(Number(shot.name.split("-")[1]) / CLOCK.lines) : Math.round(shot.end * RATE);

/** The number of the shot that holds a moment of the film. */
function shotAt(seconds) {
  let low = 0, high = SHOTS.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (SHOTS[middle].start <= seconds + 1e-4) low = middle; else high = middle - 1;
  }
  return SHOTS.length ? low : -1;
}

/** What people call the start of a shot: its time code, where the film has one. */
function codeOf(shot) {
  return shot.timecode || (DATA.film.clock ? timecode(firstFrame(shot)) : clock(shot.start));
}

const searched = SHOTS.map((shot, i) => [i + 1, shot.name, shot.timecode, shot.words, shot.who, ...(shot.people || []), shot.why, STATE_NAMES[shot.state],
  ...(shot.reasons || []).map((r) => r.text), ...(shot.notes || []),
  ...shot.measures.filter((m) => m.verdict !== "pass").map((m) => m.label)].join(" ").toLowerCase());

const SORTS = {
  worst: (a, b) => SHOTS[b].rank - SHOTS[a].rank || a - b,
  film: (a, b) => a - b,
  risk: (a, b) => RISK_ORDER[SHOTS[b].risk] - RISK_ORDER[SHOTS[a].risk] || a - b,
  length: (a, b) => (SHOTS[b].end - SHOTS[b].start) - (SHOTS[a].end - SHOTS[a].start) || a - b,
  face: (a, b) => (SHOTS[a].face ? SHOTS[a].face.width : 1e9) - (SHOTS[b].face ? SHOTS[b].face.width : 1e9) || a - b,
};

function fits(index, without) {
  const shot = SHOTS[index];
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdict = verdicts.get(shot.name);
  const note = verdict && verdict.note ? verdict.note.toLowerCase() : "";
  const risk = $("risk").value, face = $("face").value, wanted = $("verdict-filter").value, person = $("person").value;
  const remarks = notesOf(shot).map((own) => own.text.toLowerCase()).join(" ");
  return (without === "states" || !view.states.size || view.states.has(shot.state))
    && (!risk || shot.risk === risk)
    && (!face || (face === "with") === (shot.faces > 0))
    && (!person || (shot.people || []).includes(person))
    && (!wanted || (wanted === "noted" ? Boolean(note || remarks) : (verdict ? verdict.verdict : "open") === wanted))
    && words.every((word) => searched[index].includes(word) || note.includes(word) || remarks.includes(word));
}

/** Filter and sort redraw; the chosen shot stays chosen where it still fits. */
function refilter() {
  view.order = SHOTS.map((_, i) => i).filter((i) => fits(i)).sort(SORTS[$("sort").value]);
  const place = view.order.indexOf(view.chosen);
  view.at = Math.max(0, place);
  const all = view.order.length === SHOTS.length;
  $("count").textContent = all ? `${SHOTS.length} shots` : `${view.order.length} of ${SHOTS.length} shots`;
  drawStates();
  drawList(true);
  drawStrip();
}
