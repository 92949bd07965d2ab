"""Make the review page of a job from its work folder, finished or not."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dubkit.errors import DubkitError, OutputError, UsageError, WorkError
from dubkit.parallel.workers import cores
from dubkit.pipeline.inspect import OpenedJob, last_change
from dubkit.pipeline.map_shots import map_shots
from dubkit.planning.shot_plan import Level, LookTask, ShotPlan, look
from dubkit.records import AT_START, Placement, Shown, VideoInfo
from dubkit.review import data as page_data, proxies
from dubkit.stages.conform import load_conform
from dubkit.stages.generate import SEGMENT
from dubkit.stages.probe import load_film

if TYPE_CHECKING:
    from dubkit.progress import Progress

VIDEOS = ("worst", "all", "none")
MEGABYTE = 2**20
THUMBNAIL = 208  # pixels of the long side


@dataclass(frozen=True, slots=True, repr=False)
class Report(Shown):
    """A page that was written."""

    path: Path
    shots: int
    videos: int
    size: int  # bytes
    films: int = 1  # more on the page of a batch

    def facts_shown(self) -> dict[str, object]:
        """The page, and what is on it."""
        return {"path": self.path, "shots": self.shots, "videos": self.videos}


def make_report(
    work: Path,
    out: Path | None,
    *,
    progress: Progress,
    videos: str = "worst",
    room: float = 48.0,
    jobs: int | None = None,
    overview: Path | None = None,
) -> Report:
    """Write the page of the job in ``work``; ``room`` is what its videos may take, in megabytes.

    It leads to the page ``overview`` of its batch, where there is one. Raises WorkError where ``work`` is none,
    OutputError where ``out`` cannot be written.
    """
    if videos not in VIDEOS:
        raise UsageError(f"videos cannot be {videos!r}", hint=" or ".join(VIDEOS))
    opened = OpenedJob(work)
    target = out or opened.manifest.job.output.with_suffix(".report.html")
    _check_target(target)
    workers = jobs or cores()
    words = page_data.own_words(page_data.load_words(opened))
    facts = [page_data.shot_facts(opened, shot, words) for shot in opened.shots]
    pictured = opened.receipt("probe", None) is not None and opened.run.job.video.is_file()
    if pictured:
        _look_at_all(opened, facts, progress, workers)
    else:
        progress.warn(f"the film {opened.run.job.video} is missing: the page has no pictures")
    _rank(facts)
    data = page_data.page_data(opened, facts)
    data["overview"] = _link(overview, target) if overview is not None else ""
    limit = room * MEGABYTE if videos == "worst" else float("inf")
    kept = proxies.Kept(opened.run.job.work / PROXIES)
    with _scratch(target) as scratch:
        film = Path(scratch) / "film.mp4"
        clips: dict[str, proxies.Clip] = {}
        if pictured:
            data["waves"] = _waves(opened)
            if videos != "none":
                data["film"]["proxy"], why = _film(opened, film, room * MEGABYTE, progress, kept)
                data["videos"]["film"] = why
                taken = _on_page(film.stat().st_size) if film.exists() else 0
                clips = _clips(opened, facts, progress, workers, limit - taken, kept)
                kept.forget_others()
        info = load_film(opened.folder("probe", None))[0] if pictured else None
        for fact in facts:
            _measure(opened, fact, clips.get(fact.shot.name), info)
        data["videos"] |= _video_summary(facts, clips, videos, room)
        shown = [(name, clips[name].video) for name in sorted(clips)]
        size = _write(target, build(data, shown, f"{data['film']['name']} · dubkit report", film))
    return Report(target, len(facts), len(clips), size)


def _scratch(target: Path) -> TemporaryDirectory[str]:
    """A folder beside the page for what is too large for memory."""
    try:
        return TemporaryDirectory(prefix=".report-", dir=target.parent)
    except OSError as error:
        raise OutputError(f"{target} cannot be written: {error.strerror}") from error


_CODED = 4 / 3  # what a byte of a video takes on the page


def _on_page(size: float) -> float:
    """Bytes that a video takes as it stands on the page."""
    return size * _CODED


FILM_SHARE = 0.6  # of the room, for the video of the whole film where that does


PROXIES = "proxies"  # in the work folder: videos of earlier pages


def _film(
    opened: OpenedJob, out: Path, room: float, progress: Progress, kept: proxies.Kept
) -> tuple[dict[str, Any] | None, str]:
    """Make the video of the whole film; what the page has to know of it, or why there is none."""
    try:
        dubbed = opened.finished_film()
    except DubkitError:
        return None, "The job is not finished: the whole film can be played when it is."
    info, pts = load_film(opened.folder("probe", None))
    least = proxies.room_for_film(info.duration)
    limit = room / _CODED
    limit = max(FILM_SHARE * limit, min(limit, least))
    task = proxies.FilmTask(opened.run.job.video, dubbed, info, int(pts[0]), limit)
    stitched = opened.receipt("stitch", None)
    digests = [opened.run.inputs["video"].sha256, stitched and sorted(stitched.outputs.items())]
    name = proxies.name_of("film", [*digests, proxies.film_size(info, limit)])
    if (known := kept.film(name)) is not None:
        shutil.copyfile(known[0], out)
        return known[1], ""
    progress.plan("film", 1, 0, info.frames)
    state = out.with_suffix(".progress")
    progress.watch(lambda: {"film": min(info.frames, info.lines * proxies.frames_made(state))})
    try:
        made = proxies.make_film(task, out, state)
    except DubkitError as error:
        progress.warn(f"the whole film has no video: {error.message}")
        progress.advance("film", "job", 0, 0.0, error.message)
        return None, f"The whole film has no video: {error.message}"
    finally:
        progress.watch(dict)
    progress.advance("film", "job", info.frames, 0.0, None)
    if made is not None:
        kept.keep(name, out, made)
    if made is None:
        wanted = ceil(_on_page(least) / MEGABYTE)
        return None, f"The whole film needs more room: --room {wanted} or more."
    return made, ""


def _waves(opened: OpenedJob) -> dict[str, Any]:
    """How loud the film's own sound and the dub are, over the film."""
    job = opened.run.job
    info, pts = load_film(opened.folder("probe", None))
    found = proxies.waves(job.video, info, int(pts[0]), job.audio, _placement(opened))
    coded = {name: base64.b64encode(bars).decode("ascii") for name, bars in found.items()}
    return {"rate": proxies.WAVE_RATE, **coded}


