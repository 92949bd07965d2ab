"""What the dub says and when: words and phonemes with times, and how it sounds.

Publishes ``speech.json`` and ``sound.npz`` (`speech.mel_levels`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dubkit.config.schema import Config
from dubkit.engines.base import Aligner
from dubkit.engines.registry import AUTO, released
from dubkit.engines.versions import identity as engine_identity
from dubkit.media.audio import map_samples
from dubkit.media.script import read_script
from dubkit.records import Speech
from dubkit.speech import auto
from dubkit.speech.activity import silence_unspoken
from dubkit.speech.mel_levels import listen
from dubkit.speech.timing import save_sound
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import read_record, write_record

SPEECH = "speech.json"
UNTOLD = ("recognition", "phone-loop")  # `Speech.path` of alignments that were not told the words


def load_speech(folder: Path) -> Speech:
    """What this stage published. Raises WorkError where it cannot be read."""
    path = folder / SPEECH
    facts = path.stat() if path.is_file() else None
    return _loaded(path, (facts.st_ino, facts.st_size, facts.st_mtime_ns) if facts else None)


@lru_cache(maxsize=1)
def _loaded(path: Path, _state: tuple[int, int, int] | None) -> Speech:
    """A film's speech is long, and each of its shots wants a little of it."""
    return read_record(path, Speech)


def aligner(config: Config, device: str) -> Aligner:
    """The aligner that a configuration names, or for ``auto`` the one that takes the best by language."""
    return auto.aligner_of(config.speech, device)


def identity(config: Config) -> str:
    """Aligner and version; for ``auto`` of all that the dub may get."""
    if config.speech.aligner == AUTO:
        return auto.AlignerByLanguage(config.speech).version
    return engine_identity("aligner", config.speech.aligner, config.speech)


def run(context: StageContext) -> StageReport:
    """Align the dub with its script, or find out what it says."""
    settings = context.config.speech
    script = read_script(context.job.script) if context.job.script is not None else None
    samples = map_samples(context.job.audio, context.out)
    with released(aligner(context.config, context.device)) as engine:
        speech = engine.align(samples, script, settings.language)
    if speech.path in UNTOLD:  # a script says where speech is; what was only heard may be music
        speech = replace(speech, phonemes=silence_unspoken(speech.phonemes, samples))
    write_record(context.out / SPEECH, speech)
    save_sound(context.out, listen(samples))
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
