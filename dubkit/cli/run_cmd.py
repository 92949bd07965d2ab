"""``dubkit run``: dub one film."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dubkit.cli import console, events, lazy, options, options as o, progress_bar, run_summary
from dubkit.errors import EXIT_OK, EXIT_PARTIAL, STOPPED, DubkitError
from dubkit.progress import Progress, in_words

if TYPE_CHECKING:
    from dubkit.config.schema import Config
    from dubkit.pipeline.result import RunResult

_NO_DOWNLOADS = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}


def run(
    movie: o.Movie,
    audio: o.Dub,
    mix: o.Mix = None,
    script: o.Script = None,
    out: o.Out = None,
    work: o.Work = None,
    language: o.Language = None,
    trust_script: o.TrustScript = False,
    shots: o.Shots = None,
    analysis: o.Analysis = None,
    reuse: o.Reuse = None,
    overwrite: o.Overwrite = False,
    wait: o.Wait = False,
    preset: o.Presets = None,
    setting: o.Settings = None,
    length: o.Length = None,
    me: o.MusicAndEffects = None,
    keep_audio: o.KeepAudio = None,
    dub_offset: o.DubOffset = None,
    accept_offset: o.AcceptOffset = False,
    fix_offset: o.FixOffset = False,
    silence: o.Silence = None,
    synth: o.Synth = None,
    faces: o.Faces = None,
    adapt: o.Adapt = None,
    actor: o.Actor = None,
    label: o.Label = None,
    gate: o.Gate = None,
    verdicts: o.Verdicts = None,
    cast: o.Cast = None,
    consent: o.Consent = None,
    junit: o.Junit = None,
    deliver: o.Deliver = None,
    on_failure: o.OnFailure = None,
    jobs: o.Jobs = None,
    backend: o.Backend = None,
    scheduler: o.Scheduler = None,
    device: o.Device = None,
    until: o.Until = None,
    force: o.Force = None,
    license: o.License = None,
    dry_run: o.DryRun = False,
    offline: o.Offline = False,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Dub MOVIE: make its faces speak the audio track DUB.

    An interrupted run resumes when the same command is given again.

    \b
    Examples:
      dubkit run movie.mp4 --audio dub.wav
      dubkit run movie.mp4 --audio dub.wav --script dub.srt --preset broadcast
      dubkit run movie.mp4 --audio dub.wav --length freeze --faces all --dry-run
      dubkit run movie.mp4 --audio dub.wav --gate stop --junit gate.xml
      dubkit run movie.mp4 --audio dub.wav --verdicts verdicts.json --overwrite
      dubkit run movie.mov --audio dialogue.wav --me track:3
      dubkit run movie.mp4 --audio dub.wav --fix-offset
      dubkit run movie.mp4 --audio dub.wav --adapt --cast movie.cast.toml
      dubkit run movie.mp4 -a anna=a.wav -a boris=b.wav --cast movie.cast.toml
      dubkit run movie.mp4 --audio dub.wav --actor anna.safetensors
      dubkit run movie.mp4 --audio dub.wav --language de --consent consent.toml
      dubkit run new-cut.mov --audio new-dub.wav --reuse movie.dubbed.dubkit
    """
    console.set_verbosity(verbose, quiet)
    forbid_downloads(offline)
    flags = options.flags(
        language=language,
        trust_script=trust_script,
        length=length,
        keep_audio=keep_audio,
        dub_offset=dub_offset,
        silence=silence,
        synth=synth,
        faces=faces,
        adapt=adapt,
        actor=actor,
        on_failure=on_failure,
        label=label,
        gate=gate,
    )

    def work_on(progress: Progress) -> RunResult:
        under, chosen = lazy.api.music_and_effects(me)
        chosen += options.when_off(accept_offset, fix_offset)
        given = [*(setting or ()), *flags, *chosen, *options.workers(backend, scheduler)]
        config = settings_for(movie, preset, given, device, jobs, progress)
        job = lazy.api.make_job(
            *(movie, audio, config),
            mix=mix,
            script=script,
            out=out,
            work=work,
            shots=shots,
            analysis=analysis,
            reuse=None if reuse is None else lazy.inspect.find_work(reuse),
            verdicts=verdicts,
            cast=cast,
            consent=consent,
            me=under,
        )
        request = lazy.api.RunRequest(
            *(job, config),
            until=until,
            force=tuple(force or ()),
            license=license or "any",
            junit=junit,
            dry_run=dry_run,
            overwrite=overwrite,
            wait=wait,
        )
        result: RunResult
        if deliver is None:
            result = lazy.api.run_job(request, progress=progress)
        else:
            result = lazy.api.run_and_deliver(request, deliver, progress=progress)
        return result

    run_and_show(work_on, as_json=json, quiet=quiet, until=until)


