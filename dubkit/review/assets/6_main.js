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
      figure(count("kept") + count("failed"), "failed or kept original"), figure(count("warned"), "warned"), figure(count("untouched"), "untouched")),
    card("Files", h("dl", {class: "facts"}, files.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {class: name === "Checksum" ? "mono" : ""}, value)]))),
    card("Stages", tableOf([["stage"], ["done", "num"], ["time", "num"], ["engine"]],
      DATA.stages.map((stage) => [stage.name, String(stage.done), duration(stage.seconds), stage.engines.join("; ")]))),
    card("Weights", tableOf([["weights"], ["license"], ["paid work"], ["from"], ["checksum"]],
      DATA.weights.map((w) => [w.name, w.license, paid(w), w.source, h("span", {class: "mono"}, w.digest)]))),
    DATA.warnings.length ? card("Warnings and notes", h("ul", {class: "plain"}, DATA.warnings.map((text) => h("li", {}, text)))) : null,
    h("p", {class: "dim"}, `Made by dubkit ${DATA.version}. ${DATA.videos.summary}`)));
}

function showView(name) {
  for (const other of ["shots", "job"]) {
    $(`${other}-view`).hidden = other !== name;
    $(`view-${other}`).setAttribute("aria-pressed", String(other === name));
  }
  $("strip").hidden = name !== "shots";
  if (name === "shots") { drawList(); drawStrip(); }
}

const THEMES = {auto: ["light", "system"], light: ["dark", "light"], dark: ["auto", "dark"]};
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").setAttribute("aria-label", `Theme: ${THEMES[name][1]}`);
  $("theme").textContent = {auto: "◐", light: "☀", dark: "☾"}[name];
  remember("theme", name);
}

function verdictKey(what) {
  const shot = SHOTS[view.chosen];
  if (!shot) return;
  setVerdict(shot.name, {verdict: what});
  if (what === "approve" && view.at >= 0 && view.at < view.order.length - 1) step(1);
  else drawDetail();
}

const KEYS = {
  j: () => step(1), k: () => step(-1), a: () => verdictKey("approve"), r: () => verdictKey("reject"),
  u: () => verdictKey(undefined), n: () => { const note = $("note"); if (note) note.focus(); },
  d: download, "/": () => { showView("shots"); $("search").focus(); $("search").select(); }, "?": () => $("help").showModal(),
  " ": playPause, ",": () => nudge(-1), ".": () => nudge(1), Enter: read,
};
const IN_LIST = {ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => step(-1e6), End: () => step(1e6), PageDown: () => step(6), PageUp: () => step(-6)};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const field = event.target.closest("input, textarea, select");
  if (event.key === "Escape") {
    if (field) field.blur(); else back();
    return;
  }
  if (field && !(field.type === "range" && "jkaru/?".includes(event.key))) return;
  if ((event.key === " " || event.key === "Enter") && event.target.closest("button, a")) return;
  const action = KEYS[event.key] || (event.target === $("list") || event.target === document.body ? IN_LIST[event.key] : null);
  if (action) { event.preventDefault(); action(); }
}

/** The shot that the address names, as in #shot=4; undefined for none. */
function linked() {
  const number = Number((/^#shot=(\d+)$/.exec(location.hash) || [])[1]);
  return number >= 1 && number <= SHOTS.length ? number - 1 : undefined;
}

function start() {
  const film = DATA.film;
  $("title").textContent = film.name;
  $("subtitle").textContent = [`dub ${film.dub}`, clock(film.seconds, 0), `${SHOTS.length} shots`, film.finished ? "" : "not finished"].filter(Boolean).join(" · ");
  setTheme(recall("theme") in THEMES ? recall("theme") : "auto");
  const draft = recall(DRAFT);
  if (draft) readVerdicts(draft);
  for (const id of ["risk", "face", "verdict-filter", "sort"]) $(id).addEventListener("change", refilter);
  $("search").addEventListener("input", refilter);
  let drawn = 0;
  $("list").addEventListener("scroll", () => { cancelAnimationFrame(drawn); drawn = requestAnimationFrame(() => drawList(false)); }, {passive: true});
  $("strip").addEventListener("scroll", () => requestAnimationFrame(() => drawStrip(false)), {passive: true});
  $("strip").addEventListener("wheel", (event) => { if (!event.deltaX) { $("strip").scrollLeft += event.deltaY; event.preventDefault(); } }, {passive: false});
  window.addEventListener("resize", () => { drawList(false); drawStrip(false); placePlot(); });
  $("download").addEventListener("click", download);
  $("load").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => { if ($("file").files[0]) loadVerdicts($("file").files[0]); $("file").value = ""; });
  $("theme").addEventListener("click", () => setTheme(THEMES[document.documentElement.dataset.theme][0]));
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("view-shots").addEventListener("click", () => showView("shots"));
  $("view-job").addEventListener("click", () => showView("job"));
  document.addEventListener("keydown", onKey);
  drawJob();
  drawReview();
  refilter();
  window.addEventListener("hashchange", () => choose(linked()));
  const wanted = linked();
  if (wanted !== undefined) { choose(wanted); read(); } else if (view.order.length) choose(view.order[0]); else drawDetail();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}
start();
