"""``dubkit run``: dub one film."""

from __future__ import annotations

import os

from dubkit.cli import as_settings, lazy
from dubkit.cli import options as o
from dubkit.cli.console import set_verbosity
from dubkit.cli.perform import perform

_NO_DOWNLOADS = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def run(
    movie: o.Movie,
    audio: o.Dub,
    script: o.Script = None,
    out: o.Out = None,
    work: o.Work = None,
    language: o.Language = None,
    trust_script: o.TrustScript = False,
    shots: o.Shots = None,
    analysis: o.Analysis = None,
    overwrite: o.Overwrite = False,
    wait: o.Wait = False,
    preset: o.Presets = None,
    setting: o.Settings = None,
    length: o.Length = None,
    silence: o.Silence = None,
    synth: o.Synth = None,
    faces: o.Faces = None,
    adapt: o.Adapt = False,
    actor: o.Actor = None,
    gate: o.Gate = None,
    verdicts: o.Verdicts = None,
    junit: o.Junit = None,
    on_failure: o.OnFailure = None,
    jobs: o.Jobs = None,
    backend: o.Backend = None,
    scheduler: o.Scheduler = None,
    device: o.Device = None,
    until: o.Until = None,
    force: o.Force = None,
    licence: o.Licence = None,
    dry_run: o.DryRun = False,
    offline: o.Offline = False,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Dub MOVIE: its faces speak the words of DUB.

    After an interruption, the same command goes on where it stopped.

    \b
    Examples:
      dubkit run movie.mp4 --audio dub.wav
      dubkit run movie.mp4 --audio dub.wav --script dub.srt --preset broadcast
      dubkit run movie.mp4 --audio dub.wav --length freeze --faces all --dry-run
      dubkit run movie.mp4 --audio dub.wav --gate stop --junit gate.xml
      dubkit run movie.mp4 --audio dub.wav --verdicts verdicts.json
      dubkit run movie.mp4 --audio dub.wav --adapt
      dubkit run movie.mp4 --audio dub.wav --actor anna.safetensors
    """
    set_verbosity(verbose, quiet)
    forbid_downloads(offline)
    flags = as_settings.flags(
        language=language,
        trust_script=trust_script,
        length=length,
        silence=silence,
        synth=synth,
        faces=faces,
        adapt=adapt,
        actor=actor,
        on_failure=on_failure,
        gate=gate,
    )
    perform(
        lambda progress: lazy.api.run(
            movie,
            audio,
            script=script,
            out=out,
            work=work,
            shots=shots,
            analysis=analysis,
            verdicts=verdicts,
            junit=junit,
            presets=preset or (),
            settings=[*(setting or ()), *flags, *as_settings.workers(backend, scheduler)],
            until=until,
            force=force or (),
            licence=licence or "any",
            dry_run=dry_run,
            overwrite=overwrite,
            wait=wait,
            device=device,
            jobs=jobs,
            progress=progress,
        ),
        as_json=json,
        quiet=quiet,
    )


def forbid_downloads(offline: bool) -> None:
    """Optional engines look here before they reach for the network; workers inherit it."""
    if offline:
        os.environ.update(_NO_DOWNLOADS)
