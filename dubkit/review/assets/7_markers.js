// Verdicts, notes and findings as markers of editing programs (the lists that `dubkit report --verdicts-from` reads), and back.
const COLORS = {approve: "Green", reject: "Red", found: "Yellow", note: "Blue"};
const WRITERS = {csv: csvText, edl: edlText, fcpxml: fcpxmlText};
const VERDICT = /^(approve|reject)(?:e?d)?(?:\s+(preset:[^\s:,]+))?\s*[:,-]?\s*(.*)$/is;
const READERS = {csv: csvNotes, edl: edlNotes, fcpxml: fcpxmlNotes};

/** All that is marked, in film order: {start, end, name, text, color}. */
function marks() {
  const found = [];
  for (const shot of SHOTS) {
    const place = {start: firstFrame(shot), end: endFrame(shot), name: shot.name}, own = verdicts.get(shot.name);
    if (own) {
      const how = own.verdict === "reject" && own.instead !== "original" ? `reject ${own.instead}` : own.verdict;
      found.push({...place, text: own.note && own.note.trim() ? `${how}: ${own.note.trim()}` : how, color: COLORS[own.verdict]});
    }
    if (shot.why) found.push({...place, text: shot.why, color: COLORS.found});
    for (const note of notesOf(shot)) found.push({start: note.frame, end: note.frame + 1, name: shot.name, text: note.text, color: COLORS.note});
  }
  return found;
}

const oneLineOf = (text) => text.replace(/\s*\n\s*/g, " ");

function csvText(rows) {
  const cell = (value) => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
  const lines = rows.map((m) => [m.name, m.text, timecode(m.start), timecode(m.end), codeText(m.end - m.start), "Comment", m.color]);
  return [["Marker Name", "Description", "In", "Out", "Duration", "Marker Type", "Color"], ...lines].map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

function edlText(rows) {
  const lines = [`TITLE: ${DATA.film.name.slice(0, 70)}`, `FCM: ${CLOCK.drop ? "DROP FRAME" : "NON-DROP FRAME"}`, ""];
  rows.forEach((m, number) => {
    const span = `${timecode(m.start)} ${timecode(m.end)}`, text = `${m.name} ${oneLineOf(m.text)}`.replaceAll("|", "/");
    lines.push(`${String(number + 1).padStart(3, "0")}  AX       V     C        ${span} ${span}`);
    lines.push(` |C:ResolveColor${m.color} |M:${text} |D:${m.end - m.start}`);
    lines.push(`* LOC: ${timecode(m.start)} ${m.color.toUpperCase().padEnd(7)} ${text}`);
  });
  return lines.join("\n") + "\n";
}

function fcpxmlText(rows) {
  const time = (frames) => `${frames * CLOCK.rate[1]}/${CLOCK.rate[0]}s`;
  const file = document.implementation.createDocument(null, "fcpxml");
  const add = (parent, tag, facts) => {
    const element = file.createElement(tag);
    for (const [name, value] of Object.entries(facts)) element.setAttribute(name, value);
    parent.append(element);
    return element;
  };
  const film = DATA.film, begins = time(CLOCK.first), length = time(CLOCK.frames), root = file.documentElement;
  root.setAttribute("version", "1.10");
  const resources = add(root, "resources", {});
  add(resources, "format", {id: "r1", frameDuration: time(1), width: film.width || 1, height: film.height || 1});
  const asset = add(resources, "asset", {id: "r2", name: film.name, start: begins, duration: length, hasVideo: "1", format: "r1"});
  add(asset, "media-rep", {kind: "original-media", src: `file://${encodeURI(film.video)}`});
  const project = add(add(add(root, "library", {}), "event", {name: film.name}), "project", {name: film.name});
  const sequence = add(project, "sequence", {format: "r1", duration: length, tcStart: begins, tcFormat: CLOCK.drop ? "DF" : "NDF"});
  const clip = add(add(sequence, "spine", {}), "asset-clip", {ref: "r2", name: film.name, offset: begins, start: begins, duration: length});
  for (const m of rows) add(clip, "marker", {start: time(CLOCK.first + m.start), duration: time(1), value: m.name, note: m.text});
  return `<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE fcpxml>\n${new XMLSerializer().serializeToString(root)}\n`;
}

function downloadMarkers(form) {
  const rows = marks();
  if (!rows.length) { notify("There is nothing to mark yet: no verdict, no note, no finding.", true); return; }
  save(`${DATA.film.job}.markers.${form}`, WRITERS[form](rows), form === "csv" ? "text/csv" : "text/plain");
  notify(`${many(rows.length, "marker")} saved`);
}

/** Rows of a CSV file, with quotes, by whichever of , ; and tabs its first line has most. */
function csvRows(text) {
  const head = text.split("\n", 1)[0], mark = [",", ";", "\t"].sort((a, b) => head.split(b).length - head.split(a).length)[0];
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i], row = rows[rows.length - 1];
    if (quoted && letter === '"' && text[i + 1] === '"') { row[row.length - 1] += '"'; i++; }
    else if (letter === '"') quoted = !quoted;
    else if (quoted) row[row.length - 1] += letter;
    else if (letter === mark) row.push("");
    else if (letter === "\n") rows.push([""]);
    else if (letter !== "\r") row[row.length - 1] += letter;
  }
  return rows.filter((row) => row.some(Boolean));
}

