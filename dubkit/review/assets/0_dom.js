"use strict";
// What both pages are made with: elements, times, the theme, what a browser remembers.
// Text from files reaches a page through textContent and attributes only, never as markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const STATE_NAMES = {failed: "failed", kept: "refused", warned: "warned", dubbed: "dubbed", untouched: "as filmed", waiting: "not done yet"};
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

/** People without a name of their own are person_1 in files. */
const called = (name) => name.replace(/^person_(\d+)$/, "person $1");

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
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

const THEMES = {auto: ["light", "system"], light: ["dark", "light"], dark: ["auto", "dark"]};
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").setAttribute("aria-label", `Theme: ${THEMES[name][1]}`);
  $("theme").textContent = {auto: "◐", light: "☀", dark: "☾"}[name];
  remember("theme", name);
}

const many = (count, thing) => `${count} ${thing}${count === 1 ? "" : "s"}`;

/** Under what name a browser keeps the verdicts on a job until they are saved. */
const draftOf = (film, job) => `verdicts ${film} ${job}`;
