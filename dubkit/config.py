"""Every setting, its default and its limits: one frozen section per stage.

A preset holds differences only; see `dubkit.presets`. ``parallel`` belongs to no stage: changing it
invalidates nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class Section(BaseModel):
    """A part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProbeSettings(Section):
    """What is accepted as a film."""

    max_pixels: int = Field(8192 * 8192, gt=0, description="Largest picture accepted, in pixels.")
    max_hours: float = Field(24.0, gt=0, description="Longest film accepted.")


class ShotSettings(Section):
    """How the film is split into shots."""

    detector: str = Field(
        "adaptive", description="Shot engine: adaptive, content, fixed, or module:Class."
    )
    threshold: float | None = Field(
        None, gt=0, description="Detector threshold; None takes the engine's own."
    )
    min_seconds: float = Field(0.4, ge=0, description="No shot is shorter than this.")


class FaceSettings(Section):
    """How faces are found, followed and chosen."""

    detector: str = Field(
        "auto", description="Face engine: auto, embedded, retinaface, or module:Class."
    )
    landmarker: str = Field(
        "auto", description="Dense landmark engine: auto, embedded, or module:Class."
    )
    weights: str | None = Field(
        None, description="Weights file of the engine retinaface; None: from the weights cache."
    )
    landmarker_weights: str | None = Field(
        None, description="A landmarker of your own (train landmarks); None: dubkit's."
    )
    which: Literal["speaking", "largest", "all"] = Field("speaking", description="Faces to dub.")
    detect_every: float = Field(
        0.5, gt=0, description="Seconds between two detections while all is well."
    )
    detect_size: int = Field(
        512, ge=128, le=4096, description="Long side of the picture given to the detector."
    )
    min_score: Unit = Field(0.5, description="Detections under this score are ignored.")
    min_size: float = Field(
        32.0, gt=0, description="Faces narrower than this many pixels stay untouched."
    )
    max_yaw: float = Field(
        40.0, gt=0, le=90, description="Faces turned further stay untouched, degrees."
    )
    max_pitch: float = Field(
        35.0, gt=0, le=90, description="Faces tilted further stay untouched, degrees."
    )
    bridge_seconds: float = Field(
        0.3, ge=0, description="Longest gap in a track that is filled in."
    )
    min_track_seconds: float = Field(0.2, ge=0, description="Shorter tracks are dropped.")
    smoothing: Unit = Field(0.5, description="Strength of the two-sided landmark smoothing.")


class SpeechSettings(Section):
    """How the dub is turned into words and phonemes."""

    aligner: str = Field(
        "auto", description="Engine: auto, pocketsphinx, whisperx, even, or module:Class."
    )
    language: str | None = Field(
        None,
        description="Language of the dub, as dubkit languages lists it; None: the script's, else what is heard.",
    )
    trust_script: bool = Field(
        False, description="Take the script as it is, even where the dub does not seem to say it."
    )
    model: str = Field(
        "small", description="Recogniser of whisperx: a Whisper's name or a CTranslate2 folder."
    )
    align_model: str | None = Field(
        None, description="Alignment model of whisperx: name or folder; None: by language."
    )
    vad: Literal["silero", "pyannote", "level"] = Field(
        "silero", description="What tells speech from other sound for whisperx."
    )
    batch: int = Field(8, ge=1, le=256, description="Stretches that whisperx hears at once.")
    compute_type: Literal["default", "float32", "float16", "bfloat16", "int8", "int8_float16"] = (
        Field("default", description="Arithmetic of whisperx; default: what suits the device.")
    )


class AdaptSettings(Section):
    """How the generator is tuned to the film's own speakers."""

    enabled: bool = Field(
        False, description="Tune to the film's own footage and sound; kept only if it helps."
    )
    min_seconds: float = Field(10.0, ge=5, description="Least usable speech to tune on.")
    language: str | None = Field(
        None, description="Language of the film's own sound (ISO 639-1); None: en."
    )


class TimingSettings(Section):
    """How phonemes are laid on frames."""

    context_seconds: float = Field(0.8, ge=0, description="Speech seen beyond each cut.")
    offset_ms: float = Field(
        0.0, description="Shift the lips against the sound; positive is later."
    )


