"""What a work folder holds, seen from outside: finished units, scratch, strangers."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.torture.films import Inputs
from tests.torture.processes import Trial, run, start

OWN = {"run.log", "manifest.json", "config.json", "lock", "attend.lock", "scratch"}
Units = Mapping[str, tuple[int, int]]  # "stage/unit" -> what changes where it is done again


@dataclass(frozen=True, slots=True)
class Case:
    """One film to dub again and again, and how it comes out when nothing happens."""

    inputs: Inputs
    film: bytes
    units: int
    seconds: Mapping[str, float]  # from a stage's plan to that of the next
    flags: tuple[str, ...] = ()
    work: Path | None = None  # the work folder when all was done
    code: int = 0  # 10 where the gate kept a shot's own picture

    @property
    def stages(self) -> list[str]:
        return list(self.seconds)

    def words(self, folder: Path, *more: str, jobs: int = 1) -> list[str]:
        """The command: its result and its work folder lie in ``folder``."""
        files = [str(self.inputs.film), "--audio", str(self.inputs.dub)]
        files += ["--script", str(self.inputs.script)]
        places = ["--out", str(folder / "film.mp4"), "--work", str(folder / "work")]
        return ["run", *files, *places, "--jobs", str(jobs), "--json", *self.flags, *more]

    def lay(self, folder: Path, stage: str) -> None:
        """Put into ``folder`` what lies there when all stages before ``stage`` are done."""
        if self.work is None or stage not in self.stages[1:]:
            return
        shutil.copytree(self.work, folder / "work")
        for later in self.stages[self.stages.index(stage) :]:
            for units in (folder / "work").glob(f"*-*/{later}"):
                shutil.rmtree(units)

    def start(self, folder: Path, *more: str) -> Trial:
        """Start it with two workers."""
        return start(self.words(folder, *more, jobs=2), folder / "log")

    def run(self, folder: Path, *more: str, seconds: float = 900.0) -> Trial:
        """Run it to its end in one process, without workers: the result is to be the same."""
        return run(self.words(folder, *more), folder / "log", seconds)


def undisturbed(inputs: Inputs, folder: Path, flags: tuple[str, ...] = ()) -> Case:
    """Run once without trouble, and keep how it went."""
    case = Case(inputs, b"", 0, {}, flags)
    trial = case.run(folder)
    code = trial.process.returncode
    assert code in (0, 10), trial.err()
    events = trial.events()
    plans = [(e["stage"], e["time"]) for e in events if e["event"] == "plan"]
    moments = [*(time for _, time in plans), events[-1]["time"]]
    # stages that are planned together are worked on together, until the next group's plan
    seconds = {stage: next(t for t in moments if t > at + 0.02) - at for stage, at in plans}
    film = (folder / "film.mp4").read_bytes()
    done = events[-1]["facts"]["units_done"]
    return Case(inputs, film, done, seconds, flags, folder / "work", code)


def finished(work: Path) -> dict[str, tuple[int, int]]:
    """The published units, told by their receipts' inode and time."""
    found = {}
    for receipt in work.glob("*-*/*/*/receipt.json"):
        facts = receipt.stat()
        found["/".join(receipt.parts[-3:-1])] = (facts.st_ino, facts.st_mtime_ns)
    return found


def redone(before: Units, after: Units) -> set[str]:
    """Units that were finished before and are not the same ones now."""
    return {name for name, mark in before.items() if after.get(name) != mark}


def strangers(folder: Path) -> list[str]:
    """What lies in the folder, or in its work folder, and should not."""
    odd = [p.name for p in folder.iterdir() if p.name not in ("film.mp4", "work", "log")]
    work = folder / "work"
    if work.is_dir():
        odd += [p.name for p in work.iterdir() if not _is_own(p.name)]
        odd += [f"scratch/{p.name}" for p in work.glob("scratch/*")]
        unfinished = [p for p in work.glob("*-*/*/*") if not (p / "receipt.json").is_file()]
        odd += [str(p.relative_to(work)) for p in unfinished]
    return odd


def _is_own(name: str) -> bool:
    return name in OWN or name.startswith(("video-", "dub-"))


def faults(case: Case, folder: Path, before: Units, trial: Trial) -> list[str]:
    """What is wrong after a run that was to go on; empty where all is well."""
    found: list[str] = []
    code = trial.process.returncode
    if code != case.code:
        return [f"the resumed run ended with {code}: {trial.err()[-400:]}"]
    again = redone(before, finished(folder / "work"))
    found += [f"finished {unit} was done again" for unit in sorted(again)]
    done = trial.events()[-1]["facts"]["units_done"]
    if done != case.units - len(before):
        found.append(f"{done} units were done, {len(before)} of {case.units} were finished")
    if (folder / "film.mp4").read_bytes() != case.film:
        found.append("the film is another one")
    found += [f"left behind: {name}" for name in strangers(folder)]
    return found + _noise(trial.err())


def _noise(text: str) -> list[str]:
    return ["a traceback was shown"] if "Traceback" in text else []


def without(units: Units, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    return {name: mark for name, mark in units.items() if name not in set(names)}