def _placement(opened: OpenedJob) -> Placement:
    placed = opened.receipt("conform", None) is not None
    return load_conform(opened.folder("conform", None)).placement if placed else AT_START


class BatchFilm(Protocol):
    """One job of a batch, as `dubkit.batches` knows it."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def output(self) -> Path: ...
    @property
    def seconds(self) -> float: ...
    @property
    def error(self) -> str | None: ...
    @property
    def hint(self) -> str | None: ...
    @property
    def work(self) -> Path | None: ...


OVERVIEW = "batch.report.html"
_WORST = 5  # shots of a film on the page of a batch
_TROUBLE = ("failed", "kept", "warned")


def make_overview(
    folder: Path,
    films: Sequence[BatchFilm],
    out: Path | None,
    *,
    progress: Progress,
    videos: str = "worst",
    room: float = 48.0,
    jobs: int | None = None,
) -> Report:
    """Write the page of a batch in ``folder``, and that of each film that has none since its job last ran.

    Of a job under way there is a page without videos. Raises OutputError where a page cannot be written.
    """
    target = out or folder / OVERVIEW
    _check_target(target)
    rows, shots, made = [], 0, []
    for film in films:
        data, page = None, film.output.with_suffix(".report.html")
        if film.work is not None:
            data = read_page(page)
            fresh = data is not None and _is_fresh(page, film.work, data, _link(target, page))
            if not fresh:
                which = videos if film.state in ("done", "partial") else "none"
                try:
                    report = make_report(
                        *(film.work, page),
                        progress=progress,
                        videos=which,
                        room=room,
                        jobs=jobs,
                        overview=target,
                    )
                    made.append(report)
                    data = read_page(page)
                except WorkError as error:
                    progress.warn(f"{film.name} has no page: {error.message}")
        rows.append(_film_row(film, data, _link(page, target) if data else ""))
        shots += sum(rows[-1]["counts"].values())
    done = sum(row["share"] * sum(row["counts"].values()) for row in rows)
    whole = {
        "name": folder.absolute().name,
        "films": rows,
        "share": round(done / shots, 4) if shots else 0.0,
    }
    title = f"{whole['name']} · dubkit report"
    size = _write(target, build(whole, (), title, template="batch/batch.html"))
    return Report(target, shots, sum(report.videos for report in made), size, len(films))


def _link(page: Path, origin: Path) -> str:
    """The address of a page as another one names it."""
    return quote(Path(os.path.relpath(page.absolute(), origin.absolute().parent)).as_posix())


def _is_fresh(page: Path, work: Path, data: Mapping[str, Any], overview: str) -> bool:
    """Whether a page was made by this version, after its job last ran, and leads back."""
    same = page_data.is_current(data) and data.get("overview") == overview
    return same and page.stat().st_mtime_ns >= last_change(work)


def read_page(page: Path) -> dict[str, Any] | None:
    """The data of a page; None for a file that is none, or not there."""
    begin, end = 'id="data">', "</script>"
    text = ""
    try:
        with page.open(encoding="utf-8") as file:
            while part := file.read(MEGABYTE):
                text += part
                at = text.find(begin)
                if at >= 0 and (stop := text.find(end, at)) >= 0:
                    found: dict[str, Any] = json.loads(text[at + len(begin) : stop])
                    return found
    except (OSError, ValueError):
        return None
    return None


def _film_row(film: BatchFilm, data: dict[str, Any] | None, page: str) -> dict[str, Any]:
    """What the page of a batch shows of a job; ``data`` is that of its own page."""
    shots = data["shots"] if data else []
    facts = data["film"] if data else {}
    counts = Counter(shot["state"] for shot in shots)
    waiting = 1 - counts["waiting"] / len(shots) if shots else 0.0
    doubtful = [s for s in shots if s["state"] in _TROUBLE or s["risk"] == "high"]
    numbers = {shot["name"]: number for number, shot in enumerate(shots, 1)}
    worst = sorted(doubtful, key=lambda shot: (-shot["rank"], shot["name"]))[:_WORST]
    states = ("done", "partial", "running", "unfinished", "interrupted", "failed")
    rank = states.index(film.state) if film.state in states else 0
    return {
        "name": film.name,
        "film": facts.get("name", film.name),
        "language": facts.get("language", ""),
        "job": facts.get("job", film.output.stem),
        "sha256": facts.get("sha256", ""),
        "length": facts.get("seconds", 0.0),
        "state": film.state,
        "seconds": film.seconds,
        "error": film.error or "",
        "hint": film.hint or "",
        "page": page,
        "counts": dict(counts),
        "share": round(waiting, 4),
        "rank": 10**6 * rank + sum(10 ** (3 - k) * counts[s] for k, s in enumerate(_TROUBLE)),
        "worst": [
            {
                "number": numbers[shot["name"]],
                "state": shot["state"],
                "thumb": shot["thumb"],
                "why": shot["why"] or next((r["text"] for r in shot["reasons"]), ""),
            }
            for shot in worst
        ],
    }


def _check_target(path: Path) -> None:
    """An older page gives way, anything else does not."""
    try:
        with path.open("rb") as file:
            ours = MARK.encode() in file.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    if not ours:
        raise OutputError(f"{path} exists and is not a report", hint="name another with --out")


def _look_at_all(
    opened: OpenedJob, facts: Sequence[page_data.ShotFacts], progress: Progress, workers: int
) -> None:
    """Thumbnails, risks and sizes, into the tables."""
    probe = opened.folder("probe", None)
    tasks = [
        LookTask(
            shot,
            opened.run.job.video,
            opened.config,
            probe,
            opened.folder("faces", shot) if opened.receipt("faces", shot) else None,
            opened.folder("timing", shot) if opened.receipt("timing", shot) else None,
            THUMBNAIL,
            opened.people_of(shot),
        )
        for shot in opened.shots
    ]
    looked = map_shots(_try_to_look, tasks, name="pictures", progress=progress, jobs=workers)
    for fact, found in zip(facts, looked, strict=True):
        if isinstance(found, ShotPlan):
            fact.table |= _of_plan(found)
        else:
            fact.table["notes"].append(found)


def _try_to_look(task: LookTask) -> ShotPlan | str:
    """A shot that cannot be looked at has its place on the page all the same, and says why."""
    try:
        return look(task)
    except DubkitError as error:
        return error.message


def _of_plan(plan: ShotPlan) -> dict[str, Any]:
    speech = asdict(plan.speech)
    del speech["bar"]
    return {
        "start": plan.start,
        "end": plan.end,
        "faces": plan.faces,
        "dubbed_faces": plan.dubbed,
        "who": plan.who,
        "face": asdict(plan.face) if plan.face else None,
        "speech": speech,
        "focus": plan.focus,
        "risk": plan.risk.word,
        "reasons": [{"kind": r.kind, "level": r.level.word, "text": r.text} for r in plan.reasons],
        "box": [round(side, 4) for side in plan.box] if plan.box else None,
        "thumb": base64.b64encode(plan.thumbnail).decode("ascii") if plan.thumbnail else "",
    }


def _rank(facts: Sequence[page_data.ShotFacts]) -> None:
    """How much a shot needs a look: by its state, then by how far it is beyond the gate's limits, then by its risk."""
    for fact in facts:
        word = fact.table.get("risk", "none")
        worst = next((level for level in Level if level.word == word), Level.NONE)
        reasons = min(9, len(fact.table.get("reasons", ())))
        state = len(page_data.STATES) - page_data.STATES.index(fact.state)
        excess = min(9.0, fact.table.pop("excess", 0.0))
        fact.table["rank"] = 1000 * state + round(100 * excess) + 10 * int(worst) + reasons


