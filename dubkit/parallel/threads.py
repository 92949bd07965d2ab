"""One function over a stream of items by several threads, results in the items' order.

For work that leaves Python's lock (pictures, codecs, nets). A few items beyond the one that is waited for are
taken, never more, so a stream of any length needs little memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

AHEAD = 2  # items taken beyond one a thread, so that none waits for the next


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """``function(item)`` for every item, in order; with one thread, in this one.

    An error of ``function`` is raised where its result would be; items are taken by this thread only.
    """
    if threads < 2:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= threads + AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
