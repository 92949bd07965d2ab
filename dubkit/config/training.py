"""Settings of trainings: ``train.prepare``, ``train.tc``, ``train.sc``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dubkit.config.sections import Section, Unit


class PrepareSettings(Section):
    """Which footage trainings may learn from."""

    min_seconds: float = Field(1.0, gt=0, description="Shorter stretches of a face are refused.")
    max_seconds: float = Field(
        60.0, ge=5, description="Longer stretches are cut into pieces of this length."
    )
    min_width: float = Field(64.0, gt=0, description="Narrowest face accepted, in pixels.")
    max_yaw: float = Field(40.0, gt=0, le=90, description="Frames turned further are left out.")
    max_pitch: float = Field(30.0, gt=0, le=90, description="Frames tilted further are left out.")
    min_confidence: Unit = Field(0.8, description="Least median confidence of the landmarks.")
    min_sharpness: float = Field(
        0.4, ge=0, description="Least focus: 1 is a well focused face, 0 a smeared one."
    )
    min_agreement: float = Field(
        0.12, ge=-1, le=1, description="Least correlation of lips and sound, from 6 s on."
    )
    min_voiced: Unit = Field(0.15, description="Least share of a stretch in which is spoken.")
    max_offset_ms: float = Field(
        240.0, ge=0, description="Largest distance of picture and sound, where it can be measured."
    )
    val_share: float = Field(
        0.1, ge=0, lt=1, description="Share of the people held out, where no list says who."
    )
    pictures: float = Field(
        0,
        ge=0,
        description="Pictures a second that are kept, without sound: quick, for `train sc` alone. 0: all.",
    )
    stills: bool = Field(
        False, description="Take still pictures of single faces too: `train sc` learns from them."
    )
    research: bool = Field(
        False, description="Accept clips that a list marks ship=no: then never ship the weights."
    )


class LoopSettings(Section):
    """What all trainings have in common."""

    steps: int = Field(1000, ge=1, description="Steps at most.")
    batch: int = Field(16, ge=1, description="Samples a step.")
    rate: float = Field(1e-3, gt=0, description="Highest learning rate.")
    check_every: int = Field(
        100, ge=1, description="Steps between two checks: measures, preview, saved state."
    )
    patience: int = Field(
        10, ge=1, description="Checks without a better result before it stops early."
    )
    seed: int = Field(0, ge=0, description="Everything random follows from it.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on the CPU."
    )
    compile: bool = Field(False, description="Compile the net first; pays on a GPU.")
    loaders: int = Field(
        1,
        ge=0,
        le=64,
        description="Threads that prepare batches ahead; 0: none. Changes no result.",
    )


class TcTraining(LoopSettings):
    """Training of the TC net: phonemes and sound to mouth shapes."""

    rate: float = Field(2e-3, gt=0, description="Highest learning rate.")
    seconds: float = Field(2.4, ge=1.5, le=10, description="Length of a training window.")
    width: int = Field(64, ge=8, le=512, description="Channels of the net.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Share of channels hidden in a step.")
    decay: float = Field(0.03, ge=0, description="Weight decay.")
    average: float = Field(
        0.99, ge=0, lt=1, description="Of the running mean of the weights, which is what is kept."
    )
    jitter: float = Field(0.01, ge=0, description="Deviation of frame times, seconds.")
    sound_dropout: Unit = Field(0.25, description="Share of windows without the sound.")
    noisy: Unit = Field(0.5, description="Share of windows with noise under the sound.")
    adaptive: bool = Field(True, description="The adaptive lip weight of phoneme runs.")
    motion: float = Field(0.3, ge=0, description="Weight of the motion inside phoneme runs.")
    closures: float = Field(2.0, ge=0, description="Additional weight of P B M.")
    correlation: float = Field(
        5.0, ge=0, description="Weight of the correlation of a window's opening with the true one."
    )
    scale: float = Field(
        1.25, gt=0, description="Widens the answer at the end: regression is too timid."
    )


class ScTraining(LoopSettings):
    """Training of the SC net: mouth shapes to pixels."""

    steps: int = Field(6000, ge=1, description="Steps at most.")
    batch: int = Field(8, ge=1, description="Samples a step.")
    rate: float = Field(8e-4, gt=0, description="Highest learning rate.")
    check_every: int = Field(
        250, ge=1, description="Steps between two checks: measures, preview, saved state."
    )
    decay: float = Field(1e-3, ge=0, description="Weight decay.")
    average: float = Field(
        0.998, ge=0, lt=1, description="Of the running mean of the weights, which is what is kept."
    )
    frames: int = Field(
        300, ge=30, description="Frames of a clip that are kept in memory, spread evenly."
    )
    adversarial: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How hard a judge of mouths, which learns beside, pulls; 1: as all losses. 0: no judge.",
    )


class TrainSettings(Section):
    """How nets are trained on footage of your own; ``dubkit run`` reads none of it."""

    prepare: PrepareSettings = PrepareSettings()
    tc: TcTraining = TcTraining()
    sc: ScTraining = ScTraining()
