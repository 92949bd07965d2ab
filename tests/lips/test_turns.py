"""Phrases of the dub go to who speaks in the original."""

from __future__ import annotations

import numpy as np

from dubkit.lips.turns import NOT_SPEAKING, Part, only, parts
from dubkit.records import SILENCE, Phoneme, Shot, TrackChoice, Untouched, Voices
from dubkit.speech.timing import cut_timing

RATE, FRAMES, FIRST = 25, 150, 1000
SHOT = Shot(FIRST, FIRST + FRAMES)
TIMES = 40 + (np.arange(FRAMES) + 0.5) / RATE  # seconds of the dub
Span = tuple[float, float]


def frames(*spans: Span) -> tuple[tuple[int, int], ...]:
    return tuple((FIRST + round(a * RATE), FIRST + round(b * RATE)) for a, b in spans)


def choice(track: int, *speaks: Span, untouched: tuple[Untouched, ...] = ()) -> TrackChoice:
    return TrackChoice(
        track, SHOT.start, SHOT.end, bool(speaks), "", 100, None, untouched, frames(*speaks)
    )


def laid(dub: list[Span], voices: list[Span], *choices: TrackChoice) -> dict[int, Part]:
    """The parts of faces in a dub that speaks in ``dub``, both in seconds of the shot."""
    spoken = [Phoneme("a", 40 + a, 40 + b) for a, b in dub]
    timing = cut_timing(spoken, SHOT, TIMES, 0.8)
    return parts(SHOT, choices, Voices(frames(*voices), True), timing, timing.phonemes)


def painted(part: Part) -> tuple[float, float]:
    """First and last second of what is painted; one run is expected."""
    rows = np.flatnonzero(part.choice.usable) if part.choice.dubbed else np.zeros(0, np.int64)
    assert len(rows)
    assert (np.diff(rows) == 1).all()
    return float(rows[0]) / RATE, float(rows[-1] + 1) / RATE


def spoken(part: Part) -> list[Span]:
    return [
        (round(a - 40, 2), round(b - 40, 2)) for s, a, b in part.timing.phonemes if s != SILENCE
    ]


def test_who_speaks_in_all_of_a_shot_says_all_of_it() -> None:
    found = laid([(0.2, 5.8)], [(0, 6)], choice(0, (0, 6)))
    assert found[0].choice.usable.all()
    assert found[0].choice.says is None


def test_two_people_take_turns_where_the_original_does_though_the_dub_is_a_little_late() -> None:
    found = laid([(0.3, 3.2), (3.5, 5.9)], [(0, 6)], choice(0, (0, 3)), choice(1, (3, 6)))
    assert painted(found[0])[0] == 0
    assert 3.0 < painted(found[0])[1] < 3.5
    assert 2.7 < painted(found[1])[0] < 3.5
    assert spoken(found[0]) == [(0.3, 3.2)]
    assert spoken(found[1]) == [(3.5, 5.9)]


def test_a_listener_stays_as_filmed() -> None:
    found = laid([(0.3, 5.8)], [(0, 6)], choice(0, (0, 6)), choice(1))
    assert found[0].choice.dubbed
    assert not found[1].choice.dubbed


def test_a_narrator_who_goes_on_moves_nobody() -> None:
    found = laid([(0.2, 2.4), (2.8, 5.8)], [(0, 6)], choice(0, (0, 2.4)))
    assert painted(found[0]) == (0.0, 2.64)
    assert spoken(found[0]) == [(0.2, 2.4)]
    assert found[0].choice.untouched[-1].reason == NOT_SPEAKING


def test_a_dub_that_begins_early_and_ends_late_is_spoken_to_its_end() -> None:
    found = laid([(1.4, 5.4)], [(2, 4)], choice(0, (2, 4)))
    assert painted(found[0])[0] <= 1.4
    assert painted(found[0])[1] >= 5.4
    assert spoken(found[0]) == [(1.4, 5.4)]


def test_speech_of_the_dub_far_from_any_in_the_original_moves_nobody() -> None:
    found = laid([(0.2, 1.8), (5, 5.9)], [(0, 2)], choice(0, (0, 2)))
    assert painted(found[0])[1] < 3
    assert spoken(found[0]) == [(0.2, 1.8)]


def test_lips_that_move_in_the_original_are_painted_though_the_dub_is_silent() -> None:
    found = laid([(0.2, 1.0)], [(0, 3)], choice(0, (0, 3)))
    assert painted(found[0])[1] >= 3


def test_two_who_speak_at_once_both_say_it() -> None:
    found = laid([(0.3, 2.8)], [(0, 3)], choice(0, (0, 3)), choice(1, (0, 3)))
    assert spoken(found[0]) == spoken(found[1]) == [(0.3, 2.8)]


def test_what_cannot_be_dubbed_stays_so() -> None:
    away = Untouched(FIRST + 10, FIRST + 20, "turned away")
    found = laid([(0.2, 2.4)], [(0, 2.5)], choice(0, (0, 2.5), untouched=(away,)))
    assert away in found[0].choice.untouched
    assert not found[0].choice.usable[10:20].any()


