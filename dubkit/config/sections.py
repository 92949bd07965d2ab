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
        description="A shot that fails: say so, keep its original picture, or make no film; off: judge nothing.",
    )
    border: Literal["hard", "fade"] = Field(
        "fade",
        description="Where a shot that keeps its picture meets a dubbed one and the picture goes on over the "
        "cut: cross-fade, or not.",
    )
    min_found: Unit = Field(0.6, description="Share of frames in which the dubbed face is found.")
    max_silence: float = Field(
        0.008, ge=0, description="Movement of the lips where nobody speaks, of the face's width."
    )
    min_closures: Unit = Field(0.3, description="Share of P, B, M in which the lips nearly meet.")
    max_offset_ms: float = Field(
        120.0, ge=0, description="How far lips and phonemes may be apart in time."
    )
    min_movement: float = Field(
        0.18, ge=0, description="Movement of the lips in speech over what the phonemes ask for."
    )
    max_seam: float = Field(
        0.025,
        ge=0,
        description="Detail on the skin that stays and is not the source's, over the source's nearby.",
    )
    max_flicker: float = Field(
        0.006, ge=0, description="Change of brightness against the source, frame by frame, 0..1."
    )
    max_outside: float = Field(
        0.01, ge=0, description="Difference from the source away from the lower face, 0..1."
    )
    min_likeness: float = Field(
        0.94, ge=-1, le=1, description="How alike the dubbed face and the source's look."
    )
    min_sharpness: float = Field(
        0.35, ge=0, description="Sharpness of the mouth over the source's."
    )
