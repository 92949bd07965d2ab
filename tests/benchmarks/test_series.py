"""Long series of trials can be cut anywhere and gone on with: the fuzz run and the torture."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from random import Random

import pytest

from dubkit.errors import InputError
from tests.benchmarks import fuzz, torture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks are for Linux")


def strict(path: Path) -> None:
    content = path.read_bytes()
    if b"[" in content:
        raise KeyError("a bug")
    if b"{" in content:
        os.kill(os.getpid(), signal.SIGSEGV)
    raise InputError("it is not what it should be")


def test_the_fuzz_run_keeps_what_breaks_a_reader_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "ROUND", 0.3)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    target = fuzz.Target(strict, [(".txt", b"good text of a stranger")])
    before = signal.getsignal(signal.SIGPROF)
    assert fuzz._run({"strict": target}, tmp_path / "out", scratch, 0.2, 1) == 1
    first = json.loads((tmp_path / "out" / "state.json").read_text())["strict"]
    assert first["files"] > 0
    assert {kind.rpartition("\n")[2] for kind in first["faults"]} <= {
        "KeyError: 'a bug'",
        "died of signal 11",
    }
    assert any((tmp_path / "out" / "faults" / "strict").iterdir())
    fuzz._run({"strict": target}, tmp_path / "out", scratch, 0.2, 1)
    second = json.loads((tmp_path / "out" / "state.json").read_text())["strict"]
    assert second["files"] > first["files"]
    assert signal.getsignal(signal.SIGPROF) == before


def test_damage_is_the_same_for_the_same_seed() -> None:
    good = b'{"kind": "x", "values": [1, 2]}'
    made = [fuzz.damaged(good, [good], Random(seed)) for seed in range(50)]
    assert made == [fuzz.damaged(good, [good], Random(seed)) for seed in range(50)]
    assert len(set(made)) > 30


def test_a_series_of_torture_goes_on_behind_its_last_whole_line(tmp_path: Path) -> None:
    lines = [json.dumps({"number": n, "faults": []}) for n in range(3)]
    (tmp_path / "kills.jsonl").write_text("\n".join(lines) + '\n{"number": 3, "fau')
    args = argparse.Namespace(folder=tmp_path, seed=1, real=False)
    assert torture.Bench("kills", args).numbers(0, 5) == range(3, 5)
    assert not torture._summary(tmp_path, "kills")
    torture._write(tmp_path, "kills", {"number": 3, "faults": ["a traceback"]})
    assert torture._summary(tmp_path, "kills")
