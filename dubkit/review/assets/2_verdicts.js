// Approve and reject; the file that `dubkit run --verdicts` takes.
const DRAFT = `verdicts ${DATA.film.sha256}`;

function setVerdict(name, change) {
  const before = verdicts.get(name) || {};
  const after = {...before, ...change};
  if (!after.verdict) verdicts.delete(name);
  else {
    if (after.verdict === "reject") after.instead = after.instead || "original";
    else delete after.instead;
    verdicts.set(name, after);
  }
  remember(DRAFT, JSON.stringify(verdictFile()));
  drawReview();
  drawList();
  drawStrip();
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
  return {kind: "dubkit-verdicts", version: 1, film: DATA.film.sha256, shots};
}

function download() {
  const blob = new Blob([JSON.stringify(verdictFile(), null, 1) + "\n"], {type: "application/json"});
  const url = URL.createObjectURL(blob);
  const link = h("a", {href: url, download: `${DATA.film.job}.verdicts.json`});
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
  for (const [name, entry] of entries) {
    verdicts.set(name, {
      verdict: entry.verdict,
      ...(entry.verdict === "reject" ? {instead: String(entry.instead || "original")} : {}),
      ...(entry.note ? {note: String(entry.note)} : {}),
    });
  }
  return "";
}

async function loadVerdicts(file) {
  const problem = readVerdicts(await file.text());
  if (problem) { notify(`${file.name}: ${problem}`, true); return; }
  remember(DRAFT, JSON.stringify(verdictFile()));
  notify(`${file.name}: ${verdicts.size} verdicts`);
  drawReview();
  refilter();
  drawDetail();
}

function drawReview() {
  let yes = 0, no = 0;
  for (const verdict of verdicts.values()) verdict.verdict === "approve" ? yes++ : no++;
  $("review").textContent = yes + no ? `${yes} approved, ${no} rejected of ${SHOTS.length}` : "";
  const count = yes + no ? ` ${yes + no} verdict${yes + no > 1 ? "s" : ""}` : " verdicts";
  $("download").replaceChildren("Download", h("span", {class: "wide"}, count));
}
