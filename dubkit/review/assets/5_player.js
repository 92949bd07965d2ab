// The player: original and dubbed are the two halves of one video, so they cannot part; a canvas shows what is wanted of it.
// The original is in the left channel of its sound, the dub in the right one.
const player = {kind: null, video: null, shot: null, plot: null, mode: "side", face: false, loop: false, split: .5, at: 0, listening: "follow", failed: false};
const sources = {film: null, clip: null};  // video elements
const MODES = {side: "Side by side", original: "Original", dubbed: "Dubbed", wipe: "Wipe"};
const SPEEDS = [.25, .5, 1, 1.5, 2];

function blobOf(texts) {
  const parts = texts.map((text) => {
    const raw = atob(text.trim()), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return bytes;
  });
  return new Blob(parts, {type: "video/mp4"});
}

function videoOf(blob) {
  const video = document.createElement("video");
  video.preload = "auto";
  video.playsInline = true;
  video.src = URL.createObjectURL(blob);
  for (const name of ["loadeddata", "seeked"]) video.addEventListener(name, () => { if (player.video === video) tick(); });
  video.addEventListener("play", () => { showPlaying(); if (player.video === video) follow(); });
  video.addEventListener("pause", showPlaying);
  video.addEventListener("ended", () => { if (player.loop) { seek(player.shot.start); video.play().catch(() => {}); } });
  video.addEventListener("error", () => {
    if (player.failed || !video.getAttribute("src")) return;
    player.failed = true;
    notify("This browser cannot play H.264 video; try another one.", true);
  });
  return video;
}

/** Take the film out of the page, a part at a time so that the page stays quick. */
async function loadFilm() {
  const parts = [...document.querySelectorAll("script.film-part")];
  if (!parts.length) return;
  const blobs = [];
  for (const part of parts) {
    blobs.push(blobOf([part.textContent]));
    part.remove();
    await new Promise((done) => setTimeout(done));
  }
  sources.film = videoOf(new Blob(blobs, {type: "video/mp4"}));
  drawDetail(true);
}

function clipOf(shot) {
  const holder = document.getElementById(`clip-${shot.name}`);
  return holder ? blobOf([holder.textContent]) : null;
}

function forget() {
  if (!sources.clip) return;
  const url = sources.clip.src;
  sources.clip.pause();
  sources.clip.removeAttribute("src");
  sources.clip.load();
  URL.revokeObjectURL(url);
  sources.clip = null;
}

/** Put the right video behind the canvas for a shot; the moment is kept, or is the shot's beginning. */
function load(shot, going) {
  const playing = player.video && !player.video.paused, at = going ? shot.start + .5 / RATE : now();
  if (player.shot !== shot) forget();
  player.shot = shot;
  const close = player.face || !sources.film;
  if (close && !sources.clip) {
    const blob = clipOf(shot);
    if (blob) sources.clip = videoOf(blob);
  }
  const kind = close && sources.clip ? "clip" : sources.film ? "film" : null;
  const video = kind ? sources[kind] : null;
  if (player.video && player.video !== video) player.video.pause();
  Object.assign(player, {kind, video});
  if (video) {
    video.muted = player.listening === "off";
    video.playbackRate = Number($("speed") ? $("speed").value : 1);
  }
  if (going || player.video) seek(at);
  if (playing && video && video.paused) video.play().catch(() => {});
}

/** The moment that is shown, in seconds of the film. */
function now() {
  if (!player.video) return player.at;
  return player.kind === "clip" ? player.shot.start + player.video.currentTime : player.video.currentTime;
}

function seek(seconds) {
  const end = DATA.film.seconds || (SHOTS.length ? SHOTS[SHOTS.length - 1].end : 0);
  player.at = Math.min(Math.max(0, seconds), Math.max(0, end - .5 / RATE));
  if (player.video) player.video.currentTime = player.kind === "clip" ? Math.max(0, player.at - player.shot.start) : player.at;
  tick();
}

function nudge(frames) {
  if (player.video) player.video.pause();
  const at = timeOf(Math.max(0, frameAt(now()) + frames)), index = shotAt(at);
  if (player.kind === "film" && !player.loop && index !== view.chosen && index >= 0) choose(index, true, false);
  seek(at);
}

function playPause() {
  const video = player.video;
  if (!video) return;
  if (!video.paused) { video.pause(); return; }
  route(video);
  if (video.ended) seek(player.kind === "clip" ? player.shot.start : 0);
  if (player.loop && (now() >= player.shot.end || now() < player.shot.start)) seek(player.shot.start);
  video.play().catch(() => {});
}

const routes = new WeakMap();
let sound = null;
/** Lets the two channels of a video be told apart; made at the first play, before which browsers allow no sound. */
function route(video) {
  if (!routes.has(video)) {
    try {
      sound = sound || new AudioContext();
      const splitter = sound.createChannelSplitter(2), gains = [0, 1].map(() => sound.createGain());
      sound.createMediaElementSource(video).connect(splitter);
      gains.forEach((gain, channel) => { splitter.connect(gain, channel); gain.connect(sound.destination); });
      routes.set(video, gains);
    } catch { routes.set(video, null); }
  }
  if (sound && sound.state === "suspended") sound.resume();
  setSound();
}

/** Which sound is on: that of the picture that is shown alone, else the dub. */
function setSound() {
  const wanted = player.listening === "follow" ? (player.mode === "original" ? "original" : "dub") : player.listening;
  if (player.video) player.video.muted = player.listening === "off";
  const gains = player.video && routes.get(player.video);
  if (gains) { gains[0].gain.value = wanted === "original" ? 1 : 0; gains[1].gain.value = wanted === "original" ? 0 : 1; }
}

