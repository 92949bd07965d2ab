"""A dub from Python, cell by cell: open it as a notebook (Jupytext, VS Code), or run it: python docs/example.py.

It uses the demo's film, so nothing has to be at hand.
"""

# %% A film, its dub and the dub's script
import sys
import tempfile
from pathlib import Path

import dubkit
from dubkit.demo import copy_demo
from dubkit.progress import NoProgress

given = sys.argv[1:2]
files = copy_demo(Path(given[0] if given else tempfile.mkdtemp()))


# %% What a run reports while it works: here one line for each stage, and every warning
class Lines(NoProgress):
    """Shows the stages as they begin."""

    def plan(self, stage: str, units: int, current: int, frames: int) -> None:
        print(f"{stage}: {units - current} of {units} to do")

    def warn(self, message: str) -> None:
        print(f"warning: {message}")


# %% Dub it; flags of the command line are keywords, settings a table
if __name__ == "__main__":  # workers are processes that import this file
    result = dubkit.run(
        files.film,
        files.dub,
        script=files.script,
        presets=["preview"],
        settings={"generate": {"amplitude": 1.1}},
        language="de",
        jobs=2,
        progress=Lines(),
    )
    print(result)  # in a notebook, `result` alone is a table

    # %% Who was dubbed, and what became of each shot
    for shot in result.shots:
        print(shot.name, shot.end, shot.why)

    # %% A page on which to review it
    page = dubkit.report(files.dubbed, videos="none")
    print(page)

    # %% Measured, with what the work folder knows
    measured = dubkit.evaluate(files.dubbed)
    print(measured)

    # %% A mistake is an exception with the way out
    try:
        dubkit.run(files.film, "no.wav")
    except dubkit.DubkitError as error:
        print(error.message, error.hint, error.exit_code, sep="\n")