def _clips(
    opened: OpenedJob,
    facts: Sequence[page_data.ShotFacts],
    progress: Progress,
    workers: int,
    limit: float,
    kept: proxies.Kept,
) -> dict[str, proxies.Clip]:
    """Videos of the worst shots, as many as there is room for; those of an earlier page are taken from it."""
    wanted = [fact for fact in facts if fact.rendered]
    wanted.sort(key=lambda fact: (-fact.table["rank"], fact.shot))
    taken = 0.0
    found: dict[str, proxies.Clip] = {}
    names = {fact.shot: _clip_name(opened, fact) for fact in wanted}
    known = {fact.shot: kept.clip(names[fact.shot]) for fact in wanted}
    tasks = [_task(opened, fact) for fact in wanted if known[fact.shot] is None]
    made = map_shots(
        proxies.make_clip,
        tasks,
        name="videos",
        progress=progress,
        jobs=workers,
        lost=lambda task: "the process that made it died",
    )
    with closing(made) as clips:
        for fact in wanted:  # the worst ones first
            clip = known[fact.shot] or next(clips)
            if isinstance(clip, str):
                fact.table["notes"].append(f"no video: {clip}")
                progress.warn(f"shot {fact.shot.name} has no video: {clip}")
                continue
            taken += _on_page(len(clip.video))
            if taken > limit:
                break
            found[fact.shot.name] = clip
            if known[fact.shot] is None:
                about = {"frames": clip.frames, "dubbed": clip.dubbed}
                kept.keep(names[fact.shot], clip.video, about)
    return found


