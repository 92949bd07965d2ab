// Opening of the mouth, as it was and as it is now, over the phonemes of the dub.
const SVG = "http://www.w3.org/2000/svg";
const SHUT = 20;  // thousandths of the face's width under which lips are shut

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

/** The plot of one shot; `seek` is called with a part of the shot, 0 to 1. */
function makePlot(shot, width, seek) {
  const height = 230, left = 44, right = 8, top = 10, foot = 34;
  const real = shot.original || [], dub = shot.dubbed || [];
  const most = Math.max(100, ...real.filter((v) => v !== null), ...dub.filter((v) => v !== null)) * 1.08;
  const x = (frame) => left + (width - left - right) * frame / shot.frames;
  const y = (value) => top + (height - top - foot) * (1 - value / most);
  const plot = s("svg", {class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe(shot)});
  for (const [symbol, start, end, kind] of shot.phones || []) {
    if (kind === "silence") continue;
    const box = {x: x(start).toFixed(1), width: Math.max(1, x(end) - x(start) - 1).toFixed(1), rx: 3};
    if (kind === "closure") plot.append(s("rect", {...box, y: top, height: height - top - foot, class: "k-closure band"}));
    plot.append(s("rect", {...box, y: height - foot + 6, height: 24, class: `k-${kind}`}));
    if (x(end) - x(start) > 9 + 6 * (symbol.length - 1)) {
      plot.append(s("text", {x: ((x(start) + x(end)) / 2).toFixed(1), y: height - foot + 23, class: "phone"}, symbol));
    }
  }
  for (const [start, end] of [...(shot.untouched || []), ...(shot.transitions || [])]) {
    plot.append(s("rect", {x: x(start), y: top, width: x(end) - x(start), height: height - top - foot, class: "left-out"}));
  }
  for (let value = 0; value < most; value += 50) {
    plot.append(s("line", {x1: left, x2: width - right, y1: y(value), y2: y(value), class: "grid"}));
    plot.append(s("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, (value / 1000).toFixed(2)));
  }
  plot.append(s("line", {x1: left, x2: width - right, y1: y(SHUT), y2: y(SHUT), class: "shut"}));
  plot.append(s("path", {d: path(real, x, y), class: "real"}), s("path", {d: path(dub, x, y), class: "dub"}));
  const now = s("line", {x1: left, x2: left, y1: top, y2: height - foot, class: "now"});
  plot.append(now);
  const go = (event) => {
    const box = plot.getBoundingClientRect();
    const at = ((event.clientX - box.left) * width / box.width - left) / (width - left - right);
    seek(Math.min(1, Math.max(0, at)));
  };
  plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); go(event); });
  plot.addEventListener("pointermove", (event) => { if (event.buttons) go(event); });
  plot.showNow = (part) => { const at = x(part * shot.frames).toFixed(1); now.setAttribute("x1", at); now.setAttribute("x2", at); };
  return plot;
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
