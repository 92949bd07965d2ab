"""Settings of the gate: what a rendered shot must show before it goes into the film."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class GateSettings(Section):
    """What a rendered shot is measured for, and what happens to one that fails."""

    action: Literal["off", "warn", "keep-original", "stop"] = Field(
        "keep-original",
        description="When a shot fails: warn, keep its original picture, or make no film; off: measure nothing.",
    )
    border: Literal["hard", "fade"] = Field(
        "fade",
        description="Where a shot that keeps its picture meets a dubbed one and the picture continues across "
        "the cut: cross-fade, or not.",
    )
    min_found: Unit = Field(
        0.6, description="Least share of frames in which the dubbed face is found."
    )
    max_silence: float = Field(
        0.008, ge=0, description="Largest movement of the lips while nobody speaks, in face widths."
    )
    min_closures: Unit = Field(
        0.3, description="Least share of P, B, M in which the lips nearly meet."
    )
    max_offset_ms: float = Field(
        120.0, ge=0, description="Largest offset between lips and phonemes."
    )
    min_movement: float = Field(
        0.18,
        ge=0,
        description="Least movement of the lips in speech, relative to what the phonemes require.",
    )
    max_seam: float = Field(
        0.025,
        ge=0,
        description="Most detail added to the skin around the mouth, relative to the source's nearby.",
    )
    max_flicker: float = Field(
        0.006,
        ge=0,
        description="Largest change of brightness against the source, frame by frame, 0..1.",
    )
    max_outside: float = Field(
        0.01, ge=0, description="Largest difference from the source away from the lower face, 0..1."
    )
    min_likeness: float = Field(
        0.94, ge=-1, le=1, description="Least similarity of the dubbed face to the source's."
    )
    min_sharpness: float = Field(
        0.35, ge=0, description="Least sharpness of the mouth, relative to the source's."
    )
