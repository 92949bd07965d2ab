"""Someone who reads only file names opens the right file first.

Each question comes with the words that a person would search for. A file is scored by its name: two points for every
search word that begins like a word of its stem, one for every word that begins like a word of its folders. The file
that answers must exist, must match something, and no other file of the package may score higher.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "dubkit"
FILES = sorted(
    path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem != "__init__"
)
LETTERS = 5  # of a word that have to agree: "blend" and "blending", "download" and "downloads"

QUESTIONS = [
    ("Where is the seam of a patch blended into the frame?", "blend lips", "lips/blend.py"),
    ("What does exit code 6 mean?", "errors exit code", "errors.py"),
    ("Where does a shot get its fingerprint?", "fingerprint shot", "pipeline/fingerprint.py"),
    ("Which file retries a dead worker?", "workers parallel", "parallel/workers.py"),
    ("Where is LSE computed?", "lse syncnet metrics", "metrics/syncnet.py"),
    ("Where is it decided whether something covers a face?", "occlusion face", "faces/occlusion.py"),
    ("Where is the active speaker found?", "active speaker", "lips/active_speaker.py"),
    ("Where are detections joined to tracks?", "tracker faces", "faces/tracker.py"),
    ("Which face of a shot is dubbed?", "face selection", "faces/selection.py"),
    ("Where is the list of stages in their order?", "pipeline job stages", "pipeline/job.py"),
    ("What does a dry run print?", "dry run", "pipeline/dry_run.py"),
    ("Where is a request checked before the first frame?", "request inputs pipeline", "pipeline/inputs.py"),
    ("Where are the gate's limits applied?", "gate limits metrics", "metrics/gate_limits.py"),
    ("Where are a script's words laid on the sound?", "script alignment", "speech/script_alignment.py"),
    ("How are words turned into phonemes?", "g2p speech", "speech/g2p.py"),
    ("Where do mouth shapes come from phonemes?", "articulation lips", "lips/articulation.py"),
    ("How is a face warped to another mouth?", "mesh warp", "lips/mesh_warp.py"),
    ("Where are the weights of an engine downloaded?", "download weights", "weights/download.py"),
    ("What are the defaults of all settings?", "config schema", "config/schema.py"),
    ("Where is the work folder locked?", "lock work", "work/lock.py"),
    ("Where are shots joined into one film?", "concat media", "media/concat.py"),
    ("How are jobs handed to a Dask cluster?", "dask parallel", "parallel/dask.py"),
    ("Where is the HTML page of a report made?", "report make page", "review/report_page.py"),
    ("How does a training resume?", "trainer training resume", "training/trainer.py"),
]  # fmt: skip


def score(file: Path, words: str) -> int:
    def fits(word: str, name: str) -> bool:
        return any(part[:LETTERS] == word[:LETTERS] for part in re.split(r"[_\W]", name))

    folders = " ".join(file.parts[:-1])
    return sum(2 * fits(word, file.stem) + fits(word, folders) for word in words.split())


@pytest.mark.parametrize(("question", "words", "answer"), QUESTIONS)
def test_the_file_that_answers_is_the_one_whose_name_fits_best(
    question: str, words: str, answer: str
) -> None:
    assert Path(answer) in FILES, question
    own = score(Path(answer), words)
    better = [str(file) for file in FILES if score(file, words) > own]
    assert own > 0, question
    assert not better, question


def test_twenty_questions_or_more() -> None:
    assert len(QUESTIONS) >= 20
