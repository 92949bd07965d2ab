"""How long ``dubkit --help`` and a worker's imports take: ``pytest -m benchmark tests/benchmarks/bench_cli.py -s``.

Processor time, of which a busy machine changes less than of the clock's.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys

import pytest

pytestmark = pytest.mark.benchmark

WORKER = "import dubkit.pipeline.worker, dubkit.stages.{}"


def seconds(*command: str) -> float:
    """Processor seconds of a Python process, the median of seven."""
    spent = []
    for _ in range(7):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    sys.stderr.write(f"\n{' '.join(command)}: {statistics.median(spent):.2f} s of a core\n")
    return statistics.median(spent)


def test_help_takes_at_most_three_tenths_of_a_second() -> None:
    assert seconds("-m", "dubkit", "--help") <= 0.3


@pytest.mark.parametrize("stage", ["faces", "timing", "generate", "gate"])
def test_a_workers_imports_take_at_most_a_second(stage: str) -> None:
    assert seconds("-c", WORKER.format(stage)) <= 1.0


def test_a_workers_imports_with_its_nets_are_told() -> None:
    seconds("-c", f"{WORKER.format('generate')}, dubkit.faces.embedded, dubkit.lips.generator")
