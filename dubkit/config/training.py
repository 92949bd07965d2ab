"""Settings of trainings: ``train.prepare``, ``train.tc``, ``train.sc``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dubkit.config.sections import Section, Unit


class PrepareSettings(Section):
    """Which footage trainings may learn from."""

    min_seconds: float = Field(
        1.0, gt=0, description="Shorter segments of a face are refused; in seconds."
    )
    max_seconds: float = Field(
        60.0, ge=5, description="Longer segments are cut into pieces of this length, in seconds."
    )
    min_width: float = Field(64.0, gt=0, description="Narrowest face accepted, in pixels.")
    max_yaw: float = Field(
        40.0, gt=0, le=90, description="Largest yaw, in degrees; frames beyond it are left out."
    )
    max_pitch: float = Field(
        30.0, gt=0, le=90, description="Largest pitch, in degrees; frames beyond it are left out."
    )
    min_confidence: Unit = Field(0.8, description="Least median confidence of the landmarks.")
    min_focus: float = Field(
        0.4, ge=0, description="Least focus: 1 is a well-focused face, 0 a blurred one."
    )
    min_agreement: float = Field(
        0.12,
        ge=-1,
        le=1,
        description="Least correlation of lips and sound, for segments of 6 s and more.",
    )
    min_voiced: Unit = Field(0.15, description="Least share of speech in a segment.")
    max_offset_ms: float = Field(
        240.0,
        ge=0,
        description="Largest offset between picture and sound, where it can be measured.",
    )
    val_share: float = Field(
        0.1, ge=0, lt=1, description="Share of the people held out, where no list names them."
    )
    pictures: float = Field(
        0,
        ge=0,
        description="Frames per second that are kept, without sound: fast, for `train sc` only. 0: all.",
    )
    stills: bool = Field(
        False, description="Accept still pictures of single faces too; `train sc` learns from them."
    )
    research: bool = Field(
        False,
        description="Accept clips that a list marks ship=no; weights trained on them must never be shipped.",
    )


class LoopSettings(Section):
    """What all trainings have in common."""

    steps: int = Field(1000, ge=1, description="Most steps.")
    batch: int = Field(16, ge=1, description="Samples per step.")
    rate: float = Field(1e-3, gt=0, description="Highest learning rate.")
    check_every: int = Field(
        100,
        ge=1,
        description="Steps between two checks, each with measures, a preview and saved state.",
    )
    patience: int = Field(
        10, ge=1, description="Checks without improvement before training stops early."
    )
    seed: int = Field(0, ge=0, description="Seed of all randomness.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 on a GPU, float32 on the CPU."
    )
    compile: bool = Field(False, description="Compile the net first; worthwhile on a GPU.")
    loaders: int = Field(
        1,
        ge=0,
        le=64,
        description="Threads that prepare batches ahead; 0: none. Changes no result.",
    )


class TcTraining(LoopSettings):
    """Training of the TC net: phonemes and sound to mouth shapes."""

    rate: float = Field(2e-3, gt=0, description="Highest learning rate.")
    seconds: float = Field(
        2.4, ge=1.5, le=10, description="Length of a training window, in seconds."
    )
    width: int = Field(64, ge=8, le=512, description="Channels of the net.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout rate of the channels.")
    decay: float = Field(0.03, ge=0, description="Weight decay.")
    average: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is the one kept.",
    )
    jitter: float = Field(0.01, ge=0, description="Standard deviation of frame times, in seconds.")
    sound_dropout: Unit = Field(0.25, description="Share of windows without the sound.")
    noisy: Unit = Field(0.5, description="Share of windows with noise under the sound.")
    adaptive: bool = Field(True, description="The adaptive lip weight of phoneme runs.")
    motion: float = Field(0.3, ge=0, description="Weight of the motion within phoneme runs.")
    closures: float = Field(2.0, ge=0, description="Additional weight of P, B, M.")
    correlation: float = Field(
        5.0, ge=0, description="Weight of the correlation of a window's opening with the true one."
    )
    scale: float = Field(
        1.25,
        gt=0,
        description="Factor applied to the output at the end: regression underestimates movement.",
    )


class ScTraining(LoopSettings):
    """Training of the SC net: mouth shapes to pixels."""

    steps: int = Field(6000, ge=1, description="Most steps.")
    batch: int = Field(8, ge=1, description="Samples per step.")
    rate: float = Field(8e-4, gt=0, description="Highest learning rate.")
    check_every: int = Field(
        250,
        ge=1,
        description="Steps between two checks, each with measures, a preview and saved state.",
    )
    decay: float = Field(1e-3, ge=0, description="Weight decay.")
    average: float = Field(
        0.998,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is the one kept.",
    )
    frames: int = Field(300, ge=30, description="Frames of a clip kept in memory, evenly spaced.")
    adversarial: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Weight of an adversarial loss; 1: as much as all other losses. 0: none.",
    )


class TrainSettings(Section):
    """How nets are trained on footage of your own; ``dubkit run`` reads none of it."""

    prepare: PrepareSettings = PrepareSettings()
    tc: TcTraining = TcTraining()
    sc: ScTraining = ScTraining()
