// What is heard and seen of a shot, on one scale of time: both sounds, the opening of both mouths, phonemes, words, time codes.
const SVG = "http://www.w3.org/2000/svg";
const SHUT = 20;  // thousandths of the face's width under which lips are shut
const LANES = {left: 58, right: 10, original: [8, 38], dub: [50, 38], mouth: [98, 118], phones: [222, 24], words: [250, 22], ruler: [278, 18], height: 300};

function s(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function path(series, x, y) {
  let line = "", pen = false;
  series.forEach((value, frame) => {
    if (value === null) { pen = false; return; }
    line += `${pen ? "L" : "M"}${x(frame + .5).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = true;
  });
  return line;
}

const waves = {};
/** Loudness of the film's own sound or of the dub, a byte for each part of a second; null where there is none. */
function waveOf(name) {
  if (!(name in waves)) {
    const coded = DATA.waves && DATA.waves[name];
    waves[name] = coded ? Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0)) : null;
  }
  return waves[name];
}

function wavePath(name, shot, x, [top, height]) {
  const wave = waveOf(name);
  if (!wave) return "";
  const rate = DATA.waves.rate, middle = top + height / 2, seconds = shot.end - shot.start;
  let up = "", down = "";
  for (let bar = Math.floor(shot.start * rate); bar <= Math.min(wave.length - 1, Math.ceil(shot.end * rate)); bar++) {
    const at = x(shot.frames * Math.min(1, Math.max(0, (bar / rate - shot.start) / seconds))).toFixed(1);
    const half = Math.max(.6, wave[bar] / 255 * height / 2);
    up += `${up ? "L" : "M"}${at} ${(middle - half).toFixed(1)}`;
    down = `L${at} ${(middle + half).toFixed(1)}${down}`;
  }
  return up && `${up}${down}Z`;
}

/** The plot of one shot; `go` is called with a part of the shot, 0 to 1. */
function makePlot(shot, width, go) {
  const {left, right, height, mouth: [top, tall]} = LANES;
  const real = shot.original || [], dub = shot.dubbed || [];
  const most = Math.max(100, ...real.filter((v) => v !== null), ...dub.filter((v) => v !== null)) * 1.08;
  const x = (frame) => left + (width - left - right) * frame / shot.frames;
  const y = (value) => top + tall * (1 - value / most);
  const plot = s("svg", {class: "plot", viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": describe(shot)});
  for (const name of ["original", "dub"]) {
    const [upper, size] = LANES[name], d = wavePath(name, shot, x, LANES[name]);
    plot.append(s("rect", {x: left, y: upper, width: width - left - right, height: size, rx: 4, class: "lane"}));
    plot.append(s("text", {x: left - 10, y: upper + size / 2 + 4, "text-anchor": "end"}, d || !DATA.waves ? name : "no sound"));
    if (d) plot.append(s("path", {d, class: `wave ${name}`}));
  }
  for (const [symbol, start, end, kind] of shot.phones || []) {
    if (kind === "silence") continue;
    const box = {x: x(start).toFixed(1), width: Math.max(1, x(end) - x(start) - 1).toFixed(1), rx: 3};
    if (kind === "closure") plot.append(s("rect", {...box, y: top, height: tall, class: "k-closure band"}));
    plot.append(s("rect", {...box, y: LANES.phones[0], height: LANES.phones[1], class: `k-${kind}`}));
    if (x(end) - x(start) > 9 + 6 * (symbol.length - 1)) {
      plot.append(s("text", {x: ((x(start) + x(end)) / 2).toFixed(1), y: LANES.phones[0] + 17, class: "phone"}, symbol));
    }
  }
  let free = left;  // where a word still has room
  for (const [text, start] of shot.said || []) {
    const at = x(Math.max(0, start));
    if (at < free) continue;
    plot.append(s("text", {x: at.toFixed(1), y: LANES.words[0] + 15, class: "word"}, text));
    free = at + 7.6 * text.length + 6;
  }
  for (const [start, end, why] of [...(shot.untouched || []), ...(shot.transitions || [])]) {
    const part = s("rect", {x: x(start), y: top, width: x(end) - x(start), height: tall, class: "left-out"});
    part.append(s("title", {}, `as filmed: ${why}`));
    plot.append(part);
  }
  for (let value = 0; value < most; value += 50) {
    plot.append(s("line", {x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid"}));
    plot.append(s("text", {x: left - 10, y: y(value) + 4, "text-anchor": "end"}, (value / 1000).toFixed(2)));
  }
  plot.append(s("line", {x1: left, x2: width - right, y1: y(SHUT), y2: y(SHUT), class: "shut"}));
  plot.append(s("path", {d: path(real, x, y), class: "real"}), s("path", {d: path(dub, x, y), class: "dub"}));
  ruler(plot, shot, x, width);
  for (const note of notesOf(shot)) {
    const at = x((note.frame + .5 - firstFrame(shot)) * CLOCK.lines);
    const pin = s("path", {d: `M${at} 8l6 -8h-12z`, class: "pin"});
    pin.append(s("title", {}, `${timecode(note.frame)} ${note.text}`));
    plot.append(pin, s("line", {x1: at, x2: at, y1: 6, y2: LANES.ruler[0], class: "pin-line"}));
  }
  const now = s("line", {x1: left, x2: left, y1: 2, y2: LANES.ruler[0], class: "now"});
  plot.append(now);
  const at = (event) => {
    const box = plot.getBoundingClientRect();
    const part = ((event.clientX - box.left) * width / box.width - left) / (width - left - right);
    go(Math.min(1, Math.max(0, part)));
  };
  plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); at(event); });
  plot.addEventListener("pointermove", (event) => { if (event.buttons) at(event); });
  plot.showNow = (part) => { const place = x(part * shot.frames).toFixed(1); now.setAttribute("x1", place); now.setAttribute("x2", place); };
  return plot;
}

/** Time codes under the lanes, as many as there is room for. */
function ruler(plot, shot, x, width) {
  if (!DATA.film.clock) return;
  const first = firstFrame(shot), count = Math.max(1, endFrame(shot) - first);
  const room = Math.max(1, Math.floor((width - LANES.left) / 110));
  const steps = [1, 2, 5, 10, Math.round(NOMINAL / 2), NOMINAL, 2 * NOMINAL, 5 * NOMINAL, 10 * NOMINAL, 30 * NOMINAL, 60 * NOMINAL, 300 * NOMINAL];
  const step = steps.find((frames) => count / frames <= room) || 600 * NOMINAL;
  for (let frame = 0; frame < count; frame += step) {
    const at = x(frame * shot.frames / count);
    plot.append(s("line", {x1: at, x2: at, y1: LANES.ruler[0] - 4, y2: LANES.ruler[0] + 2, class: "tick"}));
    if (at + 84 < width) plot.append(s("text", {x: at, y: LANES.ruler[0] + 15, class: "code"}, timecode(first + frame)));
  }
}

function describe(shot) {
  const closures = (shot.phones || []).filter((p) => p[3] === "closure").length;
  const spoken = (shot.phones || []).filter((p) => p[3] !== "silence");
  const known = !shot.speech || shot.speech.phonemes !== null;
  const said = known ? `${spoken.length} phonemes, ${closures} of them P, B or M.` : "Words were not recognized.";
  const mean = (series) => {
    const there = (series || []).filter((v) => v !== null);
    return there.length ? (there.reduce((a, b) => a + b, 0) / there.length / 1000).toFixed(3) : "not known";
  };
  return `Opening of the mouth over ${(shot.end - shot.start).toFixed(1)} seconds. Mean of the original ${mean(shot.original)}, `
    + `of the dub ${mean(shot.dubbed)}, in widths of the face. ${said}`;
}