function follow() {
  const video = player.video;
  if (!video || video.paused || video.ended) return;
  tick();
  const next = () => { if (player.video === video) follow(); };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(next); else requestAnimationFrame(next);
}

/** Once for every frame that is shown: the picture, the playhead, the time code, and where a shot ends. */
function tick() {
  const at = now(), shot = player.shot;
  if (!shot) return;
  player.at = at;
  if (player.video && !player.video.paused && player.kind === "film" && !player.video.seeking) {
    if (player.loop && at >= shot.end - .25 / RATE) { seek(shot.start + .5 / RATE); return; }
    const index = shotAt(at);
    if (!player.loop && index !== view.chosen) { choose(index, true, false); return; }
  }
  paint();
  showNow();
}

function showNow() {
  const shot = player.shot, at = now();
  if (player.plot) player.plot.showNow(Math.min(1, Math.max(0, (at - shot.start) / (shot.end - shot.start))));
  const code = $("code");
  if (code) {
    const shown = DATA.film.clock ? timecode(frameAt(at)) : clock(at, 2);
    if (code.textContent !== shown) code.textContent = shown;
    $("frame").textContent = `frame ${frameAt(at)}`;
  }
  const head = $("head");
  if (head && DATA.film.seconds) head.style.left = `${100 * Math.min(1, at / DATA.film.seconds)}%`;
}

function showPlaying() {
  const button = $("play"), on = Boolean(player.video && !player.video.paused);
  if (!button) return;
  button.classList.toggle("on", on);
  button.setAttribute("aria-label", on ? "Pause" : "Play");
}

/** The part of one half that is shown, in its pixels: everything, or around the face. */
function part(width, height) {
  const square = player.shot.square;
  if (!player.face || player.kind === "clip" || !square) return [0, 0, width, height];
  return [square[0] * width, square[1] * height, square[2] * width, square[3] * height];
}

function paint() {
  const canvas = $("screen"), video = player.video;
  if (!canvas || !video || video.readyState < 2) return;
  const half = video.videoWidth / 2, [x, y, w, h] = part(half, video.videoHeight).map(Math.round);
  const side = player.mode === "side";
  if (canvas.width !== w * (side ? 2 : 1) || canvas.height !== h) { canvas.width = w * (side ? 2 : 1); canvas.height = h; fitScreen(); }
  const pen = canvas.getContext("2d");
  const draw = (dubbed, from, to, at) => { if (to > from) pen.drawImage(video, x + from + (dubbed ? half : 0), y, to - from, h, at, 0, to - from, h); };
  if (side) { draw(false, 0, w, 0); draw(true, 0, w, w); }
  else if (player.mode === "wipe") {
    const cut = Math.round(player.split * w);
    draw(false, 0, cut, 0);
    draw(true, cut, w, cut);
    pen.fillStyle = "#fff";
    pen.fillRect(cut - 1, 0, 2, h);
  } else draw(player.mode === "dubbed", 0, w, 0);
}

/** As large as the column and 62 % of the window allow, in the picture's shape. */
function fitScreen() {
  const canvas = $("screen");
  if (canvas) canvas.style.maxWidth = `calc(62vh * ${(canvas.width / canvas.height).toFixed(4)})`;
}

function setMode(mode) {
  player.mode = mode;
  for (const button of document.querySelectorAll("#modes button")) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
  const names = $("names");
  if (names) names.dataset.mode = mode;
  setSound();
  paint();
}

/** A and B: the same frame, original and dubbed. */
function flip() { setMode(player.mode === "dubbed" ? "original" : "dubbed"); }

function setFace(on) {
  player.face = on;
  drawDetail(false);
}

function setLoop(on) {
  player.loop = on;
  const button = $("loop");
  if (button) button.setAttribute("aria-pressed", String(on));
}

function setSpeed(by) {
  const speed = $("speed");
  if (!speed) return;
  speed.selectedIndex = Math.min(SPEEDS.length - 1, Math.max(0, speed.selectedIndex + by));
  if (player.video) player.video.playbackRate = Number(speed.value);
}

/** The whole film as a bar: each shot in the color of its state, verdicts and notes above it. */
function drawTimeline() {
  const bar = $("timeline");
  if (!bar || !DATA.film.seconds) return;
  const box = bar.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  bar.width = Math.max(1, Math.round(box.width * scale));
  bar.height = Math.round(box.height * scale);
  const pen = bar.getContext("2d"), style = getComputedStyle(document.documentElement), x = (seconds) => bar.width * seconds / DATA.film.seconds;
  const color = (name) => style.getPropertyValue(`--${name}`).trim();
  const top = Math.round(bar.height * .36);
  SHOTS.forEach((shot, index) => {
    const from = x(shot.start), wide = Math.max(.6, x(shot.end) - from - (SHOTS.length < 400 ? scale : 0));
    pen.globalAlpha = index === view.chosen ? 1 : .62;
    pen.fillStyle = color(`state-${shot.state}`);
    pen.fillRect(from, top, wide, bar.height - top);
    const verdict = verdicts.get(shot.name);
    pen.globalAlpha = 1;
    if (verdict) { pen.fillStyle = color(verdict.verdict === "approve" ? "good" : "bad"); pen.fillRect(from, top - 4 * scale, Math.max(scale, wide), 3 * scale); }
    if (index === view.chosen) { pen.strokeStyle = color("ink"); pen.lineWidth = 1.5 * scale; pen.strokeRect(from, top + scale, Math.max(2 * scale, wide), bar.height - top - 2 * scale); }
  });
  pen.fillStyle = color("pin");
  for (const note of notes) { pen.beginPath(); pen.arc(x(note.frame / RATE), 4 * scale, 3 * scale, 0, 7); pen.fill(); }
}
