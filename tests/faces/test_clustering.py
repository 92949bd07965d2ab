"""Which faces of a film are one person."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from dubkit.faces import clustering
from dubkit.faces.clustering import UNKNOWN, Looks, cluster

LEAST, CLEAR = 0.3, 0.3


def film(people: list[int], weights: list[float] | None = None, noise: float = 0.03) -> Looks:
    """Faces, one a shot, of ``people`` who look nothing like one another."""
    rng = np.random.default_rng(1)
    base = np.eye(64, dtype=np.float32)[people] + rng.normal(0, noise, (len(people), 64))
    starts = np.arange(len(people), dtype=np.int64) * 100
    weight = np.array(weights if weights else [1.0] * len(people), np.float32)
    unit = base / np.linalg.norm(base, axis=1, keepdims=True)
    return Looks(unit.astype(np.float32), weight, starts, starts + 100)


def test_faces_of_one_person_are_one_cluster_numbered_by_their_first_face() -> None:
    found = cluster(film([5, 2, 5, 2, 2, 9]), LEAST, CLEAR)
    assert found.tolist() == [0, 1, 0, 1, 1, 2]
    none = np.zeros(0, np.int64)
    nothing = Looks(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), none, none)
    assert not len(cluster(nothing, LEAST, CLEAR))


def test_two_faces_in_one_picture_are_two_people_however_alike() -> None:
    looks = film([1, 1, 1])
    looks.starts[1], looks.ends[1] = 50, 150  # beside the first
    found = cluster(looks, LEAST, CLEAR)
    assert found[0] != found[1]
    assert len(set(found.tolist())) == 2


def test_an_unclear_face_founds_nobody_joins_whom_it_resembles_or_stays_unknown() -> None:
    found = cluster(film([1, 1, 1, 2], [1, 1, 0.1, 0.1]), LEAST, CLEAR)
    assert found.tolist() == [0, 0, 0, UNKNOWN]
    beside = film([1, 1], [1, 0.1])
    beside.starts[1], beside.ends[1] = 0, 100
    assert cluster(beside, LEAST, CLEAR).tolist() == [0, UNKNOWN]


def test_what_a_person_said_is_believed_against_likeness_and_against_the_picture() -> None:
    looks = film([1, 1, 2, 2])
    assert cluster(looks, LEAST, CLEAR, [0, 1, None, None]).tolist() == [0, 1, 2, 2]
    assert cluster(looks, 0.4, CLEAR, [0, None, 0, None]).tolist() == [0, 0, 0, 1]
    mirrored = film([1, 1])
    mirrored.starts[1], mirrored.ends[1] = 0, 100
    assert cluster(mirrored, LEAST, CLEAR, [3, 3]).tolist() == [0, 0]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=14), st.randoms())
def test_the_order_of_the_faces_changes_only_the_numbers(people: list[int], random: object) -> None:
    looks = film(people)
    order = list(range(len(people)))
    random.shuffle(order)  # type: ignore[attr-defined]
    mixed = Looks(
        looks.vectors[order], looks.weights[order], looks.starts[order], looks.ends[order]
    )
    plain, shuffled = cluster(looks, LEAST, CLEAR), cluster(mixed, LEAST, CLEAR)
    groups = {frozenset(np.flatnonzero(plain == k).tolist()) for k in set(plain)}
    other = {frozenset(order[i] for i in np.flatnonzero(shuffled == k)) for k in set(shuffled)}
    assert groups == other


def test_thirty_people_in_six_hundred_shots_are_thirty() -> None:
    people = np.random.default_rng(3).integers(0, 30, 600).tolist()
    found = cluster(film(people, noise=0.12), LEAST, CLEAR)
    assert clustering.UNKNOWN not in found
    pairs = set(zip(people, found.tolist(), strict=True))
    assert len(pairs) == len(set(found.tolist())) == 30
