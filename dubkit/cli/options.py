"""The flags, with their help. One not given is None; nothing is compared with a default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FILES = "Files"
PICTURE = "What is done"
RUNNING = "How it runs"
TALKING = "What is said"

Movie = Annotated[Path, typer.Argument(metavar="MOVIE", help="The film.", show_default=False)]
Dub = Annotated[
    Path,
    typer.Option(
        "--audio",
        "-a",
        metavar="DUB",
        help="The new sound: any audio file, or a video with one.",
        show_default=False,
        rich_help_panel=FILES,
    ),
]
Script = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="What is said in the dub, as plain text or subtitles. Makes the lips more exact.",
        rich_help_panel=FILES,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="The result; beside the film if not given.",
        rich_help_panel=FILES,
    ),
]
Work = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Where intermediate work is kept for resuming; beside the result if not given.",
        rich_help_panel=FILES,
    ),
]
Shots = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A list of shots to take instead of looking for cuts.",
        rich_help_panel=FILES,
    ),
]
Analysis = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A folder where runs share what they found in a film: shots and faces are looked for once.",
        rich_help_panel=FILES,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace the result if it exists.", rich_help_panel=FILES),
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Where another process has the work folder, wait for it.",
        rich_help_panel=RUNNING,
    ),
]
Presets = Annotated[
    list[str] | None,
    typer.Option(
        "--preset",
        "-p",
        metavar="NAME",
        help="A preset's name or TOML file; may be repeated, later ones win.",
        rich_help_panel=PICTURE,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="A.B=C",
        help="Any setting, as in generate.amplitude=1.2; may be repeated.",
        rich_help_panel=PICTURE,
    ),
]
Length = Annotated[
    str | None,
    typer.Option(
        metavar="keep-video|shortest|freeze",
        help="Where the dub is longer or shorter than the film; the film's length is kept if not given.",
        rich_help_panel=PICTURE,
    ),
]
Silence = Annotated[
    str | None,
    typer.Option(
        metavar="rest|closed|original|hold",
        help="The mouth where nobody speaks: as the person rests, shut, as filmed, or held.",
        rich_help_panel=PICTURE,
    ),
]
Synth = Annotated[
    str | None,
    typer.Option(
        metavar="tcsc|warp",
        help="Who makes the picture: the image net, or the warp of own frames alone.",
        rich_help_panel=PICTURE,
    ),
]
Faces = Annotated[
    str | None,
    typer.Option(
        metavar="speaking|largest|all", help="Which faces are dubbed.", rich_help_panel=PICTURE
    ),
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        metavar="stop|original",
        help="A shot that fails: stop, or keep its picture and end with code 10.",
        rich_help_panel=PICTURE,
    ),
]
Gate = Annotated[
    str | None,
    typer.Option(
        metavar="off|warn|keep-original|stop",
        help="A shot whose measures are bad: keep its original picture, say so only, or make no film.",
        rich_help_panel=PICTURE,
    ),
]
Verdicts = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="What you said of single shots in a report: rejected ones keep their picture or are made anew.",
        rich_help_panel=FILES,
    ),
]
Junit = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write what the gate measured as JUnit XML, one case a shot and measure.",
        rich_help_panel=FILES,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        help="How many work at once; as many as there are cores if not given.",
        rich_help_panel=RUNNING,
    ),
]
Backend = Annotated[
    str | None,
    typer.Option(
        metavar="loky|threading|dask",
        help="Workers: processes of this machine, threads, or a Dask cluster.",
        rich_help_panel=RUNNING,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="tcp://HOST:PORT",
        help="The Dask scheduler whose workers do the work; means --backend dask.",
        rich_help_panel=RUNNING,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N|mps",
        help="Where the nets run; a GPU if there is one.",
        rich_help_panel=RUNNING,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="STAGE", help="Stop after this stage.", rich_help_panel=RUNNING),
]
Force = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAGE",
        help="Do this stage again although it is done; may be repeated.",
        rich_help_panel=RUNNING,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would be done, and stop.", rich_help_panel=RUNNING),
]
Offline = Annotated[
    bool,
    typer.Option("--offline", help="Forbid optional engines to download.", rich_help_panel=RUNNING),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="One JSON object a line on stdout.", rich_help_panel=TALKING),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        help="Show every program that is started; twice for everything.",
        show_default=False,
        rich_help_panel=TALKING,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="Only warnings and errors.", rich_help_panel=TALKING),
]

Adapt = Annotated[
    bool,
    typer.Option(
        "--adapt",
        help="Tune to the speakers of this film first; kept only if it helps.",
        rich_help_panel=PICTURE,
    ),
]
Actor = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The profile of the person in the film, from dubkit adapt.",
        rich_help_panel=PICTURE,
    ),
]

Language = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="Language of the dub, as dubkit languages lists it; told from the script if not given.",
        rich_help_panel=PICTURE,
    ),
]
TrustScript = Annotated[
    bool,
    typer.Option(
        "--trust-script",
        help="Take the script as it is, even where the dub does not seem to say it.",
        rich_help_panel=PICTURE,
    ),
]
License = Annotated[
    str | None,
    typer.Option(
        "--license",
        "--licence",
        metavar="any|commercial",
        help="commercial: refuse weights whose license does not allow paid work.",
        rich_help_panel=RUNNING,
    ),
]


PATHS = {
    "language": "speech.language",
    "trust_script": "speech.trust_script",
    "length": "stitch.length",
    "silence": "generate.silence",
    "synth": "generate.synthesizer",
    "actor": "generate.actor",
    "faces": "faces.which",
    "adapt": "adapt.enabled",
    "on_failure": "parallel.on_failure",
    "gate": "gate.action",
}


def flags(**given: str | Path | bool | None) -> list[str]:
    """Flags by name -> settings as ``--set`` takes them, without those that were not given."""
    return [
        f"{PATHS[name]}={_as_setting(value)}"
        for name, value in given.items()
        if value is not None and value is not False
    ]


def _as_setting(value: str | Path | bool) -> str:
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    return "true" if value is True else str(value)


def workers(backend: str | None, scheduler: str | None) -> list[str]:
    """``--backend`` and ``--scheduler`` as settings; an address means Dask."""
    chosen = backend or ("dask" if scheduler else None)
    given = {"backend": chosen, "scheduler": scheduler}
    return [f"parallel.{name}={value}" for name, value in given.items() if value is not None]
