# ruff: noqa: RUF001 - IPA letters are meant
"""The data of the page: the job as a whole, and its shots."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from dubkit.config import presets, schema
from dubkit.engines.registry import ENGINES, engine_class
from dubkit.errors import ConfigError, DubkitError, WorkError
from dubkit.faces import consent
from dubkit.faces.selection import load_choice, load_tracks
from dubkit.metrics import definitions, gate_limits, lips
from dubkit.metrics.lips import LABIALS, MARKS
from dubkit.pipeline import inspect, verdicts
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.result import about
from dubkit.planning.shot_plan import Seen, main_face
from dubkit.records import (
    SILENCE,
    FaceTrack,
    Shot,
    Speech,
    StageResult,
    Timing,
    TrackChoice,
    VideoInfo,
    Word,
)
from dubkit.review.proxies import openings
from dubkit.speech.timing import load_speech, load_timing
from dubkit.stages import adapt, conform, generate, probe
from dubkit.version import __version__
from dubkit.weights.entries import WEIGHTS
from dubkit.work.store import digest_file, read_record


def page_data(opened: inspect.OpenedJob, facts: Sequence[ShotFacts]) -> dict[str, Any]:
    """All that the page's script reads."""
    results = opened.manifest.results.values()
    told = [text for r in results for text in (*(about(r, w) for w in r.warnings), *r.notes)]
    failures = [about(r, r.error) for r in results if r.error and r.unit == "job"]
    stages = stage_rows(opened, [stage.name for stage in STAGES])
    engines = [engine for stage in stages for engine in stage["engines"]]
    speech = load_words(opened)
    weights = used_weights(engines, opened.config, speech.language if speech else None)
    for fact in facts:
        _complete(fact)
        name = opened.names.get(fact.shot.name)
        fact.table["timecode"] = (name.timecode if name else None) or ""
        people = opened.people_of(fact.shot)
        own = fact.main_track
        tracks = sorted(people, key=lambda track: (track != own, track))
        fact.table["people"] = list(dict.fromkeys(people[track].name for track in tracks))
    return {
        "version": __version__,
        "film": _film(opened, speech),
        "shots": [fact.table for fact in facts],
        "stages": stages,
        "weights": [asdict(weight) for weight in weights],
        "warnings": list(dict.fromkeys([*failures, *told])),
        "presets": _presets(opened.config),
        "videos": {},
        "waves": None,
    }


def is_current(data: Mapping[str, Any]) -> bool:
    """Whether a page was made by this version."""
    return data.get("version") == __version__


def _complete(fact: ShotFacts) -> None:
    """What the page counts on, where the job has not come so far."""
    defaults: dict[str, Any] = {
        "start": 0.0,
        "end": 0.0,
        "faces": 0,
        "dubbed_faces": 0,
        "who": "",
        "face": None,
        "risk": "none",
        "reasons": [],
        "thumb": "",
        "words": "",
    }
    fact.table |= {name: value for name, value in defaults.items() if name not in fact.table}
    fact.table["frames"] = fact.shot.frames


def _film(opened: inspect.OpenedJob, speech: Speech | None) -> dict[str, Any]:
    job, inputs = opened.manifest.job, opened.manifest.inputs
    film = inputs.get("video")
    facts: dict[str, Any] = {
        "name": job.video.name,
        "dub": job.audio.name,
        "job": job.name,
        "video": str(job.video),
        "audio": str(job.audio),
        "script": str(job.script) if job.script else "",
        "output": str(job.output),
        "sha256": film.sha256 if film else "",
        "finished": opened.receipt("stitch", None) is not None and job.output.is_file(),
        "seconds": 0.0,
        "speech": "",
        "language": opened.config.speech.language or "",
        "offset": "",
        "consent": consent.in_words(opened.manifest.consent),
    }
    facts["people"] = _people(opened)
    facts["proxy"] = None
    facts["clock"] = None
    if opened.receipt("probe", None):
        info, _ = probe.load_film(opened.folder("probe", None))
        facts["clock"] = _clock(opened, info)
        width, height = info.display_size
        rate = f"{float(info.average_rate):.5g}{'' if info.rate else ' (varying)'}"
        facts |= {"seconds": info.duration, "width": width, "height": height, "rate": rate}
    if speech:
        facts["language"] = facts["language"] or speech.language
        facts["speech"] = f"{speech.language}, by {speech.path}, {len(speech.words)} words"
        if speech.path == "sound":
            asked = "recognized only with --set speech.recognize=true"
            facts["speech"] = f"by sound: the lips need no words; they are {asked}"
    sounds = [(name, opened.receipt(name, None)) for name in ("probe", "conform")]
    facts["loudness"] = "; ".join(
        note for _, line in sounds if line for note in line.notes if note.startswith("loudness")
    )
    if opened.receipt("conform", None):
        facts["conform"] = conform.told(opened.folder("conform", None))
    if opened.receipt("adapt", None):
        offset = adapt.film_offset_of(opened.folder("adapt", None))
        facts["offset"] = "" if offset is None else str(offset)
    return facts


