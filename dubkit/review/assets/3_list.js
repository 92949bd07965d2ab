// The list and the film strip: only what is in sight is in the page, however long the film is.
const ROW = 84, CELL = 98, SPARE = 6;
const rows = new Map();
const cells = new Map();

function thumbnail(shot) {
  return shot.thumb ? h("img", {src: `data:image/jpeg;base64,${shot.thumb}`, alt: "", decoding: "async"}) : null;
}

function mark(shot) {
  const verdict = verdicts.get(shot.name);
  if (!verdict) return null;
  return verdict.verdict === "approve" ? h("span", {class: "yes", title: "approved"}, "✓") : h("span", {class: "no", title: "rejected"}, "✕");
}

function oneLine(shot) {
  const failed = shot.measures.find((m) => m.verdict === "fail") || shot.measures.find((m) => m.verdict === "warn");
  if (shot.why) return shot.why;
  if (failed) return `${failed.label}: ${failed.shown}`;
  if (shot.reasons && shot.reasons.length) return shot.reasons[0].text;
  if (!shot.faces) return "no face: the picture is unchanged";
  return (shot.words && `“${shot.words}”`) || (shot.speech && shot.speech.seconds ? `${shot.speech.seconds.toFixed(1)} s of speech` : "nobody speaks");
}

function makeRow(place) {
  const index = view.order[place], shot = SHOTS[index];
  const chosen = index === view.chosen;
  return h("div", {
    class: `row ${shot.state}${chosen ? " chosen" : ""}`, role: "option", id: `row-${index}`,
    "aria-selected": String(chosen), "aria-setsize": view.order.length, "aria-posinset": place + 1,
    style: {top: `${place * ROW}px`}, onclick: () => { choose(index); read(); },
  },
  h("div", {class: "thumb"}, thumbnail(shot)),
  h("div", {},
    h("div", {class: "head"}, `Shot ${index + 1}`, h("span", {class: "dim"}, `${codeOf(shot)}, ${(shot.end - shot.start).toFixed(1)} s`), mark(shot)),
    h("div", {class: "tags"}, h("span", {class: `pill ${shot.state}`}, STATE_NAMES[shot.state]),
      ["high", "medium"].includes(shot.risk) ? h("span", {class: `pill ${shot.risk}`}, `${shot.risk} risk`) : null,
      notesOf(shot).length ? h("span", {class: "pill"}, many(notesOf(shot).length, "note")) : null),
    h("div", {class: "why"}, oneLine(shot))));
}

/** Bring the rows in sight into the page and the others out of it. */
function drawList(redraw = true) {
  const list = $("list"), holder = $("rows");
  holder.style.height = `${view.order.length * ROW}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
  const last = Math.min(view.order.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
  sync(rows, holder, first, last, makeRow, redraw);
  const chosen = document.getElementById(`row-${view.chosen}`);
  if (chosen) list.setAttribute("aria-activedescendant", chosen.id);
  else list.removeAttribute("aria-activedescendant");
}

function sync(known, holder, first, last, make, redraw) {
  for (const [place, element] of known) {
    if (redraw || place < first || place >= last) { element.remove(); known.delete(place); }
  }
  for (let place = first; place < last; place++) {
    if (!known.has(place)) {
      const element = make(place);
      known.set(place, element);
      holder.append(element);
    }
  }
}

function makeCell(index) {
  const shot = SHOTS[index];
  return h("figure", {
    class: `${shot.state}${index === view.chosen ? " chosen" : ""}${fits(index) ? "" : " out"}`,
    style: {left: `${8 + index * CELL}px`}, title: `Shot ${index + 1}, ${codeOf(shot)}`,
    onclick: () => { choose(index); read(); },
  }, thumbnail(shot), mark(shot) ? h("span", {class: "mark"}, mark(shot)) : null);
}

function drawStrip(redraw = true) {
  const strip = $("strip");
  if (!strip.firstChild) strip.append(h("div", {class: "track", style: {width: `${SHOTS.length * CELL + 16}px`}}));
  const first = Math.max(0, Math.floor(strip.scrollLeft / CELL) - SPARE);
  const last = Math.min(SHOTS.length, Math.ceil((strip.scrollLeft + strip.clientWidth) / CELL) + SPARE);
  sync(cells, strip.firstChild, first, last, makeCell, redraw);
}

function drawStates() {
  const counts = {};
  SHOTS.forEach((shot, i) => { if (fits(i, "states")) counts[shot.state] = (counts[shot.state] || 0) + 1; });
  const there = Object.keys(STATE_NAMES).filter((state) => SHOTS.some((shot) => shot.state === state));
  $("states").replaceChildren(...there.map((state) => h("button", {
    type: "button", class: state, "aria-pressed": String(view.states.has(state)), "data-state": state,
    onclick: () => {
      view.states.has(state) ? view.states.delete(state) : view.states.add(state);
      refilter();
      $("states").querySelector(`[data-state="${state}"]`).focus();
    },
  }, STATE_NAMES[state], h("span", {class: "n"}, counts[state] || 0))));
}

/** Show a shot; the player goes to its beginning unless it is there by itself. */
function choose(index, follow = true, going = true) {
  if (index === undefined || index < 0) return;
  view.chosen = index;
  history.replaceState(null, "", `#shot=${index + 1}`);
  view.at = view.order.indexOf(index);
  if (follow && view.at >= 0) {
    const list = $("list"), top = view.at * ROW;
    if (top < list.scrollTop) list.scrollTop = top - ROW / 2;
    else if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + 1.5 * ROW - list.clientHeight;
  }
  const strip = $("strip"), left = index * CELL;
  if (left < strip.scrollLeft || left + CELL > strip.scrollLeft + strip.clientWidth) strip.scrollLeft = left - strip.clientWidth / 2;
  drawList();
  drawStrip();
  drawDetail(going);
}

function step(by) {
  if (!view.order.length) return;
  const place = view.at < 0 || view.chosen < 0 ? 0 : Math.min(view.order.length - 1, Math.max(0, view.at + by));
  choose(view.order[place]);
}

function read() { document.body.classList.add("reading"); }