def settings_for(
    movie: Path,
    presets: list[str] | None,
    settings: list[str],
    device: str | None,
    jobs: int | None,
    progress: Progress,
) -> Config:
    """The settings of a command about a film; those sources are named that the command line does not show."""
    flags = {"parallel.device": device, "parallel.jobs": jobs}
    found: Config = lazy.presets.load_config(presets or (), settings, flags, folder=movie.parent)
    for layer in lazy.presets.surroundings(movie.parent):
        if layer.values:
            progress.note(f"settings of {layer.origin}")
    return found


def forbid_downloads(offline: bool) -> None:
    """Keep optional engines from downloading, by environment variables that workers inherit."""
    if offline:
        os.environ.update(_NO_DOWNLOADS)


Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder for the film, the dub, and the result.")
]


def demo(
    folder: Folder = Path("dubkit-demo"),
    jobs: o.Jobs = None,
    device: o.Device = None,
    json: o.Json = False,
    verbose: o.Verbose = 0,
    quiet: o.Quiet = False,
) -> None:
    """Dub a film of ten seconds into German: two people, and a picture without a face.

    Film, dub and script are written into DIR; beside them come the dubbed film, both films side by side, and the page
    on which to review every shot. Run again, it does only what is missing.

    \b
    Examples:
      dubkit demo
    """
    console.set_verbosity(verbose, quiet)
    files = lazy.demo.copy_demo(folder)

    def work_on(progress: Progress) -> RunResult:
        spoken = files.script if lazy.espeak.available() else None
        if spoken is None:
            progress.note(
                "without espeak-ng the lips follow the sound alone: pip install 'dubkit[languages]' adds it"
            )
        result: RunResult = lazy.api.run(
            files.film,
            files.dub,
            script=spoken,
            out=files.dubbed,
            overwrite=True,
            settings=[f"speech.language={lazy.demo.LANGUAGE}"],
            device=device,
            jobs=jobs,
            progress=progress,
        )
        return result

    run_and_show(work_on, as_json=json, quiet=quiet)
    with progress_bar.reporting(as_json=False, quiet=True) as reporter:
        lazy.demo.write_side_by_side(files)
        page = lazy.api.report(files.dubbed, progress=reporter, jobs=jobs)
    if not json and not quiet:
        console.write_line(f"side by side: {files.side_by_side}")
        console.write_line(f"every shot:   {page.path}")


def run_and_show(
    work: Callable[[Progress], RunResult], *, as_json: bool, quiet: bool, until: str | None = None
) -> None:
    """Call ``work``, show its result, and exit with its code."""
    with reporting_result(as_json=as_json, quiet=quiet) as reporter:
        names: tuple[str, ...] = lazy.schema.STAGE_NAMES
        reporter.expect(names[: names.index(until) + 1] if until in names else names)
        result = work(reporter)
        reporter.name_shots(result.names)
        for warning in _undubbed(result) if as_json or quiet else ():  # else in the summary
            reporter.warn(warning)
        for event in _gated(result):
            reporter.emit(event)
        reporter.finish(_ended(result))
    if quiet and not as_json and result.output and not result.plan:
        console.write_line(str(result.output))
    elif not as_json:
        _show(result)
    if result.exit_code != EXIT_OK:
        raise typer.Exit(result.exit_code)


