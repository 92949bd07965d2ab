"""A person's verdicts on single shots: a verdict file, as ``dubkit report`` writes it, and what it changes.

``{"kind": "dubkit-verdicts", "version": 1, "film": SHA256, "shots": {"0000120-0000248": {"verdict": "reject",
"instead": "original", "note": "chin smears"}}}``. A rejected shot keeps its original picture, or is made with
``"instead": "preset:NAME"``: that preset's ``[generate]``, all but how the picture is coded. An approved shot passes
the gate. Shots that are not listed are judged as usual. ``notes`` are remarks on single frames, for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from dubkit.config import presets, schema
from dubkit.errors import ConfigError, InputError, UsageError
from dubkit.records import Decision

ORIGINAL, PRESET = "original", "preset:"
_LARGEST = 16 * 2**20  # bytes
_CODING = ("codec", "quality", "speed")  # the shots of a film are joined: all are coded alike


class ShotVerdict(schema.Section):
    """A person's verdict on one shot."""

    verdict: Literal["approve", "reject"]
    instead: str = ORIGINAL
    note: str = ""

    @property
    def regenerates(self) -> bool:
        """Whether the shot is rejected and made with another preset."""
        return self.verdict == "reject" and self.instead.startswith(PRESET)


class FrameNote(schema.Section):
    """A remark on one frame."""

    frame: int  # of the film, from 0
    timecode: str = ""
    text: str


class VerdictFile(schema.Section):
    """A verdict file."""

    kind: Literal["dubkit-verdicts"]
    version: Literal[1]
    film: str  # sha256 of the film
    shots: dict[str, ShotVerdict]
    notes: tuple[FrameNote, ...] = ()


def read_verdicts(path: Path) -> VerdictFile:
    """Read a verdict file. Raises InputError where it is none, ConfigError for a preset that cannot be used."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} is too large for a verdict file")
        found = VerdictFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        what = f"{where}: {first['msg']}" if where else first["msg"]
        raise InputError(
            f"{path} is not a verdict file: {what}", hint="dubkit report writes verdict files"
        ) from error
    for shot, verdict in found.shots.items():
        if verdict.instead != ORIGINAL and not verdict.instead.startswith(PRESET):
            raise InputError(
                f"{path}: instead of shot {shot} cannot be {verdict.instead!r}",
                hint="original, or preset:NAME",
            )
    return found


def check_film(verdicts: VerdictFile, path: Path, film: str, name: str) -> None:
    """Raise UsageError unless the verdicts are of the film with this sha256."""
    if verdicts.film != film:
        raise UsageError(
            f"the verdicts in {path} are for another film than {name}",
            hint="use verdicts given on this film",
        )


def check_shots(named: Iterable[str], shots: Iterable[str]) -> None:
    """Raise UsageError for verdicts on shots that are not in the film."""
    known = set(shots)
    unknown = sorted(name for name in named if name not in known)
    if unknown:
        more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise UsageError(
            f"the verdicts name a shot {unknown[0]}{more} that the film does not have",
            hint="the cuts may have moved since: make a new report and judge these shots again",
        )


def configs(verdicts: VerdictFile, config: schema.Config) -> dict[str, schema.Config]:
    """The settings of each shot that a verdict was given on.

    Raises ConfigError for presets that are not there or say nothing about how a shot is generated.
    """
    made = {name: config_with(verdict, config) for name, verdict in verdicts.shots.items()}
    return dict(sorted(made.items()))


def config_with(verdict: ShotVerdict, config: schema.Config) -> schema.Config:
    """The settings of a shot with this verdict."""
    if verdict.regenerates:
        return _generated_otherwise(config, verdict.instead.removeprefix(PRESET))
    return config


def decision_of(verdict: ShotVerdict) -> Decision | None:
    """What the gate is given of a verdict; None for a shot that is made otherwise: it is judged like any other."""
    return None if verdict.regenerates else Decision(verdict.verdict, verdict.note)


def _generated_otherwise(config: schema.Config, preset: str) -> schema.Config:
    differences = presets.load_differences(preset).get("generate", {})
    wanted: Mapping[str, object] = {k: v for k, v in differences.items() if k not in _CODING}
    made = presets.over(config, {"generate": wanted}, preset)
    if made == config:
        raise ConfigError(
            f"the preset {preset!r} would not change the rejected shot",
            hint="choose one whose [generate] differs in more than encoding, or the original",
        )
    return made
