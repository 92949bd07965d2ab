"""Who speaks: mouths that move as the sound asks, beside others; no footage is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dubkit.lips import active_speaker, mouth_shape
from dubkit.lips.active_speaker import BEAT, Heard, Match, match_shapes, speaks
from dubkit.media.audio import SPEECH_RATE, load_samples
from dubkit.models import speaker
from dubkit.records import Floats
from tests.portrait import ASSETS

SECONDS = 6.0


@pytest.fixture(scope="module")
def heard() -> Heard:
    """Real speech, of the demo."""
    return active_speaker.hear_samples(load_samples(ASSETS / "dub.flac"), 0.5, 0.5 + SECONDS)


def everywhere(heard: Heard) -> np.ndarray:
    return np.ones(len(heard.times), np.bool_)


def mouth(heard: Heard, late: int = 0) -> Floats:
    """A mouth that does what the sound asks, not quite exactly, ``late`` beats after it."""
    random = np.random.default_rng(1)
    shapes = heard.shapes + random.normal(0, 0.15, heard.shapes.shape)
    return np.asarray(np.roll(shapes, late, axis=0), np.float32)


def still(heard: Heard) -> Floats:
    return np.random.default_rng(2).normal(0, 0.05, heard.shapes.shape).astype(np.float32)


def found(heard: Heard, *mouths: Floats) -> tuple[bool, dict[int, tuple[np.ndarray, float]]]:
    faces = {k: match_shapes(heard, shapes, everywhere(heard)) for k, shapes in enumerate(mouths)}
    return speaks(heard, faces)


def test_a_mouth_that_goes_with_the_sound_speaks_and_one_at_rest_does_not(heard: Heard) -> None:
    by_sound, who = found(heard, still(heard), mouth(heard))
    assert by_sound
    assert list(who) == [1]
    beats, score = who[1]
    spoken = heard.speech > 0
    assert (beats & spoken).sum() > 0.9 * spoken.sum()
    assert score > 0.8


def test_a_face_alone_that_rests_under_a_voice_does_not_speak(heard: Heard) -> None:
    assert found(heard, still(heard)) == (True, {})


@pytest.mark.parametrize("late", [-2, 2])
def test_sound_two_frames_off_is_still_recognized(heard: Heard, late: int) -> None:
    assert list(found(heard, mouth(heard, late))[1]) == [0]


def test_a_mouth_that_speaks_something_else_does_not_speak(heard: Heard) -> None:
    assert 0 not in found(heard, mouth(heard)[::-1].copy(), mouth(heard))[1]


def test_where_several_voices_are_heard_a_second_mouth_that_speaks_is_no_mute_television(
    heard: Heard,
) -> None:
    mouths = mouth(heard)[::-1].copy(), mouth(heard), still(heard)
    level = np.full(len(heard.times), 6.0, np.float32)
    assert sorted(found(replace(heard, several=-level), *mouths)[1]) == [1]
    assert sorted(found(replace(heard, several=level), *mouths)[1]) == [0, 1]


def test_two_voices_at_once_are_told_from_one() -> None:
    """The second is the first one earlier, at another pitch."""
    one = load_samples(ASSETS / "dub.flac")
    pitched = np.interp(np.arange(0, len(one) - 1, 1.25), np.arange(len(one)), one)
    other = np.resize(np.roll(pitched, -SPEECH_RATE), len(one)).astype(np.float32)
    single, both = (
        active_speaker.hear_samples(sound, 0.5, 0.5 + SECONDS) for sound in (one, one + other)
    )
    spoken = single.speech > 0
    assert np.mean(single.several[spoken] > 0) < 0.3
    assert np.mean(both.several[spoken] > 0) > 0.6


def test_who_stops_speaking_stops(heard: Heard) -> None:
    half = len(heard.times) // 2
    shapes = mouth(heard)
    shapes[half:] = still(heard)[half:]
    beats, _ = found(heard, shapes)[1][0]
    spoken = heard.speech > 0
    edge = round(0.4 / BEAT)
    assert (beats & spoken)[: half - edge].sum() > 0.9 * spoken[: half - edge].sum()
    assert not beats[half + edge :].any()


def test_without_sound_the_lips_alone_decide(heard: Heard) -> None:
    silent = active_speaker.hear_samples(None, 0.5, 0.5 + SECONDS)
    faces = {0: still(heard), 1: mouth(heard)}
    matches = {
        k: match_shapes(silent, v[: len(silent.times)], everywhere(silent))
        for k, v in faces.items()
    }
    by_sound, who = speaks(silent, matches)
    assert not by_sound
    assert list(who) == [1]


def test_a_face_that_is_not_there_does_not_speak(heard: Heard) -> None:
    there = match_shapes(heard, mouth(heard), everywhere(heard))
    away = replace(there, there=np.zeros(len(heard.times), np.bool_))
    assert speaks(heard, {0: away}) == (True, {})


def test_doubtful_moments_of_someone_who_surely_speaks_are_bridged(heard: Heard) -> None:
    there = everywhere(heard)
    logits = np.where(np.arange(len(heard.times)) < 25, -1.0, 6.0).astype(np.float32)
    always = replace(heard, speech=np.full(len(heard.times), 4.0, np.float32))
    moving = np.full(len(heard.times), 5.0, np.float32)
    beats, _ = speaks(always, {0: Match(logits, moving, there, heard.shapes)})[1][0]
    assert beats.all()
    resting = np.full(len(heard.times), -5.0, np.float32)
    beats, _ = speaks(always, {0: Match(logits, resting, there, heard.shapes)})[1][0]
    assert not beats[:15].any()


def test_who_alone_visibly_speaks_is_given_the_benefit_of_the_doubt(
    heard: Heard,
) -> None:
    there = everywhere(heard)
    always = replace(heard, speech=np.full(len(heard.times), 5.0, np.float32))
    doubtful, moving, resting = (np.full(len(heard.times), v, np.float32) for v in (0.0, 3.0, -3.0))
    talks, rests = (Match(doubtful, sight, there, heard.shapes) for sight in (moving, resting))
    assert speaks(always, {0: talks})[1][0][0].all()
    assert not speaks(always, {0: rests})[1]
    assert list(speaks(always, {0: talks, 1: rests})[1]) == [0]
    assert not speaks(always, {0: talks, 1: talks})[1]


@pytest.mark.parametrize(
    ("wide", "least", "most"), [(1, 0.98, 1.02), (1.3, 1.2, 1.3), (9, 1.35, 1.45), (0.1, 0.6, 0.7)]
)
def test_how_widely_somebody_articulates_is_seen_beside_what_the_sound_asks_for(
    heard: Heard, wide: float, least: float, most: float
) -> None:
    there = everywhere(heard)
    face = match_shapes(heard, wide * heard.shapes, there)
    found = active_speaker.articulation_range(heard, face, there)
    assert found is not None
    assert least <= found <= most


def test_a_word_does_not_say_how_widely_somebody_articulates(heard: Heard) -> None:
    there = everywhere(heard)
    word = there & (np.arange(len(there)) < 12)
    face = match_shapes(heard, 1.3 * heard.shapes, there)
    assert active_speaker.articulation_range(heard, face, word) is None


def test_how_a_mouth_is_held_in_speech_is_seen_beside_what_the_net_makes_of_it(
    heard: Heard,
) -> None:
    there, speech = everywhere(heard), heard.speech > 0
    held = np.random.default_rng(0).normal(0, 0.5, heard.shapes.shape[1:]).astype(np.float32)
    held = mouth_shape.beside_gap(held)
    face = replace(match_shapes(heard, heard.shapes, there), shapes=heard.shapes + held)
    found = active_speaker.articulatory_setting(heard, face, speech)
    assert found is not None
    # what it does slowly, the same in speech and in pauses, is not counted twice
    assert found @ held > 0.5 * held @ held
    assert np.linalg.norm(found - held) < 0.7 * np.linalg.norm(held)
    assert abs(found @ mouth_shape.gap_effect()) < 1e-5


def test_neither_a_wider_opening_nor_a_word_says_how_a_mouth_is_held(heard: Heard) -> None:
    there, effect = everywhere(heard), mouth_shape.gap_effect()
    opened = heard.shapes + 0.5 * effect / np.linalg.norm(effect)
    face = replace(match_shapes(heard, heard.shapes, there), shapes=opened)
    kept = mouth_shape.slow_course(heard.shapes, there, 1 / BEAT)
    plain = active_speaker.articulatory_setting(heard, replace(face, shapes=heard.shapes), there)
    found = active_speaker.articulatory_setting(heard, face, there)
    assert found is not None
    assert plain is not None
    assert np.allclose(found, plain, atol=1e-4)
    assert np.abs(plain).max() <= np.abs(kept).max()
    assert (
        active_speaker.articulatory_setting(heard, face, there & (np.arange(len(there)) < 12))
        is None
    )


def test_a_net_that_is_saved_is_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("net") / "speaker.safetensors"
    net = active_speaker.packaged_net()
    speaker.save_speaker(path, net, 1)
    again = speaker.load_speaker(path)
    assert again.config == net.config
    assert path.stat().st_size < 300_000


def test_a_face_speaks_from_where_the_voice_begins_unless_another_does_there() -> None:
    """What lips and sound tell together comes late; a voice that began long before is somebody else's."""
    beats = np.arange(100)
    spoken = ((beats >= 20) & (beats < 50)) | (beats >= 70)
    late = (beats >= 27) & (beats < 45)
    nobody = np.zeros(100, np.bool_)
    grown = active_speaker._with_the_voice(late, spoken, nobody)
    assert np.flatnonzero(grown).tolist() == list(range(20, 50))
    taken = (beats >= 18) & (beats < 24)
    grown = active_speaker._with_the_voice(late, spoken, taken)
    assert np.flatnonzero(grown).tolist() == list(range(27, 50))
    much_later = (beats >= 85) & (beats < 95)
    grown = active_speaker._with_the_voice(much_later, spoken, nobody)
    assert int(grown.argmax()) == 85
