"""Flags of commands that are settings by another name."""

from __future__ import annotations

from pathlib import Path

PATHS = {
    "language": "speech.language",
    "trust_script": "speech.trust_script",
    "length": "stitch.length",
    "silence": "generate.silence",
    "synth": "generate.synthesizer",
    "actor": "generate.actor",
    "faces": "faces.which",
    "adapt": "adapt.enabled",
    "on_failure": "parallel.on_failure",
    "gate": "gate.action",
}


def flags(**given: str | Path | bool | None) -> list[str]:
    """Flags by name -> settings as ``--set`` takes them, without those that were not given."""
    return [
        f"{PATHS[name]}={_as_setting(value)}"
        for name, value in given.items()
        if value is not None and value is not False
    ]


def _as_setting(value: str | Path | bool) -> str:
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return "true" if value is True else str(value)


def workers(backend: str | None, scheduler: str | None) -> list[str]:
    """``--backend`` and ``--scheduler`` as settings; an address means Dask."""
    chosen = backend or ("dask" if scheduler else None)
    given = {"backend": chosen, "scheduler": scheduler}
    return [f"parallel.{name}={value}" for name, value in given.items() if value is not None]
