"""May the weights that a run would use be used for paid work?"""

from __future__ import annotations

from dubkit.config.schema import Config
from dubkit.engines.registry import AUTO, ENGINES, choose, engine_class
from dubkit.errors import UsageError
from dubkit.weights.entries import WEIGHTS

_OWN = {"whisperx": "speech.aligner=pocketsphinx", "retinaface": "faces.detector=embedded"}
LICENSES = ("any", "commercial")


def check_license(wanted: str, config: Config) -> None:
    """``any`` allows every weight, ``commercial`` those that `check_paid_work` allows.

    Raises UsageError.
    """
    if wanted not in LICENSES:
        raise UsageError(f"the license {wanted!r} is not known", hint=" or ".join(LICENSES))
    if wanted == "commercial":
        check_paid_work(config)


def check_paid_work(config: Config) -> None:
    """Raise UsageError where an engine of this configuration uses weights not licensed for paid work.

    Engines and weight files of the user's own are the user's to judge.
    """
    chosen = (
        ("aligner", config.speech.aligner, config.speech),
        ("detector", config.faces.detector, config.faces),
    )
    for kind, wanted, settings in chosen:
        name = choose(kind, wanted, settings)[0] if wanted == AUTO else wanted
        entry = ENGINES[kind].get(name)
        if entry is None or entry.extra is None:
            continue  # dubkit's own weights are Apache-2.0
        names = engine_class(kind, name, settings).weights(settings)
        for weight in names:
            _refuse(weight, name)
        speech = config.speech
        if name == "whisperx" and speech.language is None and speech.align_model is None:
            raise UsageError(
                "the license of the alignment model depends on the language of the dub",
                hint="set it with --language",
            )


def _refuse(weight: str, engine: str) -> None:
    entry = WEIGHTS.get(weight)
    if entry is None or entry.paid:
        return
    says = f"is {entry.license}" if entry.paid is False else "is not stated"
    raise UsageError(
        f"the engine {engine} would use {weight}, whose license {says}, so it is not cleared for paid work",
        hint=f"use dubkit's own engine (--set {_OWN[engine]}), or weights of your own; "
        "dubkit models list shows every license",
    )
