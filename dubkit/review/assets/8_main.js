// The rest: the job's own page, the theme, the keys, and the start.
function tableOf(heads, lines) {
  return h("div", {class: "scroll"}, h("table", {},
    h("thead", {}, h("tr", {}, heads.map(([text, kind]) => h("th", {class: kind || ""}, text)))),
    h("tbody", {}, lines.map((line) => h("tr", {}, line.map((cell, i) => h("td", {class: heads[i][1] || ""}, cell)))))));
}

function card(title, ...children) { return h("section", {class: "card"}, h("h3", {}, title), ...children); }

function drawJob() {
  const film = DATA.film, count = (state) => SHOTS.filter((shot) => shot.state === state).length;
  const figure = (value, text) => h("div", {class: "card"}, h("b", {}, value), h("span", {class: "dim"}, text));
  const paid = (weight) => weight.paid === true ? "yes" : weight.paid === false ? "no" : "not stated";
  const files = [["Film", film.video], ["Dub", film.audio], ["Script", film.script || "none"], ["Result", film.output + (film.finished ? "" : " (not finished)")],
    ["Picture", film.width ? `${film.width} × ${film.height}, ${film.rate} frames per second` : ""], ["Speech", film.speech], ["Sound and picture", film.offset], ["Dub on film", film.conform], ["Loudness", film.loudness], ["Consent", film.consent], ["Checksum", film.sha256]];
  $("job-view").replaceChildren(h("div", {class: "in"},
    h("div", {class: "figures"}, figure(SHOTS.length, "shots"), figure(clock(film.seconds, 0), "long"), figure(count("dubbed"), "dubbed"),
      figure(count("kept") + count("failed"), "failed or refused"), figure(count("warned"), "warned"), figure(count("untouched"), "as filmed")),
    film.people && film.people.length ? castCard(film.people) : null,
    card("Files", h("dl", {class: "facts"}, files.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {class: name === "Checksum" ? "mono" : ""}, value)]))),
    card("Stages", tableOf([["stage"], ["done", "num"], ["time", "num"], ["engine"]],
      DATA.stages.map((stage) => [stage.name, String(stage.done), duration(stage.seconds), stage.engines.join("; ")]))),
    card("Weights", tableOf([["weights"], ["license"], ["paid work"], ["from"], ["checksum"]],
      DATA.weights.map((w) => [w.name, w.license, paid(w), w.source, h("span", {class: "mono"}, w.digest)]))),
    DATA.warnings.length ? card("Warnings and notes", h("ul", {class: "plain"}, DATA.warnings.map((text) => h("li", {}, text)))) : null,
    h("p", {class: "dim"}, `Made by dubkit ${DATA.version}. ${DATA.videos.summary}`)));
}

/** The people of the film; each leads to the shots with them. */
function castCard(people) {
  return card("Cast", h("div", {class: "people"}, people.map((person) => h("button", {type: "button", class: "person", title: `Show the shots with ${person.name}`, onclick: () => { $("person").value = person.name; showView("shots"); refilter(); if (view.order.length) choose(view.order[0]); }},
    portrait(person.name), h("span", {}, h("b", {}, called(person.name)), h("span", {class: "dim"}, `${person.seconds.toFixed(0)} s in ${many(person.shots, "shot")}, ${person.dub ? `${person.dubbed.toFixed(0)} s dubbed` : "never dubbed"}`))))));
}

/** The largest face that this person has among the thumbnails. */
function portrait(name) {
  const holder = h("span", {class: "portrait"}, name.slice(0, 1).toUpperCase());
  const seen = SHOTS.filter((shot) => shot.thumb && shot.box && (shot.people || [])[0] === name);
  if (!seen.length) return holder;
  const best = seen.reduce((a, b) => (b.box[2] - b.box[0] > a.box[2] - a.box[0] ? b : a)), [x0, y0, x1, y1] = best.box;
  const image = h("img", {src: `data:image/jpeg;base64,${best.thumb}`, alt: ""});
  const side = 52, zoom = side / Math.max(.05, (y1 - y0) * 1.25);  // the height of the thumbnail that lets the face fill it
  image.addEventListener("load", () => {
    const wide = zoom * image.naturalWidth / image.naturalHeight;
    Object.assign(image.style, {height: `${zoom}px`, width: `${wide}px`, left: `${side / 2 - wide * (x0 + x1) / 2}px`, top: `${side / 2 - zoom * (y0 + y1) / 2}px`});
  });
  holder.replaceChildren(image);
  return holder;
}

