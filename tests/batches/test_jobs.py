from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from dubkit.batches.jobs import Entry, Shard, take_shard
from dubkit.config.schema import Config
from dubkit.errors import UsageError
from dubkit.pipeline.request import RunRequest
from dubkit.records import Job


def entry(film: int, dub: int) -> Entry:
    job = Job(
        video=Path(f"/{film}.mp4"),
        audio=Path(f"/{film}.{dub}.wav"),
        output=Path(f"/out/{film}.{dub}.mp4"),
        work=Path("/w"),
    )
    return Entry(f"{film}.{dub}", "here", None, RunRequest(job, Config()))


@given(
    films=st.lists(st.integers(1, 4), min_size=1, max_size=30),
    count=st.integers(1, 8),
    data=st.data(),
)
def test_shards_are_a_partition_that_keeps_films_whole(
    films: list[int], count: int, data: st.DataObject
) -> None:
    entries = [entry(film, dub) for film, dubs in enumerate(films) for dub in range(dubs)]
    weight = {e.name: data.draw(st.floats(1, 7200)) for e in entries}
    shards = [take_shard(entries, Shard(i + 1, count), weight) for i in range(count)]
    assert sorted(e.name for part in shards for e in part) == sorted(e.name for e in entries)
    for one in range(count):
        for other in range(one):
            assert not {e.job.video for e in shards[one]} & {e.job.video for e in shards[other]}


def test_long_films_are_spread_over_the_shards() -> None:
    entries = [entry(film, 0) for film in range(4)]
    weight = {"0.0": 100.0, "1.0": 90.0, "2.0": 10.0, "3.0": 5.0}
    first = take_shard(entries, Shard(1, 2), weight)
    assert {e.name for e in first} == {"0.0", "3.0"}


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/2", ""])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a shard"):
        Shard.parse(text)