function csvNotes(text) {
  const [head, ...rows] = csvRows(text.replace(/^\ufeff/, "")), names = (head || []).map((name) => name.trim().toLowerCase());
  const column = (...known) => names.findIndex((name) => known.includes(name));
  const place = column("in", "timecode", "timecode in", "start"), title = column("marker name", "name"), body = column("description", "comment", "notes");
  if (place < 0 || (title < 0 && body < 0)) throw new Error("it has no columns of time codes and remarks: In, Marker Name and Description");
  return rows.filter((row) => row[place]).map((row) => ({code: row[place], name: row[title] || "", text: row[body] || ""}));
}

function edlNotes(text) {
  const found = [], seen = new Set();
  let place = "";
  for (const line of text.split("\n")) {
    const event = /^\d+\s+\S+\s+\S+\s+\S+\s+(?:\S+\s+){2}(\d\d:\d\d:\d\d[:;]\d\d)\s+\S+\s*$/.exec(line);
    if (event) place = event[1];
    const mark = /^\*\s*LOC:\s*(\d\d:\d\d:\d\d[:;]\d\d)\s+\S+\s+(.*)/.exec(line.trim()), resolve = /^\s*\|C:\S+\s*\|M:(.*?)\s*\|D:\d+/.exec(line);
    const code = mark ? mark[1] : place, said = mark ? mark[2] : resolve ? resolve[1] : "";
    if (said && !seen.has(code + said)) { seen.add(code + said); found.push({code, name: "", text: said}); }
  }
  return found;
}

function fcpxmlNotes(text) {
  const file = new DOMParser().parseFromString(text, "application/xml");
  if (file.querySelector("parsererror") || file.documentElement.nodeName !== "fcpxml") throw new Error("it is not FCPXML");
  const seconds = (value) => { const [up, down] = (value || "0s").replace("s", "").split("/").map(Number); return up / (down || 1); };
  return [...file.querySelectorAll("marker")].map((mark) => {
    const clip = mark.parentElement, offset = seconds(clip.getAttribute("offset")) - seconds(clip.getAttribute("start"));
    return {frame: Math.round((seconds(mark.getAttribute("start")) + offset) * RATE) - CLOCK.first, name: mark.getAttribute("value") || "", text: mark.getAttribute("note") || ""};
  });
}

/** Takes the markers of a list: approve and reject become verdicts, other remarks notes; returns what is wrong, or "". */
function readMarkers(text, suffix) {
  let found;
  try { found = READERS[suffix](text); } catch (error) { return error.message; }
  if (!found.length) return "there are no markers in it";
  const taken = [];
  for (const mark of found) {
    const frame = mark.frame === undefined ? frameOfCode(mark.code) : mark.frame;
    const whole = `${mark.name} ${mark.text}`.trim(), named = /\b\d{7,}-\d{7,}\b/.exec(whole);
    const index = named && BY_NAME.has(named[0]) ? BY_NAME.get(named[0]) : frame === undefined || frame < 0 ? undefined : SHOTS.findIndex((shot) => frame >= firstFrame(shot) && frame < endFrame(shot));
    if (index === undefined || index < 0) return `there is no frame at ${mark.code || timecode(frame)} in this film`;
    const bare = whole.replace(/\b\d{7,}-\d{7,}\b/, "").trim();
    const said = VERDICT.exec(mark.text.trim()) || VERDICT.exec(bare);
    taken.push({shot: SHOTS[index], frame, said, text: bare});
  }
  for (const {shot, frame, said, text: remark} of taken) {
    if (said) verdicts.set(shot.name, {verdict: said[1].toLowerCase(), ...(said[1].toLowerCase() === "reject" ? {instead: said[2] || "original"} : {}), ...(said[3] ? {note: said[3]} : {})});
    else if (remark && remark !== oneLineOf(shot.why || "").trim()) addNote(frame, remark);
  }
  return "";
}