function showView(name) {
  for (const other of ["shots", "job"]) {
    $(`${other}-view`).hidden = other !== name;
    $(`view-${other}`).setAttribute("aria-pressed", String(other === name));
  }
  $("strip").hidden = name !== "shots";
  if (name === "shots") { drawList(); drawStrip(); drawTimeline(); placePlot(); }
  else if (player.video) player.video.pause();
}

function verdictKey(what) {
  const shot = SHOTS[view.chosen];
  if (!shot) return;
  setVerdict(shot.name, {verdict: what});
  if (what === "approve" && view.at >= 0 && view.at < view.order.length - 1) step(1);
  else drawDetail(false);
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen(); else $("stage").requestFullscreen().catch(() => {});
}

const KEYS = {
  j: () => step(1), k: () => step(-1), a: () => verdictKey("approve"), r: () => verdictKey("reject"),
  u: () => verdictKey(undefined), n: () => { const note = $("note"); if (note) note.focus(); }, m: () => { const field = $("remark"); if (field) field.focus(); },
  b: flip, s: () => setMode("side"), w: () => setMode("wipe"), l: () => setLoop(!player.loop), c: () => setFace(!player.face), f: fullScreen,
  "[": () => setSpeed(-1), "]": () => setSpeed(1), "<": () => nudge(-NOMINAL), ">": () => nudge(NOMINAL),
  ArrowLeft: () => nudge(-1), ArrowRight: () => nudge(1),
  d: download, "/": () => { showView("shots"); $("search").focus(); $("search").select(); }, "?": () => $("help").showModal(),
  " ": playPause, ",": () => nudge(-1), ".": () => nudge(1), Enter: read,
};
const IN_LIST = {ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => step(-1e6), End: () => step(1e6), PageDown: () => step(6), PageUp: () => step(-6)};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (event.key === "Escape" && $("save").open) { $("save").open = false; return; }
  const field = event.target.closest("input, textarea, select");
  if (event.key === "Escape") {
    if (field) field.blur(); else back();
    return;
  }
  if (field) return;
  if ((event.key === " " || event.key === "Enter") && event.target.closest("button, a, summary")) return;
  const action = KEYS[event.key] || (event.target === $("list") || event.target === document.body ? IN_LIST[event.key] : null);
  if (action) { event.preventDefault(); action(); }
}

/** What the address names: #shot=4, or #at=00:00:05:10 for a frame; undefined for nothing that is there. */
function linked() {
  const parts = new URLSearchParams(location.hash.slice(1)), number = Number(parts.get("shot"));
  const frame = parts.has("at") ? frameOfCode(parts.get("at")) : undefined;
  if (frame !== undefined && frame >= 0 && frame < Math.max(1, CLOCK.frames)) return {shot: shotAt(timeOf(frame)), at: timeOf(frame)};
  return number >= 1 && number <= SHOTS.length ? {shot: number - 1} : undefined;
}

function go(link) {
  if (!link) return;
  showView("shots");
  choose(link.shot);
  if (link.at !== undefined) seek(link.at);
}