_NAMED = 20  # shots without a speaker that the end of a run names


def _undubbed(result: RunResult) -> Iterator[str]:
    """What the user must know of faces that were not dubbed."""
    silent = result.facts.get("faces.nobody")
    if isinstance(silent, int) and silent:
        shots = "1 shot" if silent == 1 else f"{silent} shots"
        yield (
            f"in {shots} faces were seen and none of them clearly speaks: they stay as filmed; "
            "--faces largest dubs the largest all the same"
        )
    if result.facts.get("faces.dubbed") == 0:
        yield "no face in this film was dubbed: only its sound is new"
        return
    yield from result.unseen[:_NAMED]
    if len(result.unseen) > _NAMED:
        yield f"{len(result.unseen) - _NAMED} more shots have speech and no dubbed face: see dubkit report"


@contextmanager
def reporting_result(*, as_json: bool, quiet: bool) -> Iterator[progress_bar.Reporter]:
    """Yield the reporter of a command that ends with a ``result`` event.

    A deliberate error or an interruption is reported as such an event and raised again.
    """
    with progress_bar.reporting(as_json=as_json, quiet=quiet) as reporter:
        try:
            yield reporter
        except (DubkitError, KeyboardInterrupt) as error:
            failure = error if isinstance(error, DubkitError) else STOPPED
            reporter.finish(_failed(failure))
            failure.message = in_words(failure.message, reporter.names)
            raise failure from None


def _failed(error: DubkitError) -> events.Result:
    status: events.Status = "interrupted" if error.exit_code == STOPPED.exit_code else "failed"
    failure = events.Failure(type(error).__name__, error.message, error.hint)
    return events.Result(status, error.exit_code, error=failure)


def _gated(result: RunResult) -> Iterator[events.Gated]:
    for gate in result.gates:
        name = result.names.get(gate.shot)
        for face in gate.faces:
            for check in face.checks:
                yield events.Gated(
                    shot=gate.shot,
                    face=face.track,
                    verdict=cast(events.Decision | None, gate.verdict),
                    kept=gate.kept,
                    number=name.number if name else None,
                    timecode=name.timecode if name else None,
                    **asdict(check),
                )


def _ended(result: RunResult) -> events.Result:
    status: events.Status = "partial" if result.exit_code == EXIT_PARTIAL else "done"
    output = str(result.output) if result.output else None
    if result.plan:
        facts: dict[str, object] = {"plan": [asdict(line) for line in result.plan]}
        return events.Result("planned", result.exit_code, output=output, facts=facts)
    facts = {
        "frames": result.frames,
        "seconds": round(result.seconds, 3),
        "units_done": result.done,
        "units_kept": len(result.results) - result.done,
        "warnings": list(result.warnings),
        "shots_with_original_picture": list(result.kept),
        "shots_without_speaker": list(result.unseen),
        "stages": dict(result.facts),
        "consent": result.consent,
        "shots": [
            {"shot": shot.shot, **asdict(shot.name), "end": shot.end, "why": shot.why}
            for shot in result.shots
        ],
        "people": dict(result.people),
    }
    return events.Result(status, result.exit_code, output=output, facts=facts)


def _show(result: RunResult) -> None:
    if result.plan:
        rows = [(line.stage, line.unit, _todo(line.current), line.reason) for line in result.plan]
        console.stdout_console().print(console.table(("stage", "unit", "", "why"), rows))
        todo = sum(not line.current for line in result.plan)
        console.write_line(f"{todo} of {len(result.plan)} units to do")
        return
    *said, where = run_summary.summary(result)
    for line in said:
        console.write_words(line)
    console.write_line(where)


def _todo(current: bool) -> str:
    return "done" if current else "to do"
