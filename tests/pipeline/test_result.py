"""The outcome of a run, in words."""

from __future__ import annotations

from dubkit.pipeline.result import summarize
from dubkit.records import StageResult


def unit(stage: str, shot: str, **facts: int) -> StageResult:
    return StageResult(stage, shot, "fingerprint", facts=facts)


def test_every_shot_with_speech_and_no_dubbed_face_is_named() -> None:
    results = [
        unit("faces", "0000000-0000050", faces=1, dubbed=1),
        unit("faces", "0000050-0000090", faces=2, dubbed=0),
        unit("faces", "0000090-0000140", faces=0, dubbed=0),
        unit("faces", "0000140-0000200", faces=0, dubbed=0),
        unit("timing", "0000000-0000050", spoken_frames=40),
        unit("timing", "0000050-0000090", spoken_frames=30),
        unit("timing", "0000090-0000140", spoken_frames=20),
        unit("timing", "0000140-0000200", spoken_frames=0),
    ]
    found = summarize(results, output=None, done=8, frames=200, seconds=1.0)
    assert found.unseen == (
        "shot 0000050-0000090: 30 frames of speech, none dubbed: 2 faces seen",
        "shot 0000090-0000140: 20 frames of speech, none dubbed: no face found",
    )
