"""Interlaced pictures as pictures of their own: each field is a frame of half the height, shown at its own time.

Everything above `dubkit.media` works on fields as on any frames; readers part the coded frames, writers weave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import av
import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame

from dubkit.media.planes import Plane
from dubkit.records import Integers, VideoInfo

PROGRESSIVE: Literal["", "top", "bottom"] = ""
STATED_PROGRESSIVE = 1  # FFmpeg's code for an order of fields that is none


def woven(info: VideoInfo) -> VideoInfo:
    """Facts of the frames as they are coded; of a progressive film the same."""
    if not info.fields:
        return info
    return replace(
        info,
        height=info.height * 2,
        rate=info.rate and info.rate / 2,
        average_rate=info.average_rate / 2,
        frames=info.frames // 2,
        time_base=info.time_base * 2,
        fields="",
    )


def parted(info: VideoInfo, pts: Integers, first: str) -> tuple[VideoInfo, Integers]:
    """Facts and times of the fields of a film whose frames are known; ``first``: top or bottom."""
    step = np.diff(pts)
    last = step[-1:] if len(step) else np.ones(1, np.int64)
    steps = np.concatenate([step, last])
    times = np.stack([2 * pts, 2 * pts + steps], axis=1).ravel()
    made = replace(
        info,
        height=info.height // 2,
        rate=info.rate and info.rate * 2,
        average_rate=info.average_rate * 2,
        frames=info.frames * 2,
        time_base=info.time_base / 2,
        fields="top" if first == "top" else "bottom",
    )
    return made, times


def frame_times(pts: Integers, info: VideoInfo) -> Integers:
    """Times of coded frames in the time base of `woven`."""
    return pts[::2] // 2 if info.fields else pts


def parity(info: VideoInfo, index: int) -> int | None:
    """0 for a field of the even lines, 1 for one of the odd lines, None for a whole frame."""
    if not info.fields:
        return None
    return (index + (info.fields == "bottom")) % 2


def weave(first: Sequence[Plane], second: Sequence[Plane], order: str) -> tuple[Plane, ...]:
    """The planes of a frame made of its two fields, in their order of time."""
    top, bottom = (first, second) if order == "top" else (second, first)
    return tuple(_interleaved(a, b) for a, b in zip(top, bottom, strict=True))


def _interleaved(top: Plane, bottom: Plane) -> Plane:
    made: Plane = np.empty((len(top) + len(bottom), top.shape[1]), top.dtype)
    made[0::2], made[1::2] = top, bottom
    return made


class FieldMarker:
    """Marks frames as interlaced for the encoder: PyAV itself can only read the mark."""

    def __init__(self, frame: VideoFrame, order: str) -> None:
        self._graph, self._source, self._sink = _graph(
            frame, "setfield", {"top": "tff", "bottom": "bff"}[order]
        )

    def mark(self, frame: VideoFrame) -> VideoFrame:
        """The same frame with the mark."""
        self._source.push(frame)
        marked = self._sink.pull()
        assert isinstance(marked, VideoFrame)
        marked.pts, marked.time_base, marked.pict_type = frame.pts, frame.time_base, frame.pict_type
        return marked


def first_field(frame: VideoFrame) -> Literal["", "top", "bottom"]:
    """Which field of a decoded frame comes first: top, bottom, or nothing where it is progressive."""
    if not frame.interlaced_frame:
        return ""
    _graph_kept, source, sink = _graph(frame, "select", "eq(interlace_type\\,TOPFIRST)")
    source.push(frame)
    try:
        sink.pull()
    except (BlockingIOError, av.EOFError):
        return "bottom"
    return "top"


def _graph(
    frame: VideoFrame, name: str, argument: str
) -> tuple[Graph, av.filter.context.FilterContext, av.filter.context.FilterContext]:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    middle, sink = graph.add(name, argument), graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph, source, sink
