"""The options that commands share, with their help.

An option that was not given is None, so that presets decide; help shows the default that stands in the configuration
(`dubkit.cli.command`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dubkit.config.flags import FlagSetting
from dubkit.errors import UsageError

FILES = "Files"
SETTINGS = "Settings"
EXECUTION = "Execution"
MESSAGES = "Messages"

Movie = Annotated[
    Path,
    typer.Argument(
        metavar="MOVIE",
        help="The film to dub.",
        show_default=False,
    ),
]
Dub = Annotated[
    list[str],
    typer.Option(
        "--audio",
        "-a",
        metavar="DUB",
        help="New audio track: an audio file, or a video with sound; or a stem for each person, NAME=FILE, repeatable.",
        show_default=False,
        rich_help_panel=FILES,
    ),
]
Mix = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Sound of the film, where --audio gives stems.",
        show_default="the sum of the stems",
        rich_help_panel=FILES,
    ),
]
Script = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Text of the dub, as plain text or subtitles. Makes lip sync more accurate.",
        show_default="speech is recognized",
        rich_help_panel=FILES,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The dubbed film.",
        show_default="MOVIE.dubbed, beside MOVIE",
        rich_help_panel=FILES,
    ),
]
Work = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder for intermediate results, from which a run resumes.",
        show_default="beside the result",
        rich_help_panel=FILES,
    ),
]
Shots = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Shot list to use instead of cut detection: first frames, one per line, or a CSV of PySceneDetect.",
        show_default="cuts are detected",
        rich_help_panel=FILES,
    ),
]
Analysis = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder in which runs on the same film share its shots and faces.",
        show_default="in the work folder",
        rich_help_panel=FILES,
    ),
]
Reuse = Annotated[
    Path | None,
    typer.Option(
        metavar="WORK",
        help="The work folder of an earlier cut of MOVIE: shots whose frames and dub are still the same are taken "
        "over from it.",
        show_default="none",
        rich_help_panel=FILES,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace the result if it exists.",
        rich_help_panel=FILES,
    ),
]
Verdicts = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Verdict file of a report: rejected shots keep their picture or are rendered with another preset.",
        show_default="none",
        rich_help_panel=FILES,
    ),
]
Cast = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Cast file that names the people of the film; dubkit cast writes one.",
        show_default="none",
        rich_help_panel=FILES,
    ),
]
Consent = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Consent file: who of the cast has none for --language stays as filmed; dubkit cast writes a template.",
        show_default="consent is not checked",
        rich_help_panel=FILES,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the measurements of the gate as JUnit XML, one test case per shot and measure.",
        show_default="none",
        rich_help_panel=FILES,
    ),
]
Deliver = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="Also deliver what changed: patches. dubkit deliver does it later, with more options.",
        show_default="the film alone",
        rich_help_panel=FILES,
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Wait while another process uses the work folder.",
        rich_help_panel=EXECUTION,
    ),
]
Presets = Annotated[
    list[str] | None,
    typer.Option(
        "--preset",
        "-p",
        metavar="NAME",
        help="Name or TOML file of a preset; repeatable, later ones win.",
        show_default="none",
        rich_help_panel=SETTINGS,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VAL",
        help="Any setting, as in generate.amplitude=1.2; repeatable.",
        show_default="none",
        rich_help_panel=SETTINGS,
    ),
]
Length = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="When dub and film differ in length: keep-video (cut or pad the dub), "
        "shortest (stop at the shorter), or freeze (hold the last frame).",
        rich_help_panel=SETTINGS,
    ),
]
MusicAndEffects = Annotated[
    str | None,
    typer.Option(
        "--me",
        metavar="FILE",
        help="Music and effects to mix under the dub: an audio file, or track:N for the film's sound track N. "
        "Gain: --set stitch.me_gain_db=DB.",
        show_default="none",
        rich_help_panel=FILES,
    ),
]
DubOffset = Annotated[
    float | None,
    typer.Option(
        "--dub-offset",
        metavar="SECONDS",
        help="When the dub begins, in seconds after the film's first frame; below 0 its start is cut.",
        show_default="the start time of a broadcast wave file, else 0",
        rich_help_panel=SETTINGS,
    ),
]
AcceptOffset = Annotated[
    bool,
    typer.Option(
        "--accept-offset",
        help="Dub even if the dub does not lie on the film (else exit code 9).",
        rich_help_panel=SETTINGS,
    ),
]
FixOffset = Annotated[
    bool,
    typer.Option(
        "--fix-offset",
        help="Move and stretch a dub that does not lie on the film into its place.",
        rich_help_panel=SETTINGS,
    ),
]
KeepAudio = Annotated[
    str | None,
    typer.Option(
        "--keep-audio",
        metavar="WHICH",
        help="Sound tracks of the film that are kept after the dub: all, original (the main one), or none.",
        rich_help_panel=SETTINGS,
    ),
]
Silence = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="Mouth while nobody speaks: rest (as this person rests), closed, original (as filmed), "
        "or hold (as it was last).",
        rich_help_panel=SETTINGS,
    ),
]
Synth = Annotated[
    str | None,
    typer.Option(
        metavar="ENGINE",
        help="What draws the mouth: warp (the film's own frames) or tcsc (the image net).",
        rich_help_panel=SETTINGS,
    ),
]
Faces = Annotated[
    str | None,
    typer.Option(
        metavar="WHICH",
        help="Faces to dub: speaking (active speaker), largest, or all.",
        rich_help_panel=SETTINGS,
    ),
]
Adapt = Annotated[
    bool | None,
    typer.Option(
        "--adapt/--no-adapt",
        help="Insist on adapting to how this film's people speak, or never do (the default).",
        show_default=False,
        rich_help_panel=SETTINGS,
    ),
]
Actor = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Profile of the person in the film, made with dubkit adapt.",
        show_default="none",
        rich_help_panel=SETTINGS,
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="Language of the dub; dubkit languages lists the codes.",
        show_default="detected",
        rich_help_panel=SETTINGS,
    ),
]
TrustScript = Annotated[
    bool,
    typer.Option(
        "--trust-script",
        help="Use the script even where it does not seem to match the dub.",
        rich_help_panel=SETTINGS,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Text shown in the first seconds of the picture, as in 'Dubbed with AI'; its corner and length: "
        "generate.label_position and generate.label_seconds.",
        show_default="no label",
        rich_help_panel=SETTINGS,
    ),
]
Gate = Annotated[
    str | None,
    typer.Option(
        metavar="ACTION",
        help="When a shot fails quality control: warn, keep-original (keep its original picture), "
        "stop (make no film), or off (measure nothing).",
        rich_help_panel=SETTINGS,
    ),
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        metavar="ACTION",
        help="When a shot cannot be rendered: stop, or original (keep its original picture and exit with code 10).",
        rich_help_panel=SETTINGS,
    ),
]
License = Annotated[
    str | None,
    typer.Option(
        "--license",
        "--licence",
        metavar="KIND",
        help="Weights that may be used: any, or commercial (only those whose license allows paid work).",
        show_default="any",
        rich_help_panel=EXECUTION,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        help="Parallel workers.",
        show_default="one per core or GPU",
        rich_help_panel=EXECUTION,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Kind of workers: loky (processes), threading, or dask (a cluster).",
        rich_help_panel=EXECUTION,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler, as tcp://HOST:PORT; implies --backend dask.",
        show_default="a local cluster",
        rich_help_panel=EXECUTION,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="Device of the nets: auto (a GPU if there is one), cpu, cuda, cuda:N, or mps.",
        rich_help_panel=EXECUTION,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="STAGE",
        help="Stop after a stage: {stages}.",
        show_default="all stages run",
        rich_help_panel=EXECUTION,
    ),
]
Force = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAGE",
        help="Repeat a stage even if it is done: {stages}; repeatable.",
        show_default="none",
        rich_help_panel=EXECUTION,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be done, and stop.",
        rich_help_panel=EXECUTION,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Keep optional engines from downloading.",
        rich_help_panel=EXECUTION,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Write JSON to stdout, one object per line.",
        rich_help_panel=MESSAGES,
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        help="Show every program that is started; -vv shows everything.",
        show_default=False,
        count=True,
        rich_help_panel=MESSAGES,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Show only warnings and errors.",
        rich_help_panel=MESSAGES,
    ),
]


HIDDEN_ALIASES = ("--licence",)  # understood, but not shown


def when_off(accept: bool, fix: bool) -> list[str]:
    """``--accept-offset`` and ``--fix-offset`` as a setting. Raises UsageError for both."""
    if accept and fix:
        raise UsageError("--accept-offset and --fix-offset exclude each other", hint="give one")
    return ["conform.over=fix"] if fix else ["conform.over=accept"] if accept else []


def flags(**given: str | Path | bool | float | None) -> list[str]:
    """Flags by name -> settings as ``--set`` takes them, without those that were not given.

    A switch that can only be turned on is not given where it is False; ``adapt`` can be turned off too.
    """
    return [
        FlagSetting.of(name, _as_setting(value))
        for name, value in given.items()
        if value is not None and (value is not False or name == "adapt")
    ]


def _as_setting(value: str | Path | bool | float) -> str:
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return str(value).lower() if isinstance(value, bool) else str(value)


def workers(backend: str | None, scheduler: str | None) -> list[str]:
    """``--backend`` and ``--scheduler`` as settings; an address means Dask."""
    chosen = backend or ("dask" if scheduler else None)
    given = {"backend": chosen, "scheduler": scheduler}
    return [f"parallel.{name}={value}" for name, value in given.items() if value is not None]