def _clip_name(opened: OpenedJob, fact: page_data.ShotFacts) -> str:
    """What a video of a shot is kept as: the shot, and the digest of all that it is made of."""
    made = opened.receipt("generate", fact.shot)
    inputs, placed = opened.run.inputs, _placement(opened)
    assert fact.track is not None
    return proxies.name_of(
        fact.shot.name,
        [
            made and sorted(made.outputs.items()),
            [inputs[name].sha256 for name in ("video", "audio")],
            [placed.start, placed.stretch, fact.track.track],
            [proxies.SIDE, proxies.ROOM, proxies.LONGEST],
        ],
    )


def _task(opened: OpenedJob, fact: page_data.ShotFacts) -> proxies.ClipTask:
    assert fact.track is not None
    job, shot = opened.run.job, fact.shot
    segment = opened.folder("generate", shot) / SEGMENT
    probe = opened.folder("probe", None)
    place = _placement(opened)
    return proxies.ClipTask(shot, fact.track, job.video, segment, job.audio, probe, place)


def _measure(
    opened: OpenedJob,
    fact: page_data.ShotFacts,
    clip: proxies.Clip | None,
    info: VideoInfo | None,
) -> None:
    table = fact.table
    table["rendered"] = fact.rendered
    if fact.track is not None and info is not None:
        left, top, side = proxies.face_square(fact.track, info)
        width, height = info.display_size
        table["square"] = [
            round(v, 4) for v in (left / width, top / height, side / width, side / height)
        ]
    if clip is None:
        return
    table["dubbed"] = clip.dubbed
    if clip.frames < fact.shot.frames:
        table["cut"] = proxies.LONGEST
    if not table["measures"]:
        table["measures"] = page_data.lip_rows(
            opened.folder("timing", fact.shot), clip.dubbed, proxies.THOUSAND
        )


