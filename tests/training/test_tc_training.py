"""Training the TC net, on clips made up here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dubkit.faces import shape
from dubkit.synthesis.articulation import gap_effect
from dubkit.synthesis.timing import Timed
from dubkit.training import tc
from dubkit.training.tc_data import Clip, rows, sentence, transcripts
from dubkit.training.tc_measures import correlation, predict


def clip(name: str, group: str, late: float = 0.0, seed: int = 0) -> Clip:
    """A face that opens in vowels and shuts in consonants, its picture ``late`` seconds behind."""
    random = np.random.default_rng(seed)
    phonemes: list[Timed] = [("sil", 0.0, 0.3)]
    while phonemes[-1][2] < 2.7:
        at = phonemes[-1][2]
        symbol = str(random.choice(["b", "ɑ", "s", "m", "i"]))
        phonemes.append((symbol, at, at + float(random.uniform(0.08, 0.2))))
    phonemes.append(("sil", phonemes[-1][2], phonemes[-1][2] + 0.3))
    times = np.arange(75) / 25
    wide = {"ɑ": 0.08, "i": 0.04, "s": 0.02}
    said = [next((s for s, a, b in phonemes if a <= t - late < b), "sil") for t in times]
    opening = np.convolve([wide.get(s, 0.0) for s in said], [0.25, 0.5, 0.25], "same")
    effect = gap_effect()
    shapes = opening[:, None] * effect / (effect @ effect)
    ways = {"script": phonemes, "loop": phonemes}
    return Clip(name, group, "train", times, shapes.astype(np.float32), 3.0, ways)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    groups = ["grid_s1", "grid_s1", "hdtf", "hdtf", "usgov"]
    return [clip(f"{group}__{i}", group, seed=i) for i, group in enumerate(groups)]


def options(**changes: int) -> tc.Options:
    return tc.Options(**{"steps": 60, "batch": 8, "width": 24, **changes})  # type: ignore[arg-type]


def test_a_short_training_learns_what_opens_a_mouth_and_finds_a_late_picture(
    clips: list[Clip],
) -> None:
    net = tc.train(clips, {}, options())
    unseen = clip("hdtf__unseen", "hdtf", late=0.12, seed=99)
    assert correlation(predict(net, unseen, "script", 0.12), unseen) > 0.7
    assert tc.estimate_offsets(net, [unseen])["hdtf__unseen"] == pytest.approx(0.12, abs=0.05)


def test_equal_seeds_give_equal_nets(clips: list[Clip]) -> None:
    one, two = (tc.train(clips, {}, options(steps=3)) for _ in range(2))
    for mine, other in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_lip_weights_are_one_per_run_with_mean_one(clips: list[Clip]) -> None:
    batch = tc.Windows(clips, {}, options()).draw()
    error = torch.randn(batch.mask.shape)
    weight = tc.run_weights(error, batch)
    assert float((weight * batch.mask).sum() / batch.mask.sum()) == pytest.approx(1.0, abs=1e-5)
    for row in range(len(weight)):
        for run in set(batch.runs[row].tolist()):
            here = (batch.runs[row] == run) & (batch.mask[row] > 0)
            if here.any():
                assert weight[row][here].std(unbiased=False) < 1e-6


def test_scaling_widens_the_answer(clips: list[Clip]) -> None:
    net = tc.train(clips, {}, options(steps=2))
    before = predict(net, clips[0], "script", 0.0)
    after = predict(tc.scaled(net, 1.5), clips[0], "script", 0.0)
    np.testing.assert_allclose(after, 1.5 * before, rtol=1e-4, atol=1e-5)


def test_every_clip_without_a_script_has_a_transcript() -> None:
    known = transcripts()
    assert len(known) == 16
    assert all(text.strip() for text in known.values())


def test_a_grid_clip_is_named_by_its_sentence() -> None:
    row = {"set": "grid_other", "file": "grid_other/lrwp9a.mp4"}
    assert sentence(row, {}) == "lay red with p nine again"


def test_nothing_that_may_not_ship_is_trained_on(data: object) -> None:
    found = list(rows(data))  # type: ignore[arg-type]
    assert found
    assert {row["ship"] for row in found} == {"yes"}
    assert {row["split"] for row in found} == {"train", "val"}


def test_shapes_have_as_many_coefficients_as_the_basis(clips: list[Clip]) -> None:
    assert clips[0].shapes.shape[1] == len(shape.basis().decode)
