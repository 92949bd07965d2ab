"""Which weights a job was made with, and under which licence they may be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import as_file, files

from dubkit.config.schema import Config
from dubkit.engines.registry import ENGINES, engine_class
from dubkit.errors import DubkitError
from dubkit.weights.entries import WEIGHTS
from dubkit.work.digest import digest_file

OWN_LICENCE = "Apache-2.0"
_DIGITS = 16  # of a digest that engines tell in their version


@dataclass(frozen=True, slots=True)
class UsedWeight:
    """One file of weights."""

    name: str
    licence: str
    paid: bool | None  # whether paid work may use it; None: nobody has said so
    source: str
    digest: str = ""


def used_weights(
    engines: Iterable[str], config: Config, language: str | None = None
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
        UsedWeight(path, "yours to judge", None, f"a file of your own ({what})")
        for what, path in given.items()
        if path
    ]
    return found


def _own() -> list[UsedWeight]:
    with as_file(files("dubkit") / "weights") as folder:
        return [
            UsedWeight(path.name, OWN_LICENCE, True, "in the package", digest_file(path)[:_DIGITS])
            for path in sorted(folder.glob("*.safetensors"))
        ]


def _of_engine(kind: str, name: str, settings: object) -> list[UsedWeight]:
    """What the catalogue says of an optional engine's weights; a gap where its library is not here now."""
    try:
        names = engine_class(kind, name, settings).weights(settings)
    except DubkitError:
        return [UsedWeight(f"weights of {name}", "not known here", None, f"the engine {name}")]
    rows = []
    for weight in names:
        entry = WEIGHTS.get(weight)
        licence = entry.licence if entry else "yours to judge"
        rows.append(
            UsedWeight(
                weight,
                licence,
                entry.paid if entry else None,
                entry.source if entry else "a file of your own",
            )
        )
    return rows