def test_all_speech_but_ones_own_is_silent() -> None:
    timing = cut_timing([Phoneme("a", 40, 41), Phoneme("m", 41, 42)], SHOT, TIMES, 0.8)
    own = only(timing, [(41, 42)])
    assert [s for s, _, _ in own.phonemes] == [SILENCE, "m"]
    assert [run.symbol for run in own.runs if run.end <= FIRST + 25] == [SILENCE]
    assert any(a <= 40.5 <= b for a, b in own.noise)
    assert not any(a <= 41.5 <= b for a, b in own.noise)
    assert only(timing, None) is timing


def test_with_stems_each_says_their_own_whatever_the_original_does() -> None:
    timings = {
        track: cut_timing([Phoneme("a", 40 + a, 40 + b)], SHOT, TIMES, 0.8)
        for track, (a, b) in ((0, (3.2, 5.5)), (1, (0.5, 2.5)))
    }
    mix = cut_timing([Phoneme("a", 40.5, 42.5), Phoneme("a", 43.2, 45.5)], SHOT, TIMES, 0.8)
    choices = (choice(0, (0, 0.4)), choice(1), choice(2, (0, 1)))
    found = parts(SHOT, choices, Voices(frames((0, 6)), True), mix, mix.phonemes, timings)
    assert spoken(found[0]) == [(3.2, 5.5)]
    assert found[0].choice.usable[round(4 * RATE)]
    assert not found[0].choice.usable[round(2 * RATE)]
    assert found[1].choice.dubbed
    assert 0.2 < painted(found[1])[0] < 0.5
    assert 2.5 < painted(found[1])[1] < 2.8
    # a person without a stem says nothing, but lips that moved in the original come to rest
    assert spoken(found[2]) == []
    assert found[2].choice.usable[round(0.5 * RATE)]
    assert not found[2].choice.usable[round(3 * RATE)]


def test_a_script_that_names_people_settles_who_says_what() -> None:
    spoken_by = (("Anna", 40.2, 41.9), ("BORIS", 42.0, 43.9), ("Clara", 44.0, 45.8))
    phonemes = [Phoneme("a", 40.2, 41.8), Phoneme("a", 42.1, 43.8), Phoneme("a", 44.2, 45.8)]
    timing = cut_timing(phonemes, SHOT, TIMES, 0.8, speakers=spoken_by)
    choices = (choice(0, (0, 6)), choice(1))
    names = {0: "anna", 1: "boris"}
    voices = Voices(frames((0, 6)), True)
    found = parts(SHOT, choices, voices, timing, timing.phonemes, names=names)
    assert spoken(found[0]) == [(0.2, 1.8)]
    assert spoken(found[1]) == [(2.1, 3.8)]
    assert found[1].choice.dubbed
    # with a face that nobody named, Clara may be that one
    found = parts(SHOT, choices, voices, timing, timing.phonemes, names={1: "boris"})
    assert spoken(found[0]) == [(0.2, 1.8), (4.2, 5.8)]
    # nobody of these is in the cast: the original says who speaks
    found = parts(SHOT, choices, voices, timing, timing.phonemes, names={0: "dora"})
    assert found[0].choice.says is None


def test_where_the_dub_speaks_on_they_change_over_between_the_two_of_the_original() -> None:
    syllables = [(0.2 + 0.1 * k, 0.3 + 0.1 * k) for k in range(55)]
    found = laid(syllables, [(0, 3), (3.52, 6)], choice(0, (0, 3)), choice(1, (3.52, 6)))
    assert spoken(found[0])[-1][1] == spoken(found[1])[0][0] == 3.3
    assert painted(found[0])[1] < 3.6
    assert painted(found[1])[0] > 3.0


def test_a_phrase_of_the_dub_has_one_mouth_where_it_pauses_near_the_changeover() -> None:
    dub = [(0.2 + 0.1 * k, 0.3 + 0.1 * k) for k in range(25)]
    dub += [(3.0 + 0.1 * k, 3.1 + 0.1 * k) for k in range(28)]
    found = laid(dub, [(0, 3.12), (3.64, 6)], choice(0, (0, 3.12)), choice(1, (3.64, 6)))
    assert spoken(found[0])[-1][1] == 2.7
    assert spoken(found[1])[0][0] == 3.0


def test_a_head_that_turns_away_in_a_sentence_keeps_its_mouth_through_all_of_it() -> None:
    turned = Untouched(FIRST + 60, FIRST + 70, "turned away")
    face = choice(0, (0, 6), untouched=(turned,))
    found = laid([(0.2, 1.8), (2.1, 4.0), (4.3, 5.8)], [(0, 6)], face)
    usable = found[0].choice.usable
    assert usable[:50].all()
    assert not usable[52:101].any()
    assert usable[103:].all()


def test_a_head_that_turns_away_in_silence_takes_no_sentence_with_it() -> None:
    turned = Untouched(FIRST + 60, FIRST + 70, "turned away")
    face = choice(0, (0, 6), untouched=(turned,))
    found = laid([(0.2, 2.0), (3.2, 5.8)], [(0, 6)], face)
    assert not found[0].choice.usable[60:70].any()
    assert found[0].choice.usable.sum() == FRAMES - 10
