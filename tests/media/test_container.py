"""What each container can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from dubkit.config.schema import GenerateSettings
from dubkit.errors import UsageError
from dubkit.media.codecs import encoding_for
from dubkit.media.container import check_delivery, open_media, packets, result_suffix
from dubkit.media.probe import probe
from dubkit.records import LATER
from tests.clips import film


@pytest.mark.parametrize("codec", ["av1", "vp9"])
def test_a_mov_is_refused_for_codecs_that_ffmpeg_does_not_write_into_one(codec: str) -> None:
    with pytest.raises(UsageError, match=r"cannot go into \.mov") as caught:
        check_delivery(Path("film.mov"), codec)
    assert ".mp4" in (caught.value.hint or "")
    assert result_suffix(Path("film.mov"), codec) == ".mp4"


class Surprised:
    """A container in which PyAV meets a stream that it did not know when it opened the file, before one packet."""

    def __init__(self, container: InputContainer, before: int) -> None:
        self._container, self._before, self._given = container, before, 0

    def demux(self, *streams: Stream) -> Iterator[Packet[Stream]]:
        packet: Packet[Stream]
        for packet in self._container.demux(*streams):
            if self._given == self._before:
                self._given += 1
                raise IndexError("list index out of range")
            self._given += 1
            yield packet


def test_a_stream_that_begins_in_the_middle_is_passed_over_and_reported(tmp_path: Path) -> None:
    path = film(tmp_path / "film.ts", seconds=1)
    with open_media(path) as container:
        every: list[Packet[Stream]] = list(packets(container))
    later: list[bool] = []
    with open_media(path) as container:
        surprised = cast("InputContainer", Surprised(container, 9))
        left: list[Packet[Stream]] = list(packets(surprised, later=later))
    assert later == [True]
    passed = every[:9] + every[10:]
    assert [packet.pts for packet in left] == [packet.pts for packet in passed]
    info = replace(probe(path)[0], hidden=(LATER,))
    losses = encoding_for(info, GenerateSettings()).losses
    assert any(loss == f"{LATER} are left out" for loss in losses)
