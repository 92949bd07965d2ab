"""The settings that commands and the Python API offer under names of their own.

Alone because the command line reads it to show its help, and must not load the configuration for that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

Settings = Mapping[str, object] | Sequence[str]
"""``{"faces": {"which": "all"}}``, ``{"faces.which": "all"}`` or ``["faces.which=all"]``."""


class Flags(TypedDict, total=False):
    """Settings by their short names; None is the same as leaving it out."""

    language: str | None
    trust_script: bool | None
    length: Literal["keep-video", "shortest", "freeze"] | None
    keep_audio: Literal["all", "original", "none"] | None
    dub_offset: float | None
    silence: Literal["rest", "closed", "original", "hold"] | None
    synth: str | None
    faces: Literal["speaking", "largest", "all"] | None
    adapt: bool | None
    actor: Path | str | None
    label: str | None
    gate: Literal["warn", "keep-original", "stop", "off"] | None
    on_failure: Literal["stop", "original"] | None
    jobs: int | None
    backend: Literal["loky", "threading", "dask"] | None
    scheduler: str | None
    device: str | None


OF_SETTING = {
    "language": "speech.language",
    "trust_script": "speech.trust_script",
    "length": "stitch.length",
    "keep_audio": "stitch.keep_audio",
    "dub_offset": "conform.dub_offset",
    "silence": "generate.silence",
    "synth": "generate.synthesizer",
    "actor": "generate.actor",
    "faces": "faces.which",
    "adapt": "adapt.enabled",
    "on_failure": "parallel.on_failure",
    "label": "generate.label",
    "gate": "gate.action",
    "jobs": "parallel.jobs",
    "backend": "parallel.backend",
    "scheduler": "parallel.scheduler",
    "device": "parallel.device",
}
"""The setting that each flag changes."""


class FlagSetting(str):
    """A setting ``section.key=value`` that a flag of the command line stands for."""

    origin: str  # the flag, as it is written

    @classmethod
    def of(cls, flag: str, value: object) -> FlagSetting:
        """The setting that the flag changes, by its name in `OF_SETTING`."""
        made = cls(f"{OF_SETTING[flag]}={value}")
        made.origin = f"--{flag.replace('_', '-')} {value}"
        return made
