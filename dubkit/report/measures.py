"""Measures of a shot as rows of the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dubkit.errors import WorkError
from dubkit.metrics import lips
from dubkit.metrics.gate_limits import GateResult
from dubkit.metrics.table import BY_NAME
from dubkit.speech.timing import load_timing


def row(
    name: str, value: float | None, *, shown: str = "", limit: str = "", verdict: str = ""
) -> dict[str, Any]:
    """A line of the table; ``verdict`` is pass, warn, fail or nothing."""
    known = BY_NAME.get(name)
    return {
        "name": name,
        "label": name.replace("_", " "),
        "shown": shown or ("" if value is None else f"{value:.3g}"),
        "limit": limit,
        "verdict": verdict,
        "meaning": known.meaning if known else "",
    }


def gate_rows(gate: GateResult) -> list[dict[str, Any]]:
    """Every check of the gate; those that failed first."""
    many = len(gate.faces) > 1
    rows = []
    for face in gate.faces:
        for check in sorted(face.checks, key=lambda check: check.passed):
            sign = "≤" if check.better == "lower" else "≥"
            known = check.value is not None
            line = row(
                check.measure,
                check.value,
                shown="" if known else check.reason,
                limit=f"{sign} {check.limit:g}" if known else "",
                verdict="" if not known else "pass" if check.passed else "fail",
            )
            rows.append(
                {**line, "label": f"face {face.track}: {line['label']}" if many else line["label"]}
            )
    return rows


def lip_rows(timing: Path, dubbed: Sequence[int | None], thousand: int) -> list[dict[str, Any]]:
    """What the page itself measures of a dubbed mouth, where the job holds no measures."""
    try:
        cut = load_timing(timing)
    except WorkError:
        return []
    series = np.array([np.nan if v is None else v / thousand for v in dubbed], np.float64)
    shut = lips.closures(series, cut.times, cut.phonemes)
    silent = lips.open_in_silence(series, cut.times, cut.phonemes)
    rows = []
    for name, tally in (("closure_recall", shut), ("open_in_silence", silent)):
        if tally.share is not None:
            rows.append(row(name, tally.share, shown=f"{tally.hits} of {tally.total}"))
    return rows