def _clock(opened: inspect.OpenedJob, info: VideoInfo) -> dict[str, Any]:
    """How the page counts frames; at a variable rate, frames of the average one."""
    first, clock = opened.clock(info)
    return {
        "rate": [clock.rate.numerator, clock.rate.denominator],
        "drop": clock.drop,
        "first": first,
        "lines": info.lines,
        "frames": info.frames // info.lines,
        "even": info.rate is not None,
    }


def _people(opened: inspect.OpenedJob) -> list[dict[str, Any]]:
    """The cast of the film, those longest on screen first."""
    try:
        people = opened.cast()
    except WorkError:
        return []
    return [
        {
            "name": person.name,
            "seconds": round(person.seconds, 1),
            "dubbed": round(person.dubbed, 1),
            "dub": person.dub,
            "shots": len({face.split("/")[0] for face in person.faces}),
        }
        for person in people
    ]


def _presets(config: schema.Config) -> list[str]:
    """Presets that would make a rejected shot otherwise than it is."""
    return [preset.name for preset in presets.list_presets() if _differs(preset.name, config)]


def _differs(preset: str, config: schema.Config) -> bool:
    wanted = verdicts.ShotVerdict(verdict="reject", instead=f"{verdicts.PRESET}{preset}")
    try:
        return verdicts.config_with(wanted, config) != config
    except ConfigError:
        return False


PER_SHOT = ("faces", "timing", "generate", "gate")
STATES = ("failed", "kept", "warned", "dubbed", "untouched", "waiting")


@dataclass(slots=True)
class ShotFacts:
    """One shot of the page; ``table`` is what the page's script reads."""

    shot: Shot
    state: str  # one of STATES
    why: str = ""  # it failed, or keeps its original picture
    painted: bool = False  # whether there is a picture with a new mouth, used or not
    track: FaceTrack | None = None  # the dubbed face
    main_track: int | None = None  # of the face that is judged: the dubbed one, or the largest
    table: dict[str, Any] = field(default_factory=dict)

    @property
    def rendered(self) -> bool:
        """Whether there is a dubbed picture to show beside the original one."""
        return self.painted and self.track is not None


def shot_facts(opened: inspect.OpenedJob, shot: Shot, words: Sequence[Word] = ()) -> ShotFacts:
    """All that is known of a shot, however far the job is; ``words`` are those of the whole dub (`own_words`)."""
    receipts = {name: receipt for name in PER_SHOT if (receipt := opened.receipt(name, shot))}
    state, why, painted = _state(opened, shot, receipts)
    facts = ShotFacts(shot, state, why, painted)
    table = facts.table
    table["transitions"] = [
        [s.start - shot.start, s.end - shot.start, s.kind] for s in shot.transitions
    ]
    table |= {"name": shot.name, "state": state, "why": why, "measures": []}
    gate = _gate(opened, shot, receipts)
    if gate is not None:
        table["measures"] = gate_rows(gate)
        table["excess"] = round(_excess(gate), 3)
        table["judged"] = " ".join(filter(None, (gate.verdict, gate.note)))
    table["seconds"] = {name: receipt.seconds for name, receipt in receipts.items()}
    table["notes"] = [w for receipt in receipts.values() for w in receipt.warnings]
    timing = _read(load_timing, opened, "timing", shot, receipts)
    if timing is not None:
        table["phones"] = _phones(timing, shot)
        said = _said(words, timing)
        table["said"] = said
        table["words"] = " ".join(text for text, _, _ in said)
    if "faces" in receipts:
        _faces(facts, opened, shot)
    return facts


def _excess(gate: gate_limits.GateResult) -> float:
    """How far the worst check is beyond its limit, in limits."""
    return max((check.excess for face in gate.faces for check in face.failed), default=0.0)


def load_words(opened: inspect.OpenedJob) -> Speech | None:
    """The recognized speech; None before it is known."""
    if opened.receipt("speech", None) is None:
        return None
    try:
        return load_speech(opened.folder("speech", None))
    except WorkError:
        return None


def _read(
    load: Any, opened: inspect.OpenedJob, name: str, shot: Shot, receipts: Mapping[str, StageResult]
) -> Timing | None:
    """What a unit published; a damaged one counts as not done."""
    if name not in receipts:
        return None
    try:
        found: Timing = load(opened.folder(name, shot))
        return found
    except DubkitError:
        return None


