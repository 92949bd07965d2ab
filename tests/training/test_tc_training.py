"""Training the TC net, on clips made up here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dubkit.config.schema import TcTraining
from dubkit.errors import InputError, ModelError
from dubkit.lips import mouth_shape
from dubkit.lips.mouth_shape import gap_effect
from dubkit.models.speech_encoder import SpeechEncoderConfig
from dubkit.models.tc import (
    FLAGS,
    TcConfig,
    TcInput,
    TcNet,
    TcOutput,
    debug_tc,
    load_tc,
    save_tc,
    scale_output,
)
from dubkit.records import ROW_STEPS, TimedPhoneme
from dubkit.speech import articulatory
from dubkit.speech.mel_levels import BANDS
from dubkit.training import train_tc
from dubkit.training.dataset import (
    CROP,
    FORMAT,
    ClipFacts,
    PreparedClip,
    PreparedSet,
    SetIndex,
    SoundVersion,
    clip_path,
    write_clip,
    write_index,
)
from dubkit.training.lab.tc_merge import merged
from dubkit.training.lab.tc_report import evaluate
from dubkit.training.lab.teacher_set import rows, sentence, transcripts
from dubkit.training.tc_data import NOBODY, Clip, Windows, augment_levels, clip_of, nonspeech_clips
from dubkit.training.train_tc import correlation, predict, predictions
from tests.faces.faces import talking


def clip(name: str, person: str, late: float = 0.0, seed: int = 0) -> Clip:
    """A face that opens in vowels and shuts in consonants, its picture ``late`` seconds behind.

    Its encoder rows tell the sounds apart as well as the script does.
    """
    random = np.random.default_rng(seed)
    phonemes: list[TimedPhoneme] = [("sil", 0.0, 0.3)]
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
    return Clip(name, person, times, shapes.astype(np.float32), 3.0, ways, (version(phonemes),))


def version(phonemes: list[TimedPhoneme]) -> SoundVersion:
    random = np.random.default_rng(0)
    rows = random.normal(size=(160, SpeechEncoderConfig().rows))
    codes = {s: random.normal(size=rows.shape[1]) for s in ("sil", "b", "m", "s", "i", "ɑ")}
    for symbol, start, end in phonemes:
        rows[round(start * 50) : round(end * 50)] = codes[symbol]
    stored = np.clip(np.round(rows * ROW_STEPS), -127, 127).astype(np.int8)
    return SoundVersion(stored, random.uniform(0, 2, (160, BANDS)).astype(np.float32))


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    people = ["a", "a", "b", "c", "d"]
    return [clip(f"{person}{i}", person, seed=i) for i, person in enumerate(people)]


def settings(**changes: object) -> TcTraining:
    return TcTraining.model_validate(
        {"steps": 60, "batch": 8, "width": 24, "loaders": 0, "nonspeech": 0, **changes}
    )


def objective(clips: list[Clip], **changes: object) -> train_tc.TcObjective:
    return train_tc.TcObjective(clips, clips[:1], {}, settings(**changes))


def test_a_short_training_learns_what_opens_a_mouth_and_finds_a_late_picture(
    clips: list[Clip],
) -> None:
    net = train_tc.fit(objective(clips))
    unseen = clip("unseen", "e", late=0.12, seed=99)
    assert correlation(predict(net, unseen, "script", 0.12), unseen) > 0.7
    assert correlation(predict(net, unseen, "none", 0.12), unseen) > 0.7
    assert train_tc.estimate_offsets(net, [unseen])["unseen"] == pytest.approx(0.12, abs=0.05)


def test_one_pass_predicts_what_a_pass_for_each_offset_does(clips: list[Clip]) -> None:
    rows = SpeechEncoderConfig().rows
    net = TcNet(TcConfig(rows, articulatory.COUNT, BANDS, 12, width=8)).eval()
    offsets = [-0.2, 0.0, 0.13]
    for offset, shapes in zip(offsets, predictions(net, clips[0], "script", offsets), strict=True):
        alone = predict(net, clips[0], "script", offset)
        np.testing.assert_allclose(shapes, alone, atol=1e-5)


def test_equal_seeds_give_equal_nets(clips: list[Clip]) -> None:
    one, two = (train_tc.fit(objective(clips, steps=3)) for _ in range(2))
    for mine, other in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_lip_weights_are_one_per_run_with_mean_one(clips: list[Clip]) -> None:
    batch = Windows(clips, {}, settings()).draw(np.random.default_rng(0))
    error = torch.randn(batch.mask.shape)
    weight = train_tc.run_weights(error, batch)
    assert float((weight * batch.mask).sum() / batch.mask.sum()) == pytest.approx(1.0, abs=1e-5)
    for row in range(len(weight)):
        for run in set(batch.runs[row].tolist()):
            here = (batch.runs[row] == run) & (batch.mask[row] > 0)
            if here.any():
                assert weight[row][here].std(unbiased=False) < 1e-6


def test_every_term_is_nought_where_the_answer_is_right_but_for_the_correlation(
    clips: list[Clip],
) -> None:
    batch = Windows(clips, {}, settings()).draw(np.random.default_rng(0))
    sure = [40 * label - 20 for label in (batch.met, batch.speech)]
    terms = train_tc.losses(TcOutput(batch.shapes, *sure), batch, settings())
    assert float(terms["position"]) == float(terms["motion"]) == 0.0
    assert float(terms["closure_head"]) < 1e-6
    assert float(terms["speech_head"]) < 1e-6
    opposite = TcOutput(-batch.shapes, *(-logit for logit in sure))
    wrong = train_tc.losses(opposite, batch, settings())
    assert all(float(wrong[name]) > float(terms[name]) for name in terms)


def test_windows_without_speech_rest_and_half_of_the_others_lack_the_script(
    clips: list[Clip],
) -> None:
    silent = nonspeech_clips()
    assert {clip.person for clip in silent} == {NOBODY}
    windows = Windows(clips, {}, settings(nonspeech=0.25, batch=60, row_loss=0.0))
    batch = windows.draw(np.random.default_rng(0))
    rests = (batch.shapes == 0).all(-1).all(-1)
    assert 0.1 < float(rests.float().mean()) < 0.4
    assert not batch.speech[rests].any()
    without = batch.cells.flags[..., -1].mean(1)
    assert 0.3 < float(without.mean()) < 0.7
    assert not batch.cells.phonemes[without == 1].any()
    assert batch.cells.flags[..., 0].any(1).all()


def test_levels_are_varied_each_time_and_not_at_all_where_it_is_unknown() -> None:
    random = np.random.default_rng(0)
    sound = np.ones((50, BANDS + 1), np.float32)
    one, two = (augment_levels(sound, random, settings(sound_dropout=0.0)) for _ in range(2))
    assert np.abs(one - two)[:, :-1].max() > 0.05
    assert (one[:, -1] == 1).all()
    assert not augment_levels(sound, random, settings(sound_dropout=1.0)).any()
    assert not augment_levels(np.zeros_like(sound), random, settings(sound_dropout=0.0)).any()


def test_scaling_widens_the_answer(clips: list[Clip]) -> None:
    net = train_tc.fit(objective(clips, steps=2))
    before = predict(net, clips[0], "script", 0.0)
    scale_output(net, 1.5)
    after = predict(net, clips[0], "script", 0.0)
    np.testing.assert_allclose(after, 1.5 * before, rtol=1e-4, atol=1e-5)


def test_a_net_is_compiled_where_it_is_asked_for(
    clips: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def kept(net: object) -> object:
        compiled.append(net)
        return net

    monkeypatch.setattr(torch, "compile", kept)
    for wanted in (False, True):
        settings = TcTraining(steps=2, batch=2, width=8, nonspeech=0, compile=wanted)
        objective = train_tc.TcObjective(clips, clips, {}, settings)
        train_tc.fit(objective)
        assert compiled == ([objective.net] if wanted else [])


def test_the_preview_shows_the_held_out_clips(clips: list[Clip]) -> None:
    picture = objective(clips, steps=1).preview()
    assert picture is not None
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert (picture < 128).any()


def prepared_set(root: Path, said: str) -> PreparedSet:
    """Two faces in pictures and sound."""
    (root / "clips").mkdir(parents=True)
    faces = {}
    for name, split in (("ann", "train"), ("bob", "val")):
        marks = talking(50).astype(np.float32)
        phonemes = {"script": [("sil", 0.0, 0.4), (said, 0.4, 1.6), ("sil", 1.6, 2.0)]}
        stored = PreparedClip(
            times=np.arange(50) / 25,
            landmarks=marks,
            confidence=np.ones(50, np.float32),
            pose=np.zeros((50, 3), np.float32),
            crop_from_display=np.zeros((50, 2, 3)),
            energy=np.ones(100, np.float32),
            phonemes=phonemes,
            sounds=(version(phonemes["script"]),),
        )
        write_clip(clip_path(root, name, ".npz"), stored)
        faces[name] = ClipFacts(f"{name}.mp4", name, split, "set", 50, 25.0, "0")
    write_index(root, SetIndex(FORMAT, CROP, faces))
    return PreparedSet(root)


def test_a_training_begins_with_a_prepared_set(tmp_path: Path) -> None:
    found = train_tc.tc_objective(
        prepared_set(tmp_path, "ɑ"), settings(steps=2), torch.device("cpu")
    )
    measures = found.evaluate()
    assert measures["error"] == pytest.approx(1 - measures["correlation"])
    found.save(tmp_path / "tc.safetensors", 2)
    net, checkpoint = load_tc(tmp_path / "tc.safetensors")
    assert checkpoint.step == 2
    assert net.config.bands == BANDS
    going_on = train_tc.tc_objective(
        PreparedSet(tmp_path),
        settings(steps=2),
        torch.device("cpu"),
        start=tmp_path / "tc.safetensors",
    )
    for mine, other in zip(going_on.result().parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_set_in_which_nobody_speaks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nobody speaks"):
        train_tc.tc_objective(prepared_set(tmp_path, "sil"), settings(steps=2), torch.device("cpu"))


def test_a_net_of_another_mouth_shape_is_no_start(tmp_path: Path, clips: list[Clip]) -> None:
    save_tc(tmp_path / "tc.safetensors", debug_tc(), 1)
    with pytest.raises(ModelError, match="another mouth shape"):
        train_tc.TcObjective(clips, clips, {}, settings(), start=tmp_path / "tc.safetensors")


def test_a_clip_without_speech_is_left_out() -> None:
    stored = PreparedClip(
        np.arange(3) / 25,
        talking(3).astype(np.float32),
        np.ones(3, np.float32),
        np.zeros((3, 3), np.float32),
        np.zeros((3, 2, 3)),
        np.zeros(1, np.float32),
        {"loop": [("sil", 0.0, 1.0)]},
    )
    assert clip_of("quiet", "ann", stored, 0.0) is None


def test_the_measures_of_a_net_go_by_clip_and_path(tmp_path: Path, clips: list[Clip]) -> None:
    save_tc(tmp_path / "tc.safetensors", train_tc.fit(objective(clips)), 60)
    found = evaluate(tmp_path / "tc.safetensors", clips[:2], {})
    assert {"a0/script", "a0/loop", "mean/script", "mean/loop"} <= set(found)
    assert found["mean/script"]["closures"] > 0.9


def test_every_clip_without_a_script_has_a_transcript() -> None:
    known = transcripts()
    assert len(known) == 16
    assert all(text.strip() for text in known.values())


def test_a_grid_clip_is_named_by_its_sentence() -> None:
    row = {"set": "grid_other", "file": "grid_other/lrwp9a.mp4"}
    assert sentence(row, {}) == "lay red with p nine again"


def test_nothing_that_may_not_ship_is_trained_on(data: Path) -> None:
    found = list(rows(data))
    assert found
    assert {row["ship"] for row in found} == {"yes"}
    assert {row["split"] for row in found} == {"train", "val"}


def test_shapes_have_as_many_coefficients_as_the_basis(clips: list[Clip]) -> None:
    assert clips[0].shapes.shape[1] == len(mouth_shape.basis().decode)


def test_a_merged_net_answers_with_the_mean_of_its_parts() -> None:
    torch.manual_seed(0)
    config = TcConfig(5, 6, 2, 3, width=8, dilations=(1, 2))
    parts = [TcNet(config).eval() for _ in range(2)]
    sizes = (5, 6, 3, FLAGS)
    given = TcInput(*(torch.randn(2, 30, size) for size in sizes))
    whole = merged(parts)
    with torch.inference_mode():
        mean = torch.stack([part(given).shapes for part in parts]).mean(0)
        torch.testing.assert_close(whole(given).shapes, mean)
    assert whole.reach == parts[0].reach
    with pytest.raises(ModelError, match="different make"):
        merged([*parts, debug_tc()])


@pytest.mark.parametrize(
    ("term", "name"), [("width", "width_correlation"), ("chin", "chin_correlation")]
)
def test_correlations_of_width_and_chin_weigh_as_they_are_set(
    clips: list[Clip], term: str, name: str
) -> None:
    batch = Windows(clips, {}, settings()).draw(np.random.default_rng(0))
    made = TcOutput(-batch.shapes, batch.met, batch.speech)
    once, twice, never = (
        float(train_tc.losses(made, batch, settings(**{name: weight}))[term])
        for weight in (1.0, 2.0, 0.0)
    )
    assert once > 0
    assert twice == pytest.approx(2 * once)
    assert never == 0.0


def test_the_share_of_a_row_that_is_dropped_reaches_the_net(clips: list[Clip]) -> None:
    net = objective(clips, steps=1, row_dropout=0.25).net
    assert net.config.row_dropout == 0.25


def test_a_wrong_script_is_another_clips(clips: list[Clip]) -> None:
    drawn = [
        Windows(clips, {}, settings(script=1.0, wrong_script=share, batch=1)).draw(
            np.random.default_rng(1)
        )
        for share in (0.0, 1.0)
    ]
    right, wrong = (batch.cells.phonemes for batch in drawn)
    assert torch.equal(drawn[0].shapes, drawn[1].shapes)
    assert not torch.equal(right, wrong)