class GenerateSettings(Section):
    """How the mouth is made and the picture encoded."""

    synthesizer: str = Field(
        "warp", description="Engine: tcsc, warp (no image net), passthrough, or module:Class."
    )
    tc: str | None = Field(
        None, description="A net of your own from speech to mouths (train tc); None: dubkit's."
    )
    sc: str | None = Field(
        None, description="A net of your own from mouths to pictures (train sc); None: dubkit's."
    )
    actor: str | None = Field(
        None, description="Profile of the person in the film, made with dubkit adapt."
    )
    silence: Literal["closed", "original", "hold"] = Field(
        "closed", description="The mouth where nobody speaks."
    )
    amplitude: float = Field(1.0, ge=0, le=2, description="Strength of articulation.")
    references: int = Field(
        48, ge=1, le=512, description="Own frames kept to borrow texture from, per face."
    )
    feather: float = Field(
        0.12, gt=0, le=0.5, description="Width of the soft mask edge, in face widths."
    )
    codec: Literal["h264", "h265", "ffv1", "prores"] = Field(
        "h264", description="Picture codec of the result."
    )
    quality: float = Field(
        16.0, ge=0, le=51, description="CRF for h264 and h265; 0 is lossless (h264)."
    )
    speed: str = Field("veryfast", description="Encoder preset for h264 and h265.")


class StitchSettings(Section):
    """How the result is joined."""

    length: Literal["keep-video", "shortest", "freeze"] = Field(
        "keep-video",
        description="Sound and picture differ in length: keep the picture's (the sound is cut or padded), "
        "stop at the shorter, or freeze the last frame.",
    )
    audio_codec: Literal["auto", "copy", "aac", "flac", "pcm"] = Field(
        "auto", description="Codec of the dub."
    )
    keep_streams: bool = Field(
        True, description="Carry subtitles, chapters and metadata of the film."
    )


class ParallelSettings(Section):
    """Where the work runs; changes no result."""

    jobs: int | None = Field(
        None, ge=1, description="Worker processes; None: as many as cores or GPUs."
    )
    backend: Literal["loky", "threading", "dask"] = "loky"
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    on_failure: Literal["stop", "original"] = Field(
        "stop", description="A shot that fails: stop, or keep its picture."
    )


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
    deaf: Unit = Field(0.25, description="Share of windows without the sound.")
    noisy: Unit = Field(0.5, description="Share of windows with noise under the sound.")
    adaptive: bool = Field(True, description="The adaptive lip weight of phoneme runs.")
    motion: float = Field(1.0, ge=0, description="Weight of the motion inside phoneme runs.")
    closures: float = Field(2.0, ge=0, description="Additional weight of P B M.")
    course: float = Field(2.0, ge=0, description="Weight of the correlation of a window.")
    scale: float = Field(
        1.25, gt=0, description="Widens the answer at the end: regression is too timid."
    )


class ScTraining(LoopSettings):
    """Training of the SC net: mouth shapes to pixels."""

    decay: float = Field(1e-3, ge=0, description="Weight decay.")
    average: float = Field(
        0.998, ge=0, lt=1, description="Of the running mean of the weights, which is what is kept."
    )
    frames: int = Field(
        300, ge=30, description="Frames of a clip that are kept in memory, spread evenly."
    )


class LandmarkTraining(LoopSettings):
    """Fine-tuning of the landmarker on corrected landmarks."""

    rate: float = Field(1e-4, gt=0, description="Highest learning rate.")
    decay: float = Field(1e-4, ge=0, description="Weight decay.")
    average: float = Field(
        0.995, ge=0, lt=1, description="Of the running mean of the weights, which is what is kept."
    )
    background: Unit = Field(0.1, description="Share of samples that hold no face.")


class TrainSettings(Section):
    """How nets are trained on footage of your own; ``dubkit run`` reads none of it."""

    prepare: PrepareSettings = PrepareSettings()
    tc: TcTraining = TcTraining()
    sc: ScTraining = ScTraining()
    landmarks: LandmarkTraining = LandmarkTraining()


class Config(Section):
    """The whole configuration."""

    probe: ProbeSettings = ProbeSettings()
    shots: ShotSettings = ShotSettings()
    faces: FaceSettings = FaceSettings()
    speech: SpeechSettings = SpeechSettings()
    adapt: AdaptSettings = AdaptSettings()
    timing: TimingSettings = TimingSettings()
    generate: GenerateSettings = GenerateSettings()
    stitch: StitchSettings = StitchSettings()
    parallel: ParallelSettings = ParallelSettings()
    train: TrainSettings = TrainSettings()
