"""The words and phonemes of the dub with their times, and its mel levels.

Publishes ``speech.json`` and ``sound.npz`` (`speech.mel_levels`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from dubkit.config.schema import Config
from dubkit.engines.registry import released
from dubkit.media.audio import map_samples
from dubkit.media.script import read_script
from dubkit.speech import auto
from dubkit.speech.activity import silence_unspoken
from dubkit.speech.mel_levels import mel_levels_of
from dubkit.speech.timing import SPEECH, save_sound
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import write_record

WITHOUT_SCRIPT = ("recognition", "phone-loop")  # `Speech.path` of alignments without a script


def identity(config: Config) -> str:
    """Aligner and version; for ``auto`` of all that the dub may get."""
    return auto.identity_of(config.speech)


def run(context: StageContext) -> StageReport:
    """Align the dub with its script, or recognize it."""
    settings = context.config.speech
    script = read_script(context.job.script) if context.job.script is not None else None
    samples = map_samples(context.job.audio, context.out)
    with released(auto.aligner_of(settings, context.device)) as engine:
        speech = engine.align(samples, script, settings.language)
    if (
        speech.path in WITHOUT_SCRIPT
    ):  # a script states where speech is; what was recognized without one may be music
        speech = replace(speech, phonemes=silence_unspoken(speech.phonemes, samples))
    write_record(context.out / SPEECH, speech)
    save_sound(context.out, mel_levels_of(samples))
    kinds = Counter(p.symbol == "sil" for p in speech.phonemes)
    silent = sum(p.end - p.start for p in speech.phonemes if p.symbol == "sil")
    return StageReport(
        engine=speech.engine,
        warnings=speech.warnings,
        notes=tuple(getattr(engine, "notes", ())),
        facts={
            "path": speech.path,
            "language": speech.language,
            "not_spoken": " / ".join(speech.unspoken),
            "not_in_script": ", ".join(f"{a:.1f}-{b:.1f}" for a, b in speech.unscripted),
            "seconds": round(speech.duration, 3),
            "silent_seconds": round(silent, 3),
            "words": len(speech.words),
            "phonemes": kinds[False],
        },
    )


STAGE = Stage(
    name="speech",
    per=Per.JOB,
    source=Source.DUB,
    after=(),
    run=run,
    version=3,
    sections=("speech",),
    files=("audio", "script"),
    identity=identity,
    gpu=True,
)
