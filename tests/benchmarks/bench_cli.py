"""How long ``dubkit --help`` takes: ``pytest -m benchmark tests/benchmarks/bench_cli.py -s``."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.benchmark


def test_help_takes_at_most_half_a_second() -> None:
    spent = []
    for _ in range(7):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "dubkit", "--help"], capture_output=True, check=True)
        spent.append(time.perf_counter() - begun)
    sys.stderr.write(f"\ndubkit --help: best {min(spent):.2f} s, worst {max(spent):.2f} s\n")
    assert min(spent) <= 0.5
