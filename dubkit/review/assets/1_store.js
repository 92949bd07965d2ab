"use strict";
// What the page knows: the data of the work folder, the verdicts, what is filtered and chosen.
// Text from files reaches the page through textContent and attributes only, never as markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const SHOTS = DATA.shots;
const STATE_NAMES = {failed: "failed", kept: "kept original", warned: "warned", dubbed: "dubbed", untouched: "untouched", waiting: "not done yet"};
const RISK_ORDER = {high: 3, medium: 2, low: 1, none: 0};
const BY_NAME = new Map(SHOTS.map((shot, index) => [shot.name, index]));

const view = {order: SHOTS.map((_, i) => i), at: 0, chosen: -1, states: new Set()};
const verdicts = new Map();
const $ = (id) => document.getElementById(id);

/** An element: attributes by name, `on...` as listeners, `data` and `style` as maps; children are text or nodes. */
function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "class") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function clock(seconds, digits = 1) {
  const whole = Math.floor(seconds / 60);
  const rest = (seconds - 60 * whole).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return whole < 60 ? `${whole}:${rest}` : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}:${rest}`;
}

/** What people call a moment of a shot's start: its time code, where the film has one. */
function codeOf(shot) {
  return shot.timecode || clock(shot.start);
}

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

const searched = SHOTS.map((shot, i) => [i + 1, shot.name, shot.timecode, shot.words, shot.who, shot.why, STATE_NAMES[shot.state],
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
  const risk = $("risk").value, face = $("face").value, wanted = $("verdict-filter").value;
  return (without === "states" || !view.states.size || view.states.has(shot.state))
    && (!risk || shot.risk === risk)
    && (!face || (face === "with") === (shot.faces > 0))
    && (!wanted || (verdict ? verdict.verdict : "open") === wanted)
    && words.every((word) => searched[index].includes(word) || note.includes(word));
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

function remember(name, value) {
  try { localStorage.setItem(`dubkit ${name}`, value); } catch { /* a page from a file may have no store */ }
}

function recall(name) {
  try { return localStorage.getItem(`dubkit ${name}`); } catch { return null; }
}

function notify(text, bad = false) {
  const box = $("message");
  box.textContent = text;
  box.className = bad ? "message bad" : "message";
  box.hidden = !text;
}
