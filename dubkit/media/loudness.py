"""Loudness of a sound track after EBU R128, measured by ffmpeg: integrated loudness, loudness range, true peak.

Alone because the film is measured in the stage probe, the dub in the stage conform, and a mix in the stage stitch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av.audio.stream import AudioStream

from dubkit.media import container, process

_LINE = re.compile(r"^\s*(I|LRA|Peak):\s+(-?[0-9.]+|-?inf|nan)\s", re.M)
SILENT = -70.0  # LUFS: what R128 states of a track without any sound


@dataclass(frozen=True, slots=True)
class Loudness:
    """What R128 says of a whole track."""

    integrated: float  # LUFS
    range: float  # LU
    true_peak: float | None  # dBTP; None: there is no sound

    @property
    def words(self) -> str:
        """For people."""
        peak = "silent" if self.true_peak is None else f"true peak {self.true_peak:.1f} dBTP"
        return f"{self.integrated:.1f} LUFS, range {self.range:.1f} LU, {peak}"


def measure(path: Path, stream: int) -> Loudness | None:
    """Loudness of a stream of a file; None where ffmpeg cannot tell. Raises ToolError where it fails.

    R128 weighs channels by their places: where these are not known, there is no loudness.
    """
    with container.open_media(path) as media:
        sound = media.streams[stream]
        layout = sound.layout if isinstance(sound, AudioStream) else None
        if layout and container.layout_of(layout.nb_channels, layout.name) is None:
            return None
    only = ("-protocol_whitelist", "file", "-format_whitelist", container.FORMATS)
    return read_summary(
        process.run(
            [
                str(process.find_program("ffmpeg")),
                *("-nostdin", "-hide_banner", "-nostats", *only, "-i", f"file:{path}"),
                *("-map", f"0:{stream}", "-af", METER, "-f", "null", "-"),
            ],
            messages=True,
        ).decode(errors="replace")
    )


METER = "ebur128=peak=true:framelog=verbose"  # as the last of some filters, with `read_summary` of ffmpeg's messages


def read_summary(messages: str) -> Loudness | None:
    """What `METER` printed at its end; None where it did not."""
    found = dict(_LINE.findall(messages[messages.rfind("Summary:") :]))
    if not {"I", "LRA", "Peak"} <= found.keys():
        return None
    peak = float(found["Peak"])
    return Loudness(
        max(SILENT, float(found["I"])),
        float(found["LRA"]),
        peak if abs(peak) < 1000 else None,
    )


def facts(loudness: Loudness | None, prefix: str = "") -> dict[str, float | None]:
    """As facts of a stage."""
    values: Sequence[float | None] = (
        (loudness.integrated, loudness.range, loudness.true_peak) if loudness else (None,) * 3
    )
    names = ("loudness_lufs", "loudness_range_lu", "true_peak_dbtp")
    return {f"{prefix}{name}": value for name, value in zip(names, values, strict=True)}