function start() {
  const film = DATA.film;
  $("title").textContent = film.name;
  $("subtitle").textContent = [`dub ${film.dub}`, clock(film.seconds, 0), `${SHOTS.length} shots`, film.finished ? "" : "not finished"].filter(Boolean).join(" · ");
  setTheme(recall("theme") in THEMES ? recall("theme") : "auto");
  const draft = recall(DRAFT);
  if (draft) readVerdicts(draft);
  const people = film.people || [];
  $("person").append(...people.map((person) => h("option", {value: person.name}, called(person.name))));
  $("person-label").hidden = !people.length;
  if (DATA.overview) { $("overview").href = DATA.overview; $("overview").hidden = false; }
  startPlayer();
  for (const id of ["risk", "face", "verdict-filter", "sort", "person"]) $(id).addEventListener("change", refilter);
  $("search").addEventListener("input", refilter);
  let drawn = 0;
  $("list").addEventListener("scroll", () => { cancelAnimationFrame(drawn); drawn = requestAnimationFrame(() => drawList(false)); }, {passive: true});
  $("strip").addEventListener("scroll", () => requestAnimationFrame(() => drawStrip(false)), {passive: true});
  $("strip").addEventListener("wheel", (event) => { if (!event.deltaX) { $("strip").scrollLeft += event.deltaY; event.preventDefault(); } }, {passive: false});
  window.addEventListener("resize", () => { drawList(false); drawStrip(false); placePlot(); drawTimeline(); fitScreen(); });
  $("download").addEventListener("click", () => { $("save").open = false; download(); });
  for (const form of Object.keys(WRITERS)) $(`save-${form}`).addEventListener("click", () => { $("save").open = false; downloadMarkers(form); });
  document.addEventListener("click", (event) => { if (!event.target.closest("#save")) $("save").open = false; });
  $("load").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => { if ($("file").files[0]) loadReview($("file").files[0]); $("file").value = ""; });
  $("theme").addEventListener("click", () => { setTheme(THEMES[document.documentElement.dataset.theme][0]); drawTimeline(); });
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("view-shots").addEventListener("click", () => showView("shots"));
  $("view-job").addEventListener("click", () => showView("job"));
  document.addEventListener("keydown", onKey);
  drawJob();
  drawReview();
  refilter();
  window.addEventListener("hashchange", () => go(linked()));
  const wanted = linked();
  if (wanted !== undefined) { go(wanted); read(); } else if (view.order.length) choose(view.order[0]); else drawDetail();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
  loadFilm().then(() => { if (wanted !== undefined) go(wanted); document.documentElement.dataset.film = sources.film ? "yes" : "no"; });
}

function startPlayer() {
  $("modes").append(...Object.entries(MODES).map(([mode, text]) => h("button", {type: "button", "data-mode": mode, "aria-pressed": "false", onclick: () => setMode(mode)}, text)));
  $("speed").append(...SPEEDS.map((speed) => h("option", {value: speed, selected: speed === 1}, `${speed}×`)));
  $("speed").addEventListener("change", () => setSpeed(0));
  $("listening").addEventListener("change", () => { player.listening = $("listening").value; setSound(); });
  for (const [id, act] of [["play", playPause], ["previous", () => step(-1)], ["next", () => step(1)], ["frame-back", () => nudge(-1)], ["frame-on", () => nudge(1)], ["loop", () => setLoop(!player.loop)], ["full", fullScreen]]) $(id).addEventListener("click", act);
  for (const button of document.querySelectorAll("#views-face button")) button.addEventListener("click", () => setFace(button.dataset.face === "yes"));
  const seekFilm = (event) => {
    const box = $("timeline").getBoundingClientRect(), at = DATA.film.seconds * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const index = shotAt(at);
    if (index !== view.chosen) choose(index, true, false);
    seek(at);
  };
  $("timeline").addEventListener("pointerdown", (event) => { $("timeline").setPointerCapture(event.pointerId); seekFilm(event); });
  $("timeline").addEventListener("pointermove", (event) => { if (event.buttons) seekFilm(event); });
  const split = (event) => {
    const box = $("screen").getBoundingClientRect();
    if (player.mode !== "wipe") return;
    player.split = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    paint();
  };
  $("screen").addEventListener("pointerdown", (event) => {
    if (player.mode === "wipe") { $("screen").setPointerCapture(event.pointerId); split(event); } else playPause();
  });
  $("screen").addEventListener("pointermove", (event) => { if (event.buttons) split(event); });
  setMode("side");
}
start();