def _state(
    opened: inspect.OpenedJob, shot: Shot, receipts: Mapping[str, StageResult]
) -> tuple[str, str, bool]:
    for name in PER_SHOT:
        line = opened.manifest.results.get(f"{name}/{shot.name}")
        if line and line.error and not line.fingerprint:
            return "failed", f"{name}: {line.error}", False
    made = receipts.get("generate")
    if made is None:
        return "waiting", "", False
    if made.error:
        return "kept", made.error, False
    try:
        result = read_record(
            opened.folder("generate", shot) / generate.RESULT, generate.GenerateResult
        )
    except WorkError:
        return "waiting", "its files are damaged", False
    gate = _gate(opened, shot, receipts)
    if gate is not None and (gate.kept or not gate.passed):
        state = "kept" if gate.kept else "failed" if gate.refused else "warned"
        if gate.verdict != "approve":
            return state, "; ".join(gate.reasons), result.touched
    return ("dubbed" if result.touched else "untouched"), "", result.touched


def _gate(
    opened: inspect.OpenedJob, shot: Shot, receipts: Mapping[str, StageResult]
) -> gate_limits.GateResult | None:
    """The result of the gate for a shot; None before there is one."""
    if "gate" not in receipts:
        return None
    try:
        return gate_limits.load_gate(opened.folder("gate", shot))
    except WorkError:
        return None


def _faces(facts: ShotFacts, opened: inspect.OpenedJob, shot: Shot) -> None:
    try:
        tracks = load_tracks(opened.folder("faces", shot))
        choices = _choices(opened, shot)
    except WorkError:
        return
    main = main_face(Seen(tracks, choices, 1.0, True, None))
    if main is None:
        return
    track, choice = main
    facts.main_track = choice.track
    facts.table["original"] = openings(track, shot)
    if choice.dubbed:
        facts.track = track
        facts.table["untouched"] = [
            [span.start - shot.start, span.end - shot.start, span.reason]
            for span in choice.untouched
        ]


def _choices(opened: inspect.OpenedJob, shot: Shot) -> list[TrackChoice]:
    """As they were painted; before that, as they were chosen."""
    try:
        return load_choice(opened.folder("generate", shot))
    except WorkError:
        return load_choice(opened.folder("faces", shot))


def _phones(timing: Timing, shot: Shot) -> list[list[Any]]:
    """Runs of phonemes: symbol, first frame and end in the shot, kind."""
    return [
        [run.symbol, run.start - shot.start, run.end - shot.start, _kind(run.symbol)]
        for run in timing.runs
    ]


def _kind(symbol: str) -> str:
    bare = symbol.rstrip(MARKS)
    if symbol == SILENCE:
        return "silence"
    if bare in LABIALS:
        return "closure"
    if bare in ("f", "v"):
        return "teeth"
    return "vowel" if bare[:1] in _VOWELS else "other"


_VOWELS = frozenset("aeiouyæɑɒɐəɚɛɜɝɪɨʉɯʊʌɔøœɤɵ")


def own_words(speech: Speech | None) -> list[Word]:
    """The words of a dub as its script writes them, in its case and with its punctuation; else as recognized."""
    if speech is None:
        return []
    found: list[Word] = []
    for line in speech.lines:
        if line.start is not None and line.end is not None:
            recognized = [w for w in speech.words if line.start <= w.start < line.end]
            found += _written(line.text.split(), recognized, line.end)
    return found or list(speech.words)


def _written(texts: Sequence[str], recognized: Sequence[Word], end: float) -> Iterator[Word]:
    """A line's own words at the times of those ``recognized``; one written otherwise lasts to the next."""
    bare = [re.sub(r"\W", "", text).casefold() for text in texts]
    blocks = SequenceMatcher(
        None, bare, [re.sub(r"\W", "", w.text).casefold() for w in recognized], autojunk=False
    ).get_matching_blocks()
    times = {b.a + k: recognized[b.b + k] for b in blocks for k in range(b.size)}
    at = recognized[0].start if recognized else end
    for number, text in enumerate(texts):
        own = times.get(number)
        following = next((times[n].start for n in range(number + 1, len(texts)) if n in times), end)
        start = own.start if own else at
        at = own.end if own else following
        yield Word(text, start, at)


def _said(words: Sequence[Word], timing: Timing) -> list[list[Any]]:
    """The words in a shot, each with its first frame and the end of its last one."""
    start, end = float(timing.times[0]), float(timing.times[-1])
    inside = [word for word in words if word.end > start and word.start < end]
    places = np.searchsorted(timing.times, [[w.start, w.end] for w in inside] or np.zeros((0, 2)))
    last = len(timing.times) - 1
    return [
        [word.text, max(0, min(int(first) - 1, last)), min(int(final), last)]
        for word, (first, final) in zip(inside, places, strict=True)
    ]


