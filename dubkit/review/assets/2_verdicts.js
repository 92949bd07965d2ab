// Approve and reject, notes on single frames; the file that `dubkit run --verdicts` takes.
const DRAFT = draftOf(DATA.film.sha256, DATA.film.job);
let notes = [];  // {frame, text}, in film order

function notesOf(shot) {
  const first = firstFrame(shot), end = endFrame(shot);
  return notes.filter((note) => note.frame >= first && note.frame < end);
}

function addNote(frame, text) {
  if (text.trim() && !notes.some((note) => note.frame === frame && note.text === text.trim())) notes.push({frame, text: text.trim()});
  notes.sort((a, b) => a.frame - b.frame);
  changed();
}

function removeNote(note) {
  notes = notes.filter((other) => other !== note);
  changed();
}

function changed() {
  remember(DRAFT, JSON.stringify(verdictFile()));
  drawReview();
  drawList();
  drawStrip();
  drawTimeline();
}

function setVerdict(name, change) {
  const before = verdicts.get(name) || {};
  const after = {...before, ...change};
  if (!after.verdict) verdicts.delete(name);
  else {
    if (after.verdict === "reject") after.instead = after.instead || "original";
    else delete after.instead;
    verdicts.set(name, after);
  }
  changed();
}

function verdictFile() {
  const shots = {};
  for (const shot of SHOTS) {
    const own = verdicts.get(shot.name);
    if (!own) continue;
    const entry = {verdict: own.verdict};
    if (own.verdict === "reject") entry.instead = own.instead;
    if (own.note && own.note.trim()) entry.note = own.note.trim();
    shots[shot.name] = entry;
  }
  const remarks = notes.map((note) => ({frame: note.frame, timecode: timecode(note.frame), text: note.text}));
  return {kind: "dubkit-verdicts", version: 1, film: DATA.film.sha256, shots, ...(remarks.length ? {notes: remarks} : {})};
}

function download() {
  const name = `${DATA.film.job}.verdicts.json`;
  save(name, JSON.stringify(verdictFile(), null, 1) + "\n", "application/json");
  notify(`${name} is saved. The next run takes it: dubkit run … --verdicts ${name} --overwrite`);
}

function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], {type}));
  const link = h("a", {href: url, download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Takes what a verdict file says; returns what is wrong with it, or "". */
function readVerdicts(text) {
  let file;
  try { file = JSON.parse(text); } catch { return "this file is not JSON"; }
  if (!file || file.kind !== "dubkit-verdicts") return "this is not a dubkit verdict file";
  if (file.version !== 1) return `this verdict file has version ${file.version}; this page knows version 1`;
  if (file.film !== DATA.film.sha256) return "these verdicts are for another film";
  if (!file.shots || typeof file.shots !== "object" || Array.isArray(file.shots)) return "this verdict file has no shots";
  const entries = Object.entries(file.shots);
  for (const [name, entry] of entries) {
    if (!BY_NAME.has(name)) return `this film has no shot ${name}`;
    if (!entry || !["approve", "reject"].includes(entry.verdict)) return `the verdict of shot ${name} is neither approve nor reject`;
  }
  const remarks = file.notes === undefined ? [] : file.notes;
  if (!Array.isArray(remarks) || remarks.some((note) => !note || !Number.isInteger(note.frame) || typeof note.text !== "string")) return "a note of this verdict file has no frame or no text";
  for (const note of remarks) addNote(note.frame, note.text);
  for (const [name, entry] of entries) {
    verdicts.set(name, {
      verdict: entry.verdict,
      ...(entry.verdict === "reject" ? {instead: String(entry.instead || "original")} : {}),
      ...(entry.note ? {note: String(entry.note)} : {}),
    });
  }
  return "";
}

async function loadReview(file) {
  const text = await file.text(), suffix = file.name.split(".").pop().toLowerCase();
  const problem = suffix in READERS ? readMarkers(text, suffix) : readVerdicts(text);
  if (problem) { notify(`${file.name}: ${problem}`, true); return; }
  notify(`${file.name}: now ${many(verdicts.size, "verdict")} and ${many(notes.length, "note")}`);
  changed();
  refilter();
  drawDetail();
}

function drawReview() {
  let yes = 0, no = 0;
  for (const verdict of verdicts.values()) verdict.verdict === "approve" ? yes++ : no++;
  const said = [yes + no ? `${yes} approved, ${no} rejected of ${SHOTS.length}` : "", notes.length ? many(notes.length, "note") : ""];
  $("review").textContent = said.filter(Boolean).join(", ");
  $("done").style.width = `${100 * (yes + no) / Math.max(1, SHOTS.length)}%`;
}
