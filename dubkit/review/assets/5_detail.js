// The chosen shot: its video, its plot, its verdict, its measures.
let player = null;  // {video, url, plot, shot}

function leave() {
  if (!player) return;
  if (player.video) { player.video.pause(); player.video.removeAttribute("src"); player.video.load(); }
  if (player.url) URL.revokeObjectURL(player.url);
  player = null;
}

function clipUrl(name) {
  const holder = document.getElementById(`clip-${name}`);
  if (!holder) return null;
  const raw = atob(holder.textContent.trim());
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
}

function drawDetail() {
  leave();
  const detail = $("detail"), shot = SHOTS[view.chosen];
  if (!shot) { detail.replaceChildren(h("div", {class: "empty"}, SHOTS.length ? "Choose a shot." : "No shots are known yet: the job has not come that far.")); return; }
  player = {shot, video: null, url: null, plot: null};
  detail.replaceChildren(h("div", {class: "in"}, heading(shot), screen(shot), plotCard(shot), verdictCard(shot),
    h("div", {class: "two"}, measuresCard(shot), factsCard(shot))));
  detail.scrollTop = 0;
  placePlot();
}

function heading(shot) {
  const tags = [h("span", {class: `pill ${shot.state}`}, STATE_NAMES[shot.state])];
  if (shot.risk && shot.risk !== "none") tags.push(h("span", {class: `pill ${shot.risk}`}, `${shot.risk} risk`));
  return h("div", {class: "heading"},
    h("button", {type: "button", class: "back", onclick: back}, "‹ All shots"),
    h("div", {class: "grow"}, h("h2", {}, `Shot ${view.chosen + 1}`),
      h("p", {class: "dim"}, `${codeOf(shot)}, ${clock(shot.start)} to ${clock(shot.end)}, ${shot.frames} frames, `, h("span", {class: "mono"}, shot.name))),
    h("div", {class: "tags"}, tags));
}

function screen(shot) {
  const url = clipUrl(shot.name);
  if (!url) {
    return h("div", {class: "card screen"},
      shot.thumb ? h("img", {class: "still", src: `data:image/jpeg;base64,${shot.thumb}`, alt: `A frame of shot ${view.chosen + 1}`}) : null,
      h("p", {class: "note-line dim"}, whyNoVideo(shot)));
  }
  const video = h("video", {src: url, playsinline: true, preload: "auto", "aria-label": "Original at the left, dubbed at the right"});
  const bar = h("input", {type: "range", min: 0, max: 1000, value: 0, "aria-label": "Position"});
  const play = h("button", {type: "button", class: "play", id: "play", onclick: playPause}, "Play");
  const time = h("span", {class: "dim"}, "");
  const toggle = (name, off, on, change) => h("button", {type: "button", class: "small", "aria-pressed": "false", onclick: (event) => {
    const set = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(set));
    event.currentTarget.textContent = set ? on : off;
    change(set);
  }}, off);
  player.url = url;
  player.video = video;
  bar.addEventListener("input", () => seek(bar.value / 1000));
  const show = () => {
    const all = video.duration || shot.end - shot.start;
    bar.value = Math.round(1000 * video.currentTime / all);
    time.textContent = `${video.currentTime.toFixed(2)} / ${all.toFixed(2)} s`;
    if (player && player.plot) player.plot.showNow(Math.min(1, video.currentTime / (shot.end - shot.start)));
  };
  const follow = () => { if (player && player.video === video) { show(); if (!video.paused && !video.ended) requestAnimationFrame(follow); } };
  for (const name of ["loadedmetadata", "seeked", "timeupdate"]) video.addEventListener(name, show);
  video.addEventListener("play", () => { play.textContent = "Pause"; follow(); });
  video.addEventListener("pause", () => { play.textContent = "Play"; });
  video.addEventListener("error", () => { if (video.getAttribute("src")) notify("This browser cannot play H.264 video; try another one.", true); });
  return h("div", {class: "card screen"},
    h("div", {class: "pair"}, h("div", {class: "sides dim"}, h("span", {}, "Original"), h("span", {}, shot.state === "kept" ? "Dubbed, not used" : "Dubbed")), video),
    h("div", {class: "controls"}, play, bar, time,
      toggle("speed", "full speed", "half speed", (set) => { video.playbackRate = set ? .5 : 1; }),
      toggle("loop", "play once", "loop", (set) => { video.loop = set; }),
      toggle("mute", "sound on", "sound off", (set) => { video.muted = set; })),
    shot.cut ? h("p", {class: "note-line dim"}, `The first ${shot.cut.toFixed(0)} s of the shot.`) : null);
}

function whyNoVideo(shot) {
  if (shot.state === "untouched") return "This shot keeps the film's own picture.";
  if (shot.state === "waiting") return "This shot is not rendered yet.";
  if (shot.state === "failed") return "This shot could not be rendered.";
  if (!shot.rendered) return "No face is dubbed here.";
  return `This page has no video of this shot. ${DATA.videos.summary}`;
}

function playPause() {
  if (!player || !player.video) return;
  const video = player.video;
  if (video.paused) { if (video.ended) video.currentTime = 0; video.play().catch(() => {}); } else video.pause();
}

function seek(part) {
  if (!player) return;
  if (player.video) player.video.currentTime = part * (player.shot.end - player.shot.start);
  else if (player.plot) player.plot.showNow(part);
}

function nudge(frames) {
  if (!player || !player.video) return;
  const frame = (player.shot.end - player.shot.start) / player.shot.frames;
  player.video.pause();
  player.video.currentTime = Math.max(0, player.video.currentTime + frames * frame);
}

