// The chosen shot: what it is, its lanes, its verdict and notes, its measures.
function drawDetail(going = true) {
  const shot = SHOTS[view.chosen];
  document.body.classList.toggle("none", !shot);
  if (!shot) {
    $("empty").textContent = SHOTS.length ? "Choose a shot." : "No shots are known yet: the job has not come that far.";
    return;
  }
  heading(shot);
  load(shot, going);
  stage(shot);
  $("side").replaceChildren(...[verdictCard(shot), measuresCard(shot), factsCard(shot)]);
  if (going) $("detail").scrollTop = 0;
  placePlot();
  drawTimeline();
  tick();
}

function heading(shot) {
  const tags = [h("span", {class: `pill ${shot.state}`}, STATE_NAMES[shot.state])];
  if (shot.risk && shot.risk !== "none") tags.push(h("span", {class: `pill ${shot.risk}`}, `${shot.risk} risk`));
  const people = (shot.people || []).map(called).join(", ");
  $("heading").replaceChildren(
    h("button", {type: "button", class: "back", onclick: back}, "‹ All shots"),
    h("div", {class: "grow"}, h("div", {class: "called"}, h("h2", {}, `Shot ${view.chosen + 1}`), people ? h("span", {class: "who"}, people) : null),
      h("p", {class: "dim"}, `${codeOf(shot)} to ${DATA.film.clock ? timecode(endFrame(shot)) : clock(shot.end)}, ${(shot.end - shot.start).toFixed(1)} s, ${shot.frames} frames, `, h("span", {class: "mono"}, shot.name))),
    h("div", {class: "tags"}, tags));
}

/** What the player shows of a shot: its video, or a still and why there is no more. */
function stage(shot) {
  const film = Boolean(sources.film), clip = player.kind === "clip";
  $("screen").hidden = !player.video;
  $("names").hidden = !player.video;
  $("modes").hidden = !player.video;
  $("transport").hidden = !player.video;
  $("timeline-box").hidden = !film;
  $("still").hidden = Boolean(player.video) || !shot.thumb;
  if (shot.thumb) { $("still").src = `data:image/jpeg;base64,${shot.thumb}`; $("still").alt = `A frame of shot ${view.chosen + 1}`; }
  $("views-face").hidden = !film || !(shot.square || document.getElementById(`clip-${shot.name}`));
  for (const button of document.querySelectorAll("#views-face button")) button.setAttribute("aria-pressed", String((button.dataset.face === "yes") === player.face));
  $("names").lastElementChild.textContent = shot.state === "kept" && clip ? "Dubbed, not used" : shot.state === "kept" ? "Dubbed: this shot keeps its original" : "Dubbed";
  const notes = [];
  if (!player.video) notes.push(whyNoVideo(shot));
  else if (clip && shot.cut) notes.push(`The first ${shot.cut.toFixed(0)} s of the shot.`);
  else if (player.face && !clip && film) notes.push(shot.square ? "Enlarged from the video of the whole film." : "No face is dubbed here: the whole picture is shown.");
  if (shot.state === "kept" && film && !clip && document.getElementById(`clip-${shot.name}`)) notes.push("The close-up shows the dubbed picture that was not used.");
  if (!film && DATA.videos.film) notes.push(DATA.videos.film);
  $("screen-note").textContent = notes.join(" ");
  $("screen-note").hidden = !notes.length;
  showPlaying();
}

function whyNoVideo(shot) {
  if (document.querySelector("script.film-part")) return "The film is being unpacked …";
  if (shot.state === "untouched") return "This shot keeps the film's own picture.";
  if (shot.state === "waiting") return "This shot is not rendered yet.";
  if (shot.state === "failed") return "This shot could not be rendered.";
  if (!shot.rendered) return "No face is dubbed here.";
  return `This page has no video of this shot. ${DATA.videos.summary}`;
}

function placePlot() {
  const shot = SHOTS[view.chosen], holder = $("plot");
  if (!shot) return;
  const some = shot.phones || shot.original || DATA.waves;
  $("lanes").hidden = !some;
  if (!some) { player.plot = null; return; }
  for (const [name, there] of [["key-real", shot.original], ["key-dub", shot.dubbed]]) $(name).hidden = !there;
  player.plot = makePlot(shot, Math.max(280, holder.clientWidth), (part) => seek(shot.start + part * (shot.end - shot.start)));
  holder.replaceChildren(player.plot);
  $("words").textContent = shot.words ? `“${shot.words}”` : "";
  showNow();
}

function verdictCard(shot) {
  const own = verdicts.get(shot.name);
  const is = (what) => String(Boolean(own && own.verdict === what));
  const judge = (what) => () => { setVerdict(shot.name, {verdict: own && own.verdict === what ? undefined : what}); drawDetail(false); };
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
    own ? h("label", {}, "Note on the shot", note) : null,
    notesBox(shot));
}

/** Remarks on single frames, with their time codes. */
function notesBox(shot) {
  const list = notesOf(shot).map((own) => h("li", {},
    h("button", {type: "button", class: "code", title: "Go there", onclick: () => seek(timeOf(own.frame))}, timecode(own.frame)), h("span", {}, own.text),
    h("button", {type: "button", class: "drop", "aria-label": `Delete the note at ${timecode(own.frame)}`, onclick: () => { removeNote(own); drawDetail(false); }}, "✕")));
  const field = h("input", {id: "remark", maxlength: 500, autocomplete: "off", placeholder: "Note at this frame", "aria-label": "Note at the frame that is shown",
    onfocus: () => { if (player.video) player.video.pause(); }});
  const keep = () => {
    if (!field.value.trim()) return;
    addNote(Math.min(endFrame(shot) - 1, Math.max(firstFrame(shot), frameAt(now()))), field.value);
    drawDetail(false);
    $("remark").focus();
  };
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); keep(); } });
  return h("div", {class: "remarks"}, list.length ? h("ul", {}, list) : null,
    h("div", {class: "remark"}, field, h("button", {type: "button", onclick: keep}, "Add ", h("kbd", {}, "m"))));
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
  add("People", (shot.people || []).map(called).join(", "));
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
