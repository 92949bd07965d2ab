"""The words and phonemes of the dub with their times, its mel levels and its speech encoder rows.

Publishes ``speech.json``, ``sound.npz`` (`speech.mel_levels`) and ``encoder_rows.npy`` (`speech.encoder_rows`, 38 kB
for a second of the dub). A generator that takes no speech gets no rows, and no net is loaded for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files

from dubkit.config.schema import Config
from dubkit.engines import passthrough, registry
from dubkit.media.audio import map_samples
from dubkit.media.script import read_script
from dubkit.speech import activity, auto, mel_levels, timing
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import digest_file, write_record

WITHOUT_SCRIPT = ("recognition", "phone-loop")  # `Speech.path` of alignments without a script


def identity(config: Config) -> str:
    """Aligner and version, for ``auto`` of all that the dub may get, and the speech encoder."""
    aligner = auto.identity_of(config.speech)
    return f"{aligner}, encoder {_encoder_digest()}" if _takes_rows(config) else aligner


def _takes_rows(config: Config) -> bool:
    return config.generate.synthesizer != passthrough.PassthroughSynthesizer.name


@cache
def _encoder_digest() -> str:
    with as_file(files("dubkit") / "weights" / "speech_encoder.safetensors") as path:
        return digest_file(path)[:16]


def run(context: StageContext) -> StageReport:
    """Align the dub with its script, or recognize it."""
    settings = context.config.speech
    warnings: list[str] = []
    script = None
    if context.job.script is not None:
        script = read_script(context.job.script, settings.language, warnings.append)
    samples = map_samples(context.job.audio, context.out)
    with registry.released(auto.aligner_of(settings, context.device)) as engine:
        speech = engine.align(samples, script, settings.language)
    # a script states where speech is; what was recognized without one may be music
    if not speech.scripted:
        nothing = activity.unspoken(samples)
        speech = replace(speech, noise=activity.spans_of(nothing))
        if speech.path in WITHOUT_SCRIPT:
            speech = replace(speech, phonemes=activity.silence_unspoken(speech.phonemes, nothing))
    write_record(context.out / timing.SPEECH, speech)
    timing.save_sound(context.out, mel_levels.mel_levels_of(samples))
    if _takes_rows(context.config):
        encoder = registry.load_module("dubkit.speech.encoder_rows", what="encoding speech")
        encoder.write_rows(context.out / timing.ROWS, samples)
    kinds = Counter(p.symbol == "sil" for p in speech.phonemes)
    silent = sum(p.end - p.start for p in speech.phonemes if p.symbol == "sil")
    return StageReport(
        engine=speech.engine,
        warnings=(*warnings, *speech.warnings),
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
    version=5,
    sections=("speech",),
    files=("audio", "script"),
    identity=identity,
    gpu=True,
)
