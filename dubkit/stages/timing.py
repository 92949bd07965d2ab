"""Lay the dub's phonemes on the frames of one shot. Publishes the files of `dubkit.speech.timing`."""

from __future__ import annotations

from pathlib import Path

from dubkit.errors import WorkError
from dubkit.records import SILENCE, Timing
from dubkit.speech import timing as of_dub
from dubkit.stages import base, conform, probe


def run(context: base.StageContext) -> base.StageReport:
    """Cut the speech to one shot."""
    shot, settings = context.shot, context.config.timing
    if shot is None:
        raise WorkError("the timing stage works on one shot at a time")
    info, pts = probe.load_film(context.folder("probe"))
    seconds = (pts[shot.start : shot.end] - pts[0]) * float(info.time_base)
    # lips that shall be later show an earlier moment of the dub
    placement = conform.load_conform(context.folder("conform")).placement
    times = (seconds - placement.start) / placement.stretch - settings.offset_ms / 1000

    def cut(folder: Path) -> Timing:
        speech = of_dub.load_speech(folder)
        unseen = of_dub.off_screen(speech.lines)  # who is not in the picture moves no lips
        return of_dub.cut_timing(
            of_dub.without(speech.phonemes, unseen) if unseen else speech.phonemes,
            shot,
            times,
            settings.context_seconds,
            of_dub.load_sound(folder),
            of_dub.load_rows(folder),
            scripted=speech.scripted,
            noise=tuple(sorted((*speech.noise, *unseen))),
            speakers=of_dub.speakers(speech.lines),
        )

    timing = cut(context.folder("speech"))
    of_dub.save_timing(context.out, timing)
    for name, folder in of_dub.stem_folders(context.folder("speech")).items():
        (context.out / of_dub.STEMS / name).mkdir(parents=True)
        of_dub.save_timing(context.out / of_dub.STEMS / name, cut(folder))
    spoken = sum(run.end - run.start for run in timing.runs if run.symbol != SILENCE)
    return base.StageReport(facts={"runs": len(timing.runs), "spoken_frames": spoken})


STAGE = base.Stage(
    name="timing",
    per=base.Per.SHOT,
    source=base.Source.DUB,
    after=("probe", "conform", "speech"),
    run=run,
    version=5,
    sections=("timing",),
)
