// All films and languages of a batch: how far each is, and what is worst in it.
const FILMS = DATA.films;
const ENDS = {failed: "failed", interrupted: "stopped", partial: "partly dubbed", unfinished: "not finished", running: "running", done: "done"};
const LOOKS = {failed: "failed", interrupted: "kept", partial: "kept", unfinished: "waiting", running: "low", done: "dubbed"};
const BAR = ["failed", "kept", "warned", "dubbed", "untouched", "waiting"];

/** Verdicts given so far in this browser. */
function reviewed(film) {
  try {
    const shots = Object.values((JSON.parse(recall(draftOf(film.sha256, film.job)) || "{}")).shots || {});
    return {yes: shots.filter((own) => own.verdict === "approve").length, no: shots.filter((own) => own.verdict === "reject").length};
  } catch { return {yes: 0, no: 0}; }
}

const text = (film) => [film.film, film.language, film.name, film.error, ENDS[film.state], ...film.worst.map((shot) => shot.why)].join(" ").toLowerCase();
const SORTS = {
  worst: (a, b) => b.rank - a.rank || a.film.localeCompare(b.film) || a.language.localeCompare(b.language),
  film: (a, b) => a.film.localeCompare(b.film) || a.language.localeCompare(b.language),
  language: (a, b) => a.language.localeCompare(b.language) || a.film.localeCompare(b.film),
  progress: (a, b) => a.share - b.share || b.rank - a.rank,
};

function draw() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), language = $("language").value, state = $("state").value;
  const shown = FILMS.filter((film) => (!language || film.language === language) && (!state || film.state === state) && words.every((word) => text(film).includes(word)));
  shown.sort(SORTS[$("sort").value]);
  $("films").replaceChildren(...shown.map(filmCard));
  $("count").textContent = shown.length === FILMS.length ? many(FILMS.length, "job") : `${shown.length} of ${many(FILMS.length, "job")}`;
}

function filmCard(film) {
  const total = Object.values(film.counts).reduce((a, b) => a + b, 0), {yes, no} = reviewed(film);
  const link = (where, ...children) => film.page ? h("a", {href: film.page + where}, ...children) : h("span", {}, ...children);
  const bar = h("div", {class: "shares", role: "img", "aria-label": BAR.filter((state) => film.counts[state]).map((state) => `${film.counts[state]} ${STATE_NAMES[state]}`).join(", ")},
    BAR.filter((state) => film.counts[state]).map((state) => h("i", {class: state, title: `${film.counts[state]} ${STATE_NAMES[state]}`, style: {flexGrow: film.counts[state]}})));
  const said = BAR.filter((state) => film.counts[state]).map((state) => `${film.counts[state]} ${STATE_NAMES[state]}`).join(", ");
  return h("section", {class: "card filmcard"},
    h("div", {class: "headline"},
      h("h2", {}, link("", film.film)), film.language ? h("span", {class: "pill"}, film.language) : null,
      h("span", {class: `pill ${LOOKS[film.state] || ""}`}, ENDS[film.state] || film.state),
      h("span", {class: "dim grow"}, [film.length ? clock(film.length, 0) : "", film.seconds ? `made in ${duration(film.seconds)}` : "", yes + no ? `${yes} approved, ${no} rejected of ${total}` : ""].filter(Boolean).join(" · ")),
      film.page ? h("a", {class: "open", href: film.page}, "Review") : null),
    film.error ? h("p", {class: "trouble"}, film.error, film.hint ? h("span", {class: "dim"}, film.hint) : null) : null,
    total ? bar : null, total ? h("p", {class: "dim"}, said) : null,
    film.worst.length ? h("div", {class: "worst"}, film.worst.map((shot) => {
      const item = link(`#shot=${shot.number}`, shot.thumb ? h("img", {src: `data:image/jpeg;base64,${shot.thumb}`, alt: "", loading: "lazy"}) : null,
        h("b", {}, `Shot ${shot.number}`), h("span", {class: "dim"}, shot.why || STATE_NAMES[shot.state]));
      item.className = `one ${shot.state}`;
      return item;
    })) : null);
}

function start() {
  const count = (state) => FILMS.reduce((sum, film) => sum + (film.counts[state] || 0), 0), figure = (value, name) => h("div", {class: "card"}, h("b", {}, value), h("span", {class: "dim"}, name));
  const films = new Set(FILMS.map((film) => film.film)).size, languages = [...new Set(FILMS.map((film) => film.language).filter(Boolean))].sort();
  const ends = Object.keys(ENDS).filter((state) => FILMS.some((film) => film.state === state));
  $("title").textContent = DATA.name;
  $("subtitle").textContent = [many(films, "film"), many(languages.length, "language"), many(FILMS.length, "job")].join(" · ");
  const ended = FILMS.filter((film) => film.state === "done" || film.state === "partial").length;
  $("figures").append(figure(`${ended} of ${FILMS.length}`, "jobs finished"), figure(FILMS.filter((film) => film.state === "failed").length, "jobs failed"), figure(count("dubbed") + count("warned"), "shots dubbed"),
    figure(count("kept"), "shots refused"), figure(count("failed"), "shots failed"), figure(`${Math.round(100 * DATA.share)} %`, "of all shots done"));
  $("language").append(...languages.map((name) => h("option", {value: name}, name)));
  $("state").append(...ends.map((name) => h("option", {value: name}, ENDS[name])));
  $("legend").append(...BAR.map((state) => h("span", {}, h("i", {class: `block ${state}`, style: {background: "var(--state)"}}), STATE_NAMES[state])));
  setTheme(recall("theme") in THEMES ? recall("theme") : "auto");
  $("theme").addEventListener("click", () => setTheme(THEMES[document.documentElement.dataset.theme][0]));
  for (const id of ["language", "state", "sort"]) $(id).addEventListener("change", draw);
  $("search").addEventListener("input", draw);
  window.addEventListener("pageshow", (event) => { if (event.persisted) draw(); });
  window.addEventListener("storage", draw); // verdicts given in another tab, or a moment ago on the page that led here
  draw();
}
start();
