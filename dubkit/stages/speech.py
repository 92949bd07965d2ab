"""The words and phonemes of the dub with their times, its mel levels and its speech encoder rows.

Without a script the lips follow the encoder's rows and no words. Words are then recognized only where a setting asks
for it, an aligner is named, or the generator takes no rows; else all that is stated is where somebody speaks.

Publishes ``speech.json``, ``sound.npz`` (`speech.mel_levels`) and ``encoder_rows.npy`` (`speech.encoder_rows`, 38 kB
for a second of the dub). A generator that takes no speech gets no rows, and no net is loaded for it. The same of every
stem lies in ``stems/NAME``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np

from dubkit.config.schema import Config, SpeechSettings
from dubkit.engines import passthrough, registry
from dubkit.media.audio import SPEECH_RATE, has_center, map_samples
from dubkit.media.script import read_script, within
from dubkit.records import GRID_STEP, SILENCE, SOMETHING, Floats, Mask, Phoneme, ScriptLine, Speech
from dubkit.speech import activity, auto, g2p, mel_levels, timing
from dubkit.stages.base import Per, Source, Stage, StageContext, StageReport
from dubkit.work.store import digest_file, write_record


def _publish(folder: Path, config: Config, speech: Speech, samples: Floats) -> None:
    write_record(folder / timing.SPEECH, speech)
    timing.save_sound(folder, mel_levels.mel_levels_of(samples))
    if _takes_rows(config):
        encoder = registry.load_module("dubkit.speech.encoder_rows", what="encoding speech")
        encoder.write_rows(folder / timing.ROWS, samples)


def _samples(context: StageContext) -> tuple[Floats, tuple[str, ...]]:
    """The dub's sound with its speech: the center channel where it has one that is not silent, else all channels."""
    path = context.job.audio
    if has_center(path):
        center = map_samples(path, context.out, center=True)
        if activity.speech_level(activity.levels(center)) >= activity.SILENT:
            return center, ("speech is taken from the dub's center channel",)
        silent = "the dub's center channel is silent: speech is taken from all its channels"
        return map_samples(path, context.out), (silent,)
    return map_samples(path, context.out), ()


def _stems(context: StageContext, mix: Speech) -> Iterator[str]:
    """Publish the speech of each stem; yields what is to be said of it.

    Where somebody speaks comes from the stem. The phonemes of a script are those of the mix, for as long.
    """
    for stem in context.job.stems:
        folder = context.out / timing.STEMS / stem.name
        folder.mkdir(parents=True)
        samples = map_samples(stem.path, folder)
        nothing = activity.unspoken(samples)
        speech = replace(
            _by_sound(samples, nothing, mix.language), noise=activity.spans_of(nothing)
        )
        if speech.path == "silence":
            yield f"the stem {stem.name} is silent: this person's lips rest"
        if mix.scripted:
            spans = [(p.start, p.end) for p in speech.phonemes if p.symbol != SILENCE]
            own = timing.within([(p.symbol, p.start, p.end) for p in mix.phonemes], spans)
            phonemes = tuple(Phoneme(*phoneme) for phoneme in own)
            speech = replace(mix, phonemes=phonemes, words=(), warnings=())
        _publish(folder, context.config, speech, samples)


def check_language(lines: Sequence[ScriptLine], settings: SpeechSettings) -> None:
    """Raise what aligning a script would, hours later, where its language is unknown or cannot be pronounced here.

    Engines that bring a pronunciation of their own are left to themselves.
    """
    engine, _ = registry.choose("aligner", settings.aligner, settings, scripted=True)
    if engine == "pocketsphinx":
        main, _ = g2p.languages_of(lines, settings.language)
        if main.split("-")[0] != g2p.ENGLISH:
            g2p.known(main)


WITHOUT_SCRIPT = ("recognition", "phone-loop")  # `Speech.path` of speech without a script
OWN_GENERATORS = ("warp", "tcsc", "passthrough")  # that take no words where there is no script


def identity(config: Config) -> str:
    """Aligner and version, for ``auto`` of all that the dub may get, and the speech encoder."""
    aligner = auto.identity_of(config.speech)
    return f"{aligner}, encoder {_encoder_digest()}" if _takes_rows(config) else aligner


def _takes_rows(config: Config) -> bool:
    return config.generate.synthesizer != passthrough.PassthroughSynthesizer.name


def _recognizes(config: Config) -> bool:
    """Whether the words of a dub without a script are recognized."""
    named = config.speech.aligner != registry.AUTO
    return config.speech.recognize or named or config.generate.synthesizer not in OWN_GENERATORS


def _by_sound(samples: Floats, nothing: Mask, language: str | None) -> Speech:
    """Where somebody speaks, without a word: one phoneme `records.SOMETHING` a stretch between two pauses.

    ``nothing`` are the cells of `activity.unspoken`.
    """
    track = activity.Track.of(samples)
    numbers = np.arange(max(len(nothing), int(np.ceil(track.duration / GRID_STEP))))
    middle = (numbers + 0.5) * GRID_STEP
    spoken = np.zeros(len(numbers), np.bool_)
    for start, end in track.spans:
        spoken |= (middle >= start) & (middle < end)
    spoken[: len(nothing)] &= ~nothing
    phonemes, at = [], 0.0
    for start, end in activity.spans_of(spoken):
        phonemes += [Phoneme(SILENCE, at, start)] if start > at else []
        at = min(end, track.duration)
        phonemes.append(Phoneme(SOMETHING, start, at))
    phonemes += [Phoneme(SILENCE, at, track.duration)] if at < track.duration else []
    path, warning = (
        "sound",
        "no script: lips follow the sound alone; --script makes closures certain",
    )
    if not track.spans:
        path, warning = "silence", "the dub is silent: mouths will rest"
    return Speech(language or "und", track.duration, (), tuple(phonemes), "sound", path, (warning,))


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
    samples, notes = _samples(context)
    if script is not None:
        script = within(script, len(samples) / SPEECH_RATE, warnings.append)
    # a script states where speech is; what was found without one may be music
    nothing = None if script is not None else activity.unspoken(samples)
    if nothing is not None and not _recognizes(context.config):
        speech = _by_sound(samples, nothing, settings.language)
    else:
        with registry.released(auto.aligner_of(settings, context.device)) as engine:
            speech = engine.align(samples, script, settings.language)
            notes = (*notes, *getattr(engine, "notes", ()))
    if not speech.scripted:
        nothing = activity.unspoken(samples) if nothing is None else nothing
        speech = replace(speech, noise=activity.spans_of(nothing))
        if speech.path in WITHOUT_SCRIPT:
            speech = replace(speech, phonemes=activity.silence_unspoken(speech.phonemes, nothing))
    _publish(context.out, context.config, speech, samples)
    notes = (*notes, *_stems(context, speech))
    kinds = Counter(p.symbol == "sil" for p in speech.phonemes)
    silent = sum(p.end - p.start for p in speech.phonemes if p.symbol == "sil")
    return StageReport(
        engine=speech.engine,
        warnings=(*warnings, *speech.warnings),
        notes=notes,
        facts={
            "path": speech.path,
            "language": speech.language,
            "not_spoken": " / ".join(speech.unspoken),
            "lines_not_heard": ", ".join(
                str(line.number) for line in speech.lines if not line.heard
            ),
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
    version=7,
    sections=("speech",),
    files=("audio", "script", "stems"),
    identity=identity,
    gpu=True,
)
