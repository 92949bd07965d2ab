"""The matrix of master formats: tiny films of every kind, dubbed with one painted patch, and what became of them.

``python -m tests.matrix.films`` runs all rows and writes the table of docs/master-formats.md; with words, the rows
whose names hold one of them.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from dubkit.config.schema import Config
from dubkit.errors import DubkitError
from dubkit.media import codecs, container
from dubkit.media.captions import Extras, side_data
from dubkit.media.concat import join_segments
from dubkit.media.frames import Frame, FrameReader
from dubkit.media.planes import Plane, alpha_name, plane_format, swscale_matrix
from dubkit.media.probe import head, probe
from dubkit.media.result_check import near, small
from dubkit.media.writer import FrameWriter, try_encoding
from dubkit.metrics.gate_limits import GATE, GateResult
from dubkit.records import Job, Shot, VideoInfo
from dubkit.stages import conform, generate, probe as probe_stage, stitch
from dubkit.stages.base import StageContext
from dubkit.work.store import write_record
from tests.clips import facts, ffmpeg, hdr10_plus, noise, tone

FRAMES = 8
CUT = 4  # the second shot begins here and is painted
DOC = Path(__file__).resolve().parents[2] / "docs" / "master-formats.md"
BEGIN, END = "<!-- matrix -->", "<!-- end of matrix -->"


@dataclass(frozen=True)
class Row:
    """A kind of film, and how one is made."""

    name: str
    suffix: str
    video: Sequence[str]  # of ffmpeg
    size: tuple[int, int] = (128, 96)
    rate: str = "25"
    filters: str = ""
    sound: Sequence[str] = ("-c:a", "aac")
    more: Sequence[str] = ()
    settings: Sequence[str] = ()
    captions: bool = False
    dynamic: bool = False  # HDR10+
    fast: bool = False
    refused: str = ""  # what the refusal says
    channels: int = 1
    through: str = ""  # a container that the film is made in before it is copied into its own


@dataclass
class Outcome:
    """What became of a film."""

    row: Row
    source: str = ""
    result: str = ""
    state: str = ""  # kept | changed | refused
    said: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # differences that nobody was told of


class Patch:
    """A renderer that paints a patch of noise in the frames from ``start`` to ``end``."""

    borrowed: frozenset[int] = frozenset()

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end

    def lend(self, frame: Frame) -> None:
        """Borrows nothing."""

    def touches(self, index: int) -> bool:
        return self.start <= index < self.end

    def mask(self, index: int) -> None:
        """Is never asked."""

    def paint(self, frame: Frame, planes: tuple[Plane, ...]) -> bool:
        height, width = planes[0].shape
        part = planes[0][height // 2 : height * 3 // 4, width // 4 : width // 2]
        part[...] = 2 ** (frame.format.depth - 1) - part // 2
        return True


def make(row: Row, folder: Path) -> Path:
    """The film of a row."""
    width, height = row.size
    if row.captions or row.dynamic:
        return _captioned(row, folder)
    seconds = FRAMES / float(eval_rate(row.rate))
    inputs = ["-f", "lavfi", "-i", f"testsrc2=size={width}x{height}:rate={row.rate}"]
    layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(row.channels, "mono")
    inputs += ["-f", "lavfi", "-i", f"anoisesrc=r=48000:a=0.05,aformat=channel_layouts={layout}"]
    filters = ["-vf", row.filters] if row.filters else []
    path = folder / f"film{row.suffix}"
    made = folder / f"made{row.through}" if row.through else path
    tail = [*row.sound, *row.more, "-frames:v", str(FRAMES), "-t", f"{seconds:.6f}"]
    ffmpeg(*inputs, *filters, *row.video, *tail, made)
    if row.through:
        ffmpeg("-i", made, "-c", "copy", "-r:v:0", row.rate, path)
    return path


def eval_rate(rate: str) -> float:
    above, _, below = rate.partition("/")
    return float(above) / float(below or 1)


def _captioned(row: Row, folder: Path) -> Path:
    """A film with closed captions or HDR10+, written by the project's own writer and checked by FFmpeg's reader."""
    codec = row.video[1]
    info = replace(facts(width=128, height=96, frames=FRAMES), codec=codec)
    segment, joined = folder / "segment", folder / "joined"
    pictures = noise(info, FRAMES)
    with FrameWriter(segment, info, Config().generate) as writer:
        for pts, planes in enumerate(pictures):
            calm = tuple(plane // 32 + 100 for plane in planes)
            captioned = Extras(None, bytes([0xFC, 0x94, 0x20]), 8)
            described = Extras(dynamic=hdr10_plus(40000 + pts))
            writer.write(calm, pts, captioned if row.captions else described)
    join_segments([segment], np.arange(FRAMES), info.time_base, joined)
    path = folder / f"film{row.suffix}"
    ffmpeg("-i", joined, "-i", tone(folder / "t.wav", 0.32), *row.sound, "-c:v", "copy", path)
    return path


def run(row: Row, folder: Path) -> Outcome:
    """Make the film of a row, dub it, and compare."""
    outcome = Outcome(row)
    film = make(row, folder)
    settings: dict[str, dict[str, object]] = {}
    for line in row.settings:
        name, value = line.split("=")
        section, key = name.split(".")
        settings.setdefault(section, {})[key] = value
    config = Config.model_validate(settings)
    try:
        outcome.source = _title(head(film, "none"))
        out = dub(film, config, folder, outcome)
    except DubkitError as error:
        outcome.state, outcome.result = "refused", "-"
        outcome.said.append(error.message)
        if not row.refused or row.refused not in error.message:
            outcome.wrong.append(f"{type(error).__name__}: {error.message}")
        return outcome
    if row.refused:
        outcome.wrong.append("it was not refused")
    outcome.result = f"{_title(head(out, config.probe.fields))} in {out.suffix}"
    outcome.state = "kept" if not outcome.said else "changed"
    asked = config.generate.codec != "source"
    outcome.wrong += differences(film, out, config.probe.fields, outcome.said, asked=asked)
    return outcome


def _title(info: VideoInfo) -> str:
    name = alpha_name(info.pixel_format) if info.alpha else info.pixel_format
    scan = f", {info.marked} field first" if info.marked else ""
    return codecs.title(info.codec, info.profile, name) + scan


def dub(film: Path, config: Config, folder: Path, outcome: Outcome) -> Path:
    """The film with a patch painted in its second shot; what is said beforehand goes into the outcome."""
    info = head(film, config.probe.fields)
    encoding = codecs.encoding_for(info, config.generate)
    suffix = container.result_suffix(film, encoding.codec)
    try_encoding(info, config.generate)
    outcome.said += [*encoding.losses, *codecs.container_losses(info, encoding, suffix)]
    sound = tone(folder / "dub.wav", FRAMES / float(eval_rate(outcome.row.rate)), rate=48000)
    job = Job(film, sound, folder / f"out{suffix}", folder / "work")
    outcome.said += [w for w in stitch.plan_result(job, config) if "both tagged" not in w]
    return dub_stages(job, config, folder)


def dub_stages(job: Job, config: Config, folder: Path, rest: int = 0) -> Path:
    """The stages that make pictures, without those that look for faces; the last ``rest`` frames stay as filmed."""
    out = folder / "probe"
    out.mkdir()
    probe_stage.run(StageContext(job, config, out, {}))
    info, _ = probe_stage.load_film(out)
    cut = min(CUT, info.frames // info.lines) * info.lines
    edges = [0, cut, info.frames] if cut < info.frames else [0, info.frames]
    shots = [Shot(a, b) for a, b in pairwise(edges)]
    patch = Patch(cut, info.frames - rest * info.lines)
    places: dict[str, list[Path]] = {"probe": [out], "shots": [], "generate": [], "gate": []}
    for name in ("shots", "stitch"):
        (folder / name).mkdir()
    write_record(folder / "shots" / "shots.json", shots, list[Shot])
    places["shots"].append(folder / "shots")
    for shot in shots:
        made, gate = folder / f"made-{shot.name}", folder / f"gate-{shot.name}"
        made.mkdir()
        gate.mkdir()
        context = StageContext(job, config, made, {"probe": (out,)}, shot)
        generate.render(context, [patch] if shot.start == cut else [])
        write_record(gate / GATE, GateResult(shot.name, "off", None, "", (), True, False, ()))
        places["generate"].append(made)
        places["gate"].append(gate)
    laid = folder / "conform"
    laid.mkdir()
    conform.run(StageContext(job, config, laid, {"probe": (out,)}))
    places["conform"] = [laid]
    inputs = {name: tuple(folders) for name, folders in places.items()}
    stitch.run(StageContext(job, config, folder / "stitch", inputs))
    return next((folder / "stitch").glob("film.*"))


SILENT = (
    "mastering",
    "light",
    "alpha",
    "marked",
    "pixel_aspect",
    "rotation",
    "color",
    "rate",
    "progressive",
    "siting",
)


def differences(
    film: Path, out: Path, fields: str, said: Sequence[str], *, asked: bool
) -> list[str]:
    """What differs between film and result without a word."""
    (a, times), (b, others) = probe(film, wanted=fields), probe(out, wanted=fields)
    told = " ".join(said)
    found = []
    if len(times) != len(others):
        found.append(f"{len(others)} frames of {len(times)}")
    for name in SILENT:
        before, after = getattr(a, name), getattr(b, name)
        if name == "pixel_aspect":
            after = near(after, before)
        if before != after and not _explained(name, a, b, told):
            found.append(f"{name}: {before} -> {after}")
    if a.codec != b.codec and a.codec in codecs.CODECS and not asked:
        found.append(f"codec: {a.codec} -> {b.codec}")
    elif a.codec == b.codec and a.profile != b.profile and "become" not in told and not asked:
        found.append(f"profile: {a.profile} -> {b.profile}")
    before, after = (alpha_name(i.pixel_format) if i.alpha else i.pixel_format for i in (a, b))
    if codecs.shortfall(before, b) and "become" not in told and "left out" not in told:
        found.append(f"format: {before} -> {after}")
    pictures = [sum(s.kind == "video" for s in i.streams) for i in (a, b)]
    if pictures[0] != pictures[1] and "left out" not in told:
        found.append(f"video tracks: {pictures[0]} -> {pictures[1]}")
    tracks = [sum(s.kind == "audio" for s in i.streams) for i in (a, b)]
    if tracks[1] != tracks[0] + 1 and "sound track" not in told:
        found.append(f"sound tracks: {tracks[0]} + the dub -> {tracks[1]}")
    for kind, word in (("A53_CC", "captions"), ("DYNAMIC_HDR_PLUS", "HDR10+")):
        before, after = (_marked(path, kind) for path in (film, out))
        if before != after and word not in told:
            found.append(f"{word} in {before} frames -> {after}")
    return [*found, *_pixels(film, out, fields)]


def _explained(name: str, info: VideoInfo, made: VideoInfo, told: str) -> bool:
    words = {
        "color": ("color tags", "RGB becomes", "range"),
        "alpha": ("alpha",),
        "rotation": ("rotation",),
        "mastering": ("mastering",),
        "light": ("light",),
        "progressive": ("mark of progressive", "become"),
        "siting": ("chroma samples lie", "become"),
    }
    if name == "progressive" and not info.progressive:
        return True  # a codec that says so of all its pictures
    if name == "siting" and (info.siting in ("", "left") or "420" not in made.pixel_format):
        return True  # what is meant where nothing is stated; chroma of all columns and lines lies nowhere else
    if name == "color" and (info.color.matrix, info.color.primaries) in ((2, 2), (0, 2)):
        # nothing was stated: the result may state what was meant, another matrix is a change of colors
        meant, stated = swscale_matrix(plane_format(info)), made.color.matrix
        return (
            stated in (0, 2, meant)
            or {stated, meant} == {5, 6}
            or "RGB becomes" in told
            or "colors of" in told
        )
    return any(word in told for word in words.get(name, ()))


def _marked(path: Path, kind: str) -> int:
    with av.open(str(path)) as media:
        frames = media.decode(video=0)
        return sum(any(k.name == kind for k in side_data(frame)) for frame in frames)


def _pixels(film: Path, out: Path, fields: str) -> list[str]:
    """Frames of the first shot, which is not painted, and of the second, which is."""
    (a, times), (b, others) = probe(film, wanted=fields), probe(out, wanted=fields)
    readers = FrameReader(film, a, times), FrameReader(out, b, others)
    count = min(a.frames, b.frames)
    pairs = zip(*(reader.read(0, count) for reader in readers), strict=True)
    same, changed = [], []
    for one, two in pairs:
        x, y = (small(frame).astype(np.float32) for frame in (one, two))
        half = x.shape[0] // 2 - 1
        same.append(_psnr((x - y)[:half]))
        if one.index >= CUT * a.lines:
            changed.append(_psnr((x - y)[half:]))
    found = [] if min(same) >= 38 else [f"PSNR {min(same):.1f} dB where nothing is painted"]
    if changed and max(changed) > 38:
        found.append("the patch is missing")
    return found


def _psnr(difference: NDArray[np.float32]) -> float:
    return 10 * float(np.log10(255**2 / max(1e-6, float((difference**2).mean()))))


def main() -> None:
    from tests.matrix.rows import ROWS

    chosen = [row for row in ROWS if not sys.argv[1:] or any(w in row.name for w in sys.argv[1:])]
    outcomes = []
    for row in chosen:
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcome = run(row, Path(folder))
            except Exception as error:
                outcome = Outcome(row, wrong=[f"{type(error).__name__}: {error}"])
        outcomes.append(outcome)
        wrong = f"WRONG {outcome.wrong}" if outcome.wrong else ""
        line = f"{row.name:34} {outcome.state:8} {outcome.source} -> {outcome.result}"
        sys.stdout.write(f"{line} {outcome.said} {wrong}\n")
        sys.stdout.flush()
    bad = sum(bool(outcome.wrong) for outcome in outcomes)
    sys.stdout.write(f"{len(outcomes)} rows, {bad} wrong\n")
    write_table(outcomes, [row.name for row in ROWS])


def write_table(outcomes: Sequence[Outcome], names: Sequence[str]) -> None:
    """Put the outcomes into the table; rows that did not run stay."""
    before, _, rest = DOC.read_text().partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in old.splitlines()}
    lines |= {outcome.row.name: _line(outcome) for outcome in outcomes if not outcome.wrong}
    body = "\n".join(lines[name] for name in names if name in lines)
    head = "| film | pictures | result | |\n|---|---|---|---|"
    DOC.write_text(f"{before}{BEGIN}\n\n{head}\n{body}\n\n{END}{after}")


def _line(outcome: Outcome) -> str:
    said = "; ".join(w for w in outcome.said if not w.startswith("the dub")).replace("|", "/")
    said = re.sub(r"/\S+/film", "FILM", said)
    state = f"{outcome.state}: {said}" if said else "kept"
    return f"| {outcome.row.name} | {outcome.source} | {outcome.result} | {state} |"


if __name__ == "__main__":
    main()
