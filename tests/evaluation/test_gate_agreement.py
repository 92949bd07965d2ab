"""The gate and ``dubkit evaluate`` say the same of the same film: rendered shots, measured by both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import dubkit
from dubkit.config.presets import load_config
from dubkit.evaluation import BY_NAME, evaluate
from dubkit.evaluation.against_reference import ShotMeasures
from dubkit.media.audio import load_samples
from dubkit.metrics.gate_limits import LIMITS
from dubkit.progress import NoProgress
from tests.clips import save_wav
from tests.portrait import build_portrait_film

QUIET = 5.0  # seconds before the dub begins: the first shot is silent, the last one speaks
RATE = 16000


class Film:
    """The demo's film, dubbed; what the gate measured of each shot, and what ``evaluate`` does."""

    def __init__(self, folder: Path, codec: str) -> None:
        demo = build_portrait_film(folder / "demo")
        self.video, self.dub = demo.film, folder / "dub.wav"
        self.folder, self.made = folder, folder / "made.mkv"
        spoken = load_samples(demo.dub)
        save_wav(self.dub, np.concatenate([np.zeros(round(QUIET * RATE), np.float32), spoken]))
        run = dubkit.run(
            *(self.video, self.dub),
            out=self.made,
            work=folder / "work",
            settings=[f"generate.codec={codec}", "gate.action=warn", "faces.which=largest"],
            device="cpu",
            jobs=1,
        )
        self.gate = {
            gate.shot: {c.measure: c.value for c in gate.faces[0].checks if c.value is not None}
            for gate in run.gates
            if gate.faces
        }

    def evaluated(self, reference: Path | None = None) -> Mapping[str, ShotMeasures]:
        config = load_config((), (), {"parallel.jobs": 1})
        work = self.folder / "evaluated"
        found = evaluate(
            self.made, config, work, NoProgress(), reference=reference, audio=self.dub,
            same_sound=False,
        )  # fmt: skip
        return {shot.shot: shot for shot in found.shots}


@pytest.fixture(scope="module")
def lossless(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return Film(tmp_path_factory.mktemp("lossless"), "ffv1")


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return Film(tmp_path_factory.mktemp("coded"), "h264")


def values(shot: ShotMeasures) -> dict[str, float]:
    shares = {name: tally.share for name, tally in shot.tallies.items()}
    return shot.rows | {name: share for name, share in shares.items() if share is not None}


def test_every_measure_of_the_gate_is_one_of_evaluate() -> None:
    assert set(LIMITS) <= set(BY_NAME)


def test_gate_and_evaluate_agree_beside_the_film_that_was_dubbed(
    lossless: Film,
) -> None:
    found = lossless.evaluated(lossless.video)
    assert len(lossless.gate) == 2
    measured = set()
    for shot, gate in lossless.gate.items():
        here = values(found[shot])
        measured |= set(gate)
        wrong = {
            name: (value, here.get(name))
            for name, value in gate.items()
            if here.get(name) != pytest.approx(value, abs=0.02)
        }
        assert not wrong, shot
    assert measured == set(LIMITS), "each is measured in one of the shots"


def test_the_lips_need_no_reference_and_stand_a_codec(coded: Film) -> None:
    found = coded.evaluated()
    assert len(coded.gate) == 2
    for shot, gate in coded.gate.items():
        here = values(found[shot])
        for name in ("silence", "closures", "movement", "offset_ms", "found"):
            if name in gate:
                assert here[name] == pytest.approx(gate[name], abs=0.02), (shot, name)


def test_lips_of_a_shut_mouth_count_as_shut_though_they_are_read_as_a_little_open(
    coded: Film,
) -> None:
    """The demo's bearded man: his shut lips are read as .013 to .018 of his face's width."""
    silent, *_, speaking = coded.evaluated().values()
    assert values(silent)["open_in_silence"] == 0
    assert values(silent)["silence"] < 0.002
    assert values(speaking)["closures"] == 1
    assert min(speaking.labial_openings) > 0.01
