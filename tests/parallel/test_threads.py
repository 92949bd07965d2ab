"""A stream of items through several threads: order, errors, memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies as st

from dubkit.parallel.workers import AHEAD, in_order


@settings(max_examples=30, deadline=None)
@given(
    pauses=st.lists(st.sampled_from([0.0, 0.001, 0.004]), max_size=12), threads=st.integers(1, 4)
)
def test_results_come_in_the_order_of_their_items(pauses: list[float], threads: int) -> None:
    def wait(item: tuple[int, float]) -> int:
        time.sleep(item[1])
        return item[0]

    assert list(in_order(wait, enumerate(pauses), threads)) == list(range(len(pauses)))


def test_several_threads_work_at_once() -> None:
    both = threading.Barrier(2, timeout=10)  # breaks unless two calls meet
    assert sorted(in_order(lambda _: both.wait(), range(2), 2)) == [0, 1]


def test_one_thread_is_this_one() -> None:
    here = threading.get_ident()
    assert set(in_order(lambda _: threading.get_ident(), range(3), 1)) == {here}


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_items_are_taken_than_can_be_worked_on(threads: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(50):
            taken.append(number)
            yield number

    for done, number in enumerate(in_order(lambda item: item, items(), threads)):
        assert number == done
        assert len(taken) <= done + threads + AHEAD


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_where_its_result_would_be(threads: int) -> None:
    results = in_order(lambda number: 6 // number, [3, 2, 0, 1], threads)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_stopping_early_takes_nothing_more() -> None:
    worked: list[int] = []
    results = in_order(lambda number: worked.append(number), range(1000), 2)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(worked) <= 2 + AHEAD
