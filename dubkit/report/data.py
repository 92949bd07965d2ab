"""The data of the page: the job as a whole, and its shots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import dubkit
from dubkit.config.presets import list_presets
from dubkit.config.schema import Config
from dubkit.errors import ConfigError
from dubkit.opened import OpenedJob
from dubkit.pipeline.job import STAGES
from dubkit.pipeline.result import about
from dubkit.pipeline.verdicts import PRESET, Verdict, config_with
from dubkit.records import Speech
from dubkit.report.facts import ShotFacts, load_words, stage_rows
from dubkit.report.weights import used_weights
from dubkit.stages.probe import load_film


def page_data(
    opened: OpenedJob, facts: Sequence[ShotFacts], videos: dict[str, Any]
) -> dict[str, Any]:
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
    return {
        "version": dubkit.__version__,
        "film": _film(opened, speech),
        "shots": [fact.table for fact in facts],
        "stages": stages,
        "weights": [asdict(weight) for weight in weights],
        "warnings": list(dict.fromkeys([*failures, *told])),
        "presets": _presets(opened.config),
        "videos": videos,
    }


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


def _film(opened: OpenedJob, speech: Speech | None) -> dict[str, Any]:
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
    }
    if opened.receipt("probe", None):
        info, _ = load_film(opened.folder("probe", None))
        width, height = info.display_size
        rate = f"{float(info.average_rate):.5g}{'' if info.rate else ' (varying)'}"
        facts |= {"seconds": info.duration, "width": width, "height": height, "rate": rate}
    if speech:
        facts["speech"] = f"{speech.language}, by {speech.path}, {len(speech.words)} words"
    return facts


def _presets(config: Config) -> list[str]:
    """Presets that would make a rejected shot otherwise than it is."""
    return [preset.name for preset in list_presets() if _differs(preset.name, config)]


def _differs(preset: str, config: Config) -> bool:
    wanted = Verdict(verdict="reject", instead=f"{PRESET}{preset}")
    try:
        return config_with(wanted, config) != config
    except ConfigError:
        return False