def _video_summary(
    facts: Sequence[page_data.ShotFacts], clips: dict[str, proxies.Clip], videos: str, room: float
) -> dict[str, Any]:
    could = sum(fact.rendered for fact in facts)
    if videos == "none":
        summary = "This page was made without videos (--videos none)."
    elif len(clips) == could:
        summary = f"All {could} dubbed shots have a video."
    else:
        why = (
            f"{room:g} MB of them: --videos all or a larger --room shows more"
            if videos == "worst"
            else "the notes of the others say why they have none"
        )
        summary = f"The worst {len(clips)} of {could} dubbed shots have a video, {why}."
    return {"count": len(clips), "summary": summary}


def _write(path: Path, parts: Iterator[str]) -> int:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(parts)
        size = beside.stat().st_size
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error
    return size


MARK = '<meta name="generator" content="dubkit report">'  # by which a page of ours is known
_TEMPLATES = Environment(  # what is no Markup is escaped, JSON so that no string ends its element
    loader=PackageLoader("dubkit.review", "assets"),
    autoescape=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
_TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": True}


PART = 3 * 2**20  # bytes of a film in one element: a browser's strings are not endless


def build(
    data: Mapping[str, Any],
    clips: Iterable[tuple[str, bytes]],
    title: str,
    film: Path | None = None,
    template: str = "page.html",
) -> Iterator[str]:
    """The parts of the page in order; ``clips`` are names of shots and MP4 files, taken one at a time.

    ``film`` is the MP4 of the whole film, where there is one; ``template`` is that of a job or of a batch.
    """
    assets = files("dubkit.review") / "assets"
    names = ["0_dom.js", "batch/batch.js"]
    if template == "page.html":
        names = sorted(path.name for path in assets.iterdir() if path.name.endswith(".js"))
    style = (assets / "page.css").read_text(encoding="utf-8")
    script = "\n".join((assets / name).read_text(encoding="utf-8") for name in names)
    return _TEMPLATES.get_template(template).generate(
        policy=Markup(_policy(script, style)),
        title=title,
        style=Markup(style),
        script=Markup(script),
        data=data,
        clips=((name, Markup(base64.b64encode(video).decode("ascii"))) for name, video in clips),
        parts=_parts(film) if film is not None and film.exists() else (),
    )


def _parts(film: Path) -> Iterator[Markup]:
    with film.open("rb") as file:
        while part := file.read(PART):
            yield Markup(base64.b64encode(part).decode("ascii"))


def _policy(script: str, style: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _checksum(script),
        "style-src": _checksum(style),
        "img-src": "data:",
        "media-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode('ascii')}'"