def stage_rows(opened: inspect.OpenedJob, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each stage: units done, time, engines."""
    rows = []
    for name in names:
        own = [r for r in opened.manifest.results.values() if r.stage == name and r.fingerprint]
        engines = Counter(result.engine for result in own if result.engine)
        rows.append(
            {
                "name": name,
                "done": len(own),
                "seconds": round(sum(result.seconds for result in own), 2),
                "engines": [engine for engine, _ in engines.most_common()],
            }
        )
    return rows


def row(
    name: str, value: float | None, *, shown: str = "", limit: str = "", verdict: str = ""
) -> dict[str, Any]:
    """A line of the table; ``verdict`` is pass, warn, fail or nothing."""
    known = definitions.BY_NAME.get(name)
    return {
        "name": name,
        "label": name.replace("_", " "),
        "shown": shown or ("" if value is None else f"{value:.3g}"),
        "limit": limit,
        "verdict": verdict,
        "meaning": known.meaning if known else "",
    }


def gate_rows(gate: gate_limits.GateResult) -> list[dict[str, Any]]:
    """Every check of the gate; those that failed first."""
    many = len(gate.faces) > 1
    rows = []
    for face in gate.faces:
        for check in sorted(face.checks, key=lambda check: check.passed):
            sign = {"lower": "≤", "higher": "≥", "near 0": "±"}[check.better]
            known = check.value is not None
            line = row(
                check.measure,
                check.value,
                shown="" if known else check.reason,
                limit=f"{sign} {check.limit:g}" if known else "",
                verdict="" if not known else "pass" if check.passed else "fail",
            )
            rows.append(
                {**line, "label": f"face {face.track}: {line['label']}" if many else line["label"]}
            )
    return rows


def lip_rows(timing: Path, dubbed: Sequence[int | None], thousand: int) -> list[dict[str, Any]]:
    """What the page itself measures of a dubbed mouth, where the job holds no measures."""
    try:
        cut = load_timing(timing)
    except WorkError:
        return []
    series = np.array([np.nan if v is None else v / thousand for v in dubbed], np.float64)
    shut = lips.closures(series, cut.times, cut.phonemes)
    silent = lips.open_in_silence(series, cut.times, cut.phonemes)
    rows = []
    for name, tally in (("closures", shut), ("open_in_silence", silent)):
        if tally.share is not None:
            rows.append(row(name, tally.share, shown=f"{tally.hits} of {tally.total}"))
    return rows


OWN_LICENSE = "Apache-2.0"
_DIGITS = 16  # of a digest that engines tell in their version


@dataclass(frozen=True, slots=True)
class UsedWeight:
    """One file of weights."""

    name: str
    license: str
    paid: bool | None  # whether paid work may use it; None: not stated
    source: str
    digest: str = ""


def used_weights(
    engines: Iterable[str], config: schema.Config, language: str | None = None
) -> list[UsedWeight]:
    """The weights that the engines of a job, as its manifest names them, have used on a dub in ``language``."""
    speech = config.speech.model_copy(update={"language": config.speech.language or language})
    told = " ".join(engines)
    found = [weight for weight in _own() if weight.digest in told]
    for kind, settings in (("aligner", speech), ("detector", config.faces)):
        for name, entry in ENGINES[kind].items():
            if entry.weights is not None and f"{name} " in told:
                found += _of_engine(kind, name, settings)
    given = {
        "speech to mouths": config.generate.tc,
        "mouths to pictures": config.generate.sc,
        "landmarks": config.faces.landmarker_weights,
        "actor": config.generate.actor,
    }
    found += [
        UsedWeight(path, "yours to check", None, f"your own file ({what})")
        for what, path in given.items()
        if path
    ]
    return found


def _own() -> list[UsedWeight]:
    with as_file(files("dubkit") / "weights") as folder:
        return [
            UsedWeight(path.name, OWN_LICENSE, True, "in the package", digest_file(path)[:_DIGITS])
            for path in sorted(folder.glob("*.safetensors"))
        ]


def _of_engine(kind: str, name: str, settings: object) -> list[UsedWeight]:
    """What the catalog says of an optional engine's weights; a gap where its library is not here now."""
    try:
        names = engine_class(kind, name, settings).weights(settings)
    except DubkitError:
        return [UsedWeight(f"weights of {name}", "unknown", None, f"the engine {name}")]
    rows = []
    for weight in names:
        entry = WEIGHTS.get(weight)
        license = entry.license if entry else "yours to check"
        rows.append(
            UsedWeight(
                weight,
                license,
                entry.paid if entry else None,
                entry.source if entry else "your own file",
            )
        )
    return rows
