"""Make the review page of a job from its work folder, finished or not."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dubkit.errors import DubkitError, OutputError, UsageError
from dubkit.parallel.workers import cores
from dubkit.pipeline.inspect import OpenedJob
from dubkit.pipeline.map_shots import map_shots
from dubkit.planning.shot_plan import Level, LookTask, ShotPlan, look
from dubkit.progress import Progress
from dubkit.report.data import (
    STATES,
    THOUSAND,
    ShotFacts,
    lip_rows,
    load_words,
    page_data,
    shot_facts,
)
from dubkit.report.shot_clips import LONGEST, Clip, ClipTask, make_clip
from dubkit.stages.generate import SEGMENT

VIDEOS = ("worst", "all", "none")
MEGABYTE = 2**20
THUMBNAIL = 208  # pixels of the long side


@dataclass(frozen=True, slots=True)
class Report:
    """A page that was written."""

    path: Path
    shots: int
    videos: int
    size: int  # bytes


def make_report(
    work: Path,
    out: Path | None,
    *,
    progress: Progress,
    videos: str = "worst",
    room: float = 48.0,
    jobs: int | None = None,
) -> Report:
    """Write the page of the job in ``work``; ``room`` is what its videos may take, in megabytes.

    Raises WorkError where ``work`` is none, OutputError where ``out`` cannot be written.
    """
    if videos not in VIDEOS:
        raise UsageError(f"videos cannot be {videos!r}", hint=" or ".join(VIDEOS))
    opened = OpenedJob(work)
    target = out or opened.manifest.job.output.with_suffix(".report.html")
    _check_target(target)
    workers = jobs or cores()
    speech = load_words(opened)
    facts = [shot_facts(opened, shot, speech) for shot in opened.shots]
    pictured = opened.receipt("probe", None) is not None and opened.run.job.video.is_file()
    if pictured:
        _look_at_all(opened, facts, progress, workers)
    else:
        progress.warn(f"the film {opened.run.job.video} is missing: the page has no pictures")
    _rank(facts)
    clips: dict[str, Clip] = {}
    if pictured and videos != "none" and (room > 0 or videos == "all"):
        limit = room * MEGABYTE if videos == "worst" else float("inf")
        clips = _clips(opened, facts, progress, workers, limit)
    for fact in facts:
        _measure(opened, fact, clips.get(fact.shot.name))
    data = page_data(opened, facts, _video_summary(facts, clips, videos, room))
    shown = [(name, clips[name].video) for name in sorted(clips)]
    size = _write(target, build(data, shown, f"{data['film']['name']} · dubkit report"))
    return Report(target, len(facts), len(clips), size)


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
    opened: OpenedJob, facts: Sequence[ShotFacts], progress: Progress, workers: int
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
        "thumb": base64.b64encode(plan.thumbnail).decode("ascii") if plan.thumbnail else "",
    }


def _rank(facts: Sequence[ShotFacts]) -> None:
    """How much a shot needs a look: by its state, then by how far it is beyond the gate's limits, then by its risk."""
    for fact in facts:
        word = fact.table.get("risk", "none")
        worst = next((level for level in Level if level.word == word), Level.NONE)
        reasons = min(9, len(fact.table.get("reasons", ())))
        state = len(STATES) - STATES.index(fact.state)
        excess = min(9.0, fact.table.pop("excess", 0.0))
        fact.table["rank"] = 1000 * state + round(100 * excess) + 10 * int(worst) + reasons


def _clips(
    opened: OpenedJob,
    facts: Sequence[ShotFacts],
    progress: Progress,
    workers: int,
    limit: float,
) -> dict[str, Clip]:
    """Videos of the worst shots, as many as there is room for."""
    wanted = [fact for fact in facts if fact.rendered]
    wanted.sort(key=lambda fact: (-fact.table["rank"], fact.shot))
    taken = 0
    found: dict[str, Clip] = {}
    tasks = [_task(opened, fact) for fact in wanted]
    made = map_shots(
        make_clip,
        tasks,
        name="videos",
        progress=progress,
        jobs=workers,
        lost=lambda task: "the process that made it died",
    )
    with closing(made) as clips:
        for fact, clip in zip(wanted, clips, strict=True):  # the worst ones first
            if isinstance(clip, str):
                fact.table["notes"].append(f"no video: {clip}")
                progress.warn(f"shot {fact.shot.name} has no video: {clip}")
                continue
            taken += len(clip.video) * 4 // 3
            if taken > limit:
                break
            found[fact.shot.name] = clip
    return found


def _task(opened: OpenedJob, fact: ShotFacts) -> ClipTask:
    assert fact.track is not None
    job, shot = opened.run.job, fact.shot
    segment = opened.folder("generate", shot) / SEGMENT
    probe = opened.folder("probe", None)
    return ClipTask(shot, fact.track, job.video, segment, job.audio, probe, opened.config)


def _measure(opened: OpenedJob, fact: ShotFacts, clip: Clip | None) -> None:
    table = fact.table
    table["rendered"] = fact.rendered
    if clip is None:
        return
    table["dubbed"] = clip.dubbed
    if clip.frames < fact.shot.frames:
        table["cut"] = LONGEST
    if not table["measures"]:
        table["measures"] = lip_rows(opened.folder("timing", fact.shot), clip.dubbed, THOUSAND)


def _video_summary(
    facts: Sequence[ShotFacts], clips: dict[str, Clip], videos: str, room: float
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
    loader=PackageLoader("dubkit.report", "assets"),
    autoescape=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)
_TEMPLATES.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": True}


def build(data: Mapping[str, Any], clips: Iterable[tuple[str, bytes]], title: str) -> Iterator[str]:
    """The parts of the page in order; ``clips`` are names of shots and MP4 files, taken one at a time."""
    assets = files("dubkit.report") / "assets"
    names = sorted(path.name for path in assets.iterdir())
    style = (assets / "page.css").read_text(encoding="utf-8")
    script = "\n".join(
        (assets / name).read_text(encoding="utf-8") for name in names if name.endswith(".js")
    )
    return _TEMPLATES.get_template("page.html").generate(
        policy=Markup(_policy(script, style)),
        title=title,
        style=Markup(style),
        script=Markup(script),
        data=data,
        clips=((name, Markup(base64.b64encode(video).decode("ascii"))) for name, video in clips),
    )


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