function plotCard(shot) {
  if (!shot.phones && !shot.original) return null;
  const key = (color, text, block) => h("span", {}, h("i", {class: block ? "block" : "", style: {background: `var(${color})`}}), text);
  return h("section", {class: "card"}, h("h3", {}, "Opening of the mouth"),
    h("div", {class: "legend"}, shot.original ? key("--plot-real", "original") : null, shot.dubbed ? key("--plot-dub", "dubbed") : null,
      key("--closure", "P B M", true), key("--teeth", "F V", true), key("--vowel", "vowel", true), key("--other", "other", true)),
    h("div", {id: "plot"}), shot.words ? h("p", {class: "words"}, `“${shot.words}”`) : null);
}

function placePlot() {
  const holder = $("plot");
  if (!holder || !player) return;
  player.plot = makePlot(player.shot, Math.max(280, holder.clientWidth), seek);
  holder.replaceChildren(player.plot);
}

function verdictCard(shot) {
  const own = verdicts.get(shot.name);
  const is = (what) => String(Boolean(own && own.verdict === what));
  const judge = (what) => () => { setVerdict(shot.name, {verdict: own && own.verdict === what ? undefined : what}); drawDetail(); };
  const note = h("textarea", {id: "note", maxlength: 2000, placeholder: "Describe the problem, or what to check", oninput: (event) => setVerdict(shot.name, {note: event.target.value})}, own && own.note ? own.note : "");
  const options = [["original", "the original picture"], ...DATA.presets.map((name) => [`preset:${name}`, `rendered with the preset ${name}`])];
  if (own && own.instead && !options.some(([value]) => value === own.instead)) options.push([own.instead, own.instead]);
  const instead = h("select", {id: "instead", onchange: (event) => setVerdict(shot.name, {instead: event.target.value})},
    options.map(([value, text]) => h("option", {value, selected: Boolean(own && own.instead === value)}, text)));
  return h("section", {class: "card verdict-box"}, h("h3", {}, "Your verdict"),
    h("div", {class: "choose"},
      h("button", {type: "button", class: "big yes", id: "approve", "aria-pressed": is("approve"), onclick: judge("approve")}, "✓ Approve ", h("kbd", {}, "a")),
      h("button", {type: "button", class: "big no", id: "reject", "aria-pressed": is("reject"), onclick: judge("reject")}, "✕ Reject ", h("kbd", {}, "r"))),
    own && own.verdict === "reject" ? h("label", {}, "Use instead", instead) : null,
    own ? h("label", {}, "Note", note) : null);
}

function measuresCard(shot) {
  const body = shot.measures.map((m) => h("tr", {},
    h("td", {title: m.meaning}, m.label), h("td", {class: m.verdict || m.limit ? "num" : "num none dim"}, m.shown), h("td", {class: "num dim"}, m.limit || ""),
    h("td", {class: "num"}, m.verdict ? h("span", {class: `pill ${m.verdict}`}, m.verdict) : "")));
  return h("section", {class: "card"}, h("h3", {}, "Measures"), body.length
    ? h("div", {class: "scroll"}, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "measure"), h("th", {class: "num"}, "value"), h("th", {class: "num"}, "limit"), h("th", {class: "num"}, ""))), h("tbody", {}, body)))
    : h("p", {class: "dim"}, "Nothing was measured of this shot."));
}

function factsCard(shot) {
  const rows = [];
  const add = (name, value) => { if (value !== null && value !== undefined && value !== "") rows.push(h("dt", {}, name), h("dd", {}, value)); };
  if (shot.why) add("Why", shot.why);
  add("Verdict of the last run", shot.judged);
  add("Faces", shot.faces ? `${shot.dubbed_faces} of ${shot.faces} dubbed` : "none");
  add("Who", shot.who);
  if (shot.face) {
    add("Size", `${shot.face.width.toFixed(0)} px, ${(100 * shot.face.share).toFixed(0)} % of the picture's width`);
    add("Pose", `${shot.face.yaw.toFixed(0)}° to the side, ${shot.face.pitch.toFixed(0)}° up or down`);
    add("Confidence", shot.face.confidence.toFixed(2));
  }
  add("Focus", shot.focus === null || shot.focus === undefined ? null : shot.focus.toFixed(2));
  if (shot.speech) add("Speech", shot.speech.seconds ? `${shot.speech.seconds.toFixed(1)} s${shot.speech.phonemes === null ? "" : `, ${shot.speech.phonemes} phonemes, ${shot.speech.labials} P B M`}` : "silent");
  for (const [name, seconds] of Object.entries(shot.seconds)) add(`Time of ${name}`, `${seconds.toFixed(2)} s`);
  return h("section", {class: "card"}, h("h3", {}, "Facts"),
    shot.reasons && shot.reasons.length ? h("ul", {class: "reasons"}, shot.reasons.map((r) => h("li", {}, h("span", {class: `pill ${r.level}`}, r.level), " ", r.text))) : null,
    shot.reasons && shot.reasons.length ? h("hr", {style: {border: 0, borderTop: "1px solid var(--line)", margin: ".8rem 0"}}) : null,
    h("dl", {class: "facts"}, rows),
    shot.notes && shot.notes.length ? h("ul", {class: "plain dim"}, shot.notes.map((note) => h("li", {}, note))) : null);
}

function back() {
  document.body.classList.remove("reading");
  $("list").focus();
}
