"""Every setting, its default and its limits: one frozen section per stage.

A preset holds differences only; see `dubkit.config.presets`. ``parallel`` belongs to no stage: changing it
invalidates nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

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
    min_found: Unit = Field(0.6, description="Least share of frames in which the face is found.")
    max_silence: float = Field(
        0.008, ge=0, description="Largest movement of the lips while nobody speaks, in face widths."
    )
    min_closures: Unit = Field(0.3, description="Least share of P, B, M with nearly closed lips.")
    max_offset_ms: float = Field(120.0, ge=0, description="Largest offset of lips and phonemes.")
    min_movement: float = Field(
        0.18, ge=0, description="Least movement of the lips in speech, over what phonemes require."
    )
    max_seam: float = Field(
        0.021,
        ge=0,
        description="Most detail added to skin around the mouth, over the source's nearby.",
    )
    max_flicker: float = Field(
        0.0068, ge=0, description="Largest change of brightness per frame over the source's, 0..1."
    )
    max_outside: float = Field(
        0.01, ge=0, description="Largest difference from the source away from the lower face, 0..1."
    )
    min_likeness: float = Field(
        0.99, ge=-1, le=1, description="Least similarity of the dubbed face to the source's."
    )
    min_sharpness: float = Field(
        0.35, ge=0, description="Least sharpness of the mouth, relative to the source's."
    )
    min_frame_sharpness: float = Field(
        0.87, ge=0, description="Least sharpness of the most blurred frames, over their neighbors."
    )
    max_stain: float = Field(
        9.0, ge=0, description="Largest change of the skin's color over an area, 0..255."
    )
    max_chin_edge: float = Field(
        0.18, ge=0, description="Strongest second edge under the chin, over the source's edges."
    )
    max_switching: float = Field(
        0.07, ge=0, description="Largest abrupt change of the inner mouth, frame to frame, 0..1."
    )
    max_pieces: float = Field(
        0.008, ge=0, description="Largest change beside the outline of the face, 0..1."
    )


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
    sound_versions: int = Field(
        5,
        ge=0,
        le=20,
        description="Versions of each clip's sound with another speed, microphone, room or noise.",
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
    """Training of the TC net: speech encoder rows, phonemes and levels to mouth shapes."""

    steps: int = Field(160, ge=1, description="Most steps; more overfit.")
    check_every: int = Field(
        40,
        ge=1,
        description="Steps between two checks, each with measures, a preview and saved state.",
    )
    rate: float = Field(2e-3, gt=0, description="Highest learning rate.")
    seconds: float = Field(
        2.4, ge=1.5, le=10, description="Length of a training window, in seconds."
    )
    width: int = Field(96, ge=8, le=512, description="Channels of the net.")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout rate of the channels.")
    row_dropout: float = Field(
        0.7, ge=0, lt=1, description="Dropout rate of the speech encoder's numbers."
    )
    decay: float = Field(0.03, ge=0, description="Weight decay.")
    average: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Decay of the moving average of the weights, which is the one kept.",
    )
    jitter: float = Field(0.01, ge=0, description="Standard deviation of frame times, in seconds.")
    script: Unit = Field(
        0.5, description="Share of windows with the phonemes of their script, where it is known."
    )
    wrong_script: Unit = Field(0.1, description="Share of these with another clip's phonemes.")
    clean: Unit = Field(0.3, description="Share of windows with the sound as recorded.")
    row_loss: Unit = Field(
        0.05, description="Share of windows with a script that lack the speech encoder's rows."
    )
    sound_dropout: Unit = Field(0.1, description="Share of windows without the mel levels.")
    noisy: Unit = Field(0.3, description="Share of windows with noise under the mel levels.")
    nonspeech: Unit = Field(
        0.06, description="Share of windows of noise and music in which nobody speaks."
    )
    adaptive: bool = Field(True, description="The adaptive lip weight of phoneme runs.")
    motion: float = Field(0.3, ge=0, description="Weight of the motion within phoneme runs.")
    closures: float = Field(2.0, ge=0, description="Additional weight of P, B, M.")
    correlation: float = Field(
        5.0, ge=0, description="Weight of the correlation of a window's opening with the true one."
    )
    width_correlation: float = Field(1.0, ge=0, description="The same of the mouth's width.")
    chin_correlation: float = Field(0.5, ge=0, description="The same of the chin's height.")
    closure_head: float = Field(0.5, ge=0, description="Weight of the closure head.")
    speech_head: float = Field(0.3, ge=0, description="Weight of the speech activity head.")
    scale: float = Field(
        1.1,
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


class ProbeSettings(Section):
    """What is accepted as a film."""

    max_pixels: int = Field(
        8192 * 8192, gt=0, le=2**28, description="Largest frame accepted, in pixels."
    )
    max_hours: float = Field(24.0, gt=0, description="Longest film accepted, in hours.")
    fields: Literal["auto", "top", "bottom", "none"] = Field(
        "auto",
        description="Interlaced film: auto: each field is worked on as a frame where the pictures are marked as "
        "interlaced; top or bottom: likewise, that field first, whatever the mark; none: whole frames.",
    )
    max_damaged: Unit = Field(
        0.001,
        description="Largest share of frames that cannot be decoded and repeat their neighbor; two always may.",
    )


class ConformSettings(Section):
    """How the dub is laid on the film, and what happens where it does not fit."""

    check: bool = Field(True, description="Lay the dub against the film's own sound.")
    dub_offset: float | None = Field(
        None,
        ge=-86400,
        le=86400,
        description="Seconds after the film's first frame at which the dub begins, below 0: its start is cut; "
        "None: the start time of a broadcast wave file, else 0.",
    )
    max_offset_ms: float = Field(
        80.0, gt=0, description="Largest offset anywhere in the film, measured by common sound."
    )
    max_speech_offset_ms: float = Field(
        400.0, gt=0, description="The same where only speech can be compared, which is coarser."
    )
    over: Literal["stop", "accept", "fix"] = Field(
        "stop",
        description="When the dub is off by more: stop before anything is rendered (warn where that is not "
        "certain), accept it, or move and stretch it.",
    )


class ShotSettings(Section):
    """How the film is split into shots."""

    detector: str = Field(
        "adaptive", description="Shot engine: adaptive, content, fixed, or module:Class."
    )
    threshold: float | None = Field(
        None, gt=0, description="Detector threshold; None: the engine's own."
    )
    min_seconds: float = Field(0.4, ge=0, description="Shortest shot, in seconds.")


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
        None, description="Landmarker weights of your own; None: dubkit's."
    )
    which: Literal["speaking", "largest", "all"] = Field("speaking", description="Faces to dub.")
    detect_every: float = Field(
        0.5, gt=0, description="Seconds between two detections while tracking is reliable."
    )
    detect_size: int = Field(
        512,
        ge=128,
        le=4096,
        description="Long side of the frames given to the detector, in pixels.",
    )
    min_score: Unit = Field(0.5, description="Detections under this score are ignored.")
    min_size: float = Field(32.0, gt=0, description="Narrowest face that is dubbed, in pixels.")
    max_yaw: float = Field(
        40.0, gt=0, le=90, description="Largest yaw of a face that is dubbed, in degrees."
    )
    max_pitch: float = Field(
        35.0, gt=0, le=90, description="Largest pitch of a face that is dubbed, in degrees."
    )
    max_covered: Unit = Field(
        0.14,
        description="Largest occluded share of the lower face; frames beyond it stay untouched. 1: dub all.",
    )
    bridge_seconds: float = Field(
        0.3, ge=0, description="Longest gap in a track that is interpolated, in seconds."
    )
    min_track_seconds: float = Field(
        0.2, ge=0, description="Shorter tracks are dropped; in seconds."
    )
    smoothing: Unit = Field(0.5, description="Strength of the two-sided landmark smoothing.")


class AppearanceSettings(Section):
    """How faces are described, so that those of one person are known in every shot."""

    engine: str = Field("auto", description="Appearance engine: auto, embedded, or module:Class.")
    samples: int = Field(
        5, ge=1, le=32, description="Frames of a face that are described; more cost time."
    )


class CastSettings(Section):
    """How the faces of the film are grouped into people."""

    likeness: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Least mean similarity of faces that count as one person; more splits people in two.",
    )


class SpeechSettings(Section):
    """How the dub is turned into words and phonemes."""

    aligner: str = Field(
        "auto", description="Engine: auto, whisperx, whisper, pocketsphinx, even, or module:Class."
    )
    language: str | None = Field(
        None,
        description="Language of the dub; dubkit languages lists the codes. None: detected from script or dub.",
    )
    recognize: bool = Field(
        False,
        description="Recognize the words of a dub without a script: they are shown, the lips need none.",
    )
    trust_script: bool = Field(
        False, description="Use the script even where it does not seem to match the dub."
    )
    model: str = Field(
        "auto",
        description="Recognizer: name of a Whisper model, or a CTranslate2 folder; auto: the best one that is here.",
    )
    align_model: str | None = Field(
        None, description="Alignment model of whisperx: name or folder; None: by language."
    )
    vad: Literal["silero", "pyannote", "level"] = Field(
        "silero", description="Voice activity detector of the recognizer; pyannote: whisperx only."
    )
    batch: int = Field(8, ge=1, le=256, description="Batch size of whisperx.")
    compute_type: Literal["default", "float32", "float16", "bfloat16", "int8", "int8_float16"] = (
        Field("default", description="Precision of the recognizer; default: what suits the device.")
    )


def _switch(value: object) -> object:
    """``true`` and ``false`` as the command line gives them."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class AdaptSettings(Section):
    """How the generator is tuned to the film's own speakers."""

    enabled: Annotated[Literal["auto", True, False], BeforeValidator(_switch)] = Field(
        False,
        description="Adapt to how the film's people speak, kept only if it helps. auto: those with enough usable "
        "speech; true: the run ends where nobody has enough; false: nobody.",
    )
    min_seconds: float = Field(
        8.0, ge=5, description="Least usable speech of a person to adapt to, in seconds."
    )
    persons: Literal["apart", "one"] = Field(
        "apart", description="Adapt to each person apart, or treat all faces as one person."
    )


class ReferenceSettings(Section):
    """What a face borrows from the same person in other shots."""

    borrowed: int = Field(
        8,
        ge=0,
        le=64,
        description="Frames of other shots that a face may borrow, of mouths that its shot does not show.",
    )
    consented: tuple[str, ...] | None = Field(
        None,
        description="People of the cast who may be dubbed, others stay as filmed; --consent sets it. None: everybody.",
    )
    without_consent: Literal["original", "stop"] = Field(
        "original",
        description="With --consent, who has none for this language: original: stays as filmed; stop: nothing is "
        "rendered.",
    )


class TimingSettings(Section):
    """How phonemes are laid on frames."""

    context_seconds: float = Field(
        0.8, ge=0, description="Speech taken into account beyond each cut, in seconds."
    )
    offset_ms: float = Field(
        0.0, description="Shift of the lips against the sound; positive is later."
    )


class GenerateSettings(Section):
    """How the mouth is made and the picture encoded."""

    synthesizer: str = Field(
        "warp", description="Engine: tcsc, warp (no image net), passthrough, or module:Class."
    )
    tc: str | None = Field(
        None, description="Your own net from speech to mouth shapes (train tc); None: dubkit's."
    )
    sc: str | None = Field(
        None, description="Your own net from mouth shapes to pictures (train sc); None: dubkit's."
    )
    actor: str | None = Field(
        None, description="Profile of the person in the film, made with dubkit adapt."
    )
    silence: Literal["rest", "closed", "original", "hold"] = Field(
        "rest",
        description="Mouth while nobody speaks: as this person rests, closed, as filmed, or as it was last.",
    )
    amplitude: float = Field(1.0, ge=0, le=2, description="Strength of articulation.")
    references: int = Field(
        48, ge=1, le=512, description="Frames of the film kept as texture references, per face."
    )
    feather: float = Field(
        0.12, gt=0, le=0.5, description="Width of the soft mask edge, in face widths."
    )
    codec: Literal[
        "source", "h264", "h265", "ffv1", "prores", "dnxhr", "cineform", "vp9", "av1"
    ] = Field(
        "source",
        description="Picture codec of the result; source: the film's own, or H.264 where that is a delivery codec "
        "that cannot be written.",
    )
    label: str | None = Field(
        None,
        pattern=r"^[ -~]{1,80}$",
        description="Text shown in the picture, in ASCII, as in Dubbed with AI. None: no label.",
    )
    label_position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = Field(
        "bottom-left", description="Corner of the label."
    )
    label_as: Literal["picture", "subtitle"] = Field(
        "picture",
        description="How the label is shown: drawn into the picture, or as a subtitle track.",
    )
    label_seconds: float = Field(
        5.0, gt=0, le=86_400, description="How long the label is shown, from the film's start."
    )
    copy_frames: Literal["auto", "off"] = Field(
        "auto",
        description="Frames in which nothing is painted: auto: copied where the codec allows it; off: encoded again.",
    )
    quality: float = Field(
        16.0,
        ge=0,
        le=51,
        description="CRF of H.264 and HEVC, and its equal for VP9 and AV1; 0 is lossless.",
    )
    speed: str = Field("veryfast", description="Encoder preset for h264 and h265.")


class StitchSettings(Section):
    """How the result is joined."""

    credentials: Literal["off", "auto"] = Field(
        "off",
        description="Content credentials (C2PA): auto: a signed manifest in the film, or beside it where the container "
        "holds none; without the extra c2pa its facts in a JSON file; signed films differ from run to run.",
    )
    certificate: str | None = Field(
        None,
        description="Certificate chain (PEM) that content credentials are signed with. None: a self-made test one.",
    )
    private_key: str | None = Field(
        None, description="Private key (PEM, without a password) of the certificate."
    )
    length: Literal["keep-video", "shortest", "freeze"] = Field(
        "keep-video",
        description="When sound and picture differ in length: keep the picture's (the sound is cut or padded), "
        "stop at the shorter, or freeze the last frame.",
    )
    audio_codec: Literal["auto", "copy", "aac", "flac", "pcm"] = Field(
        "auto",
        description="Codec of the dub; auto: copied where the container holds it, else lossless where the dub is "
        "and the container can, else at 192 kb/s or more.",
    )
    keep_audio: Literal["all", "original", "none"] = Field(
        "all",
        description="Sound tracks of the film that are kept after the dub: all, original (the main one), or none.",
    )
    me_track: int | None = Field(
        None,
        ge=1,
        description="Sound track of the film, counted from 1, that holds music and effects and is mixed under the dub.",
    )
    me_gain_db: float = Field(
        0.0, ge=-60, le=24, description="Gain of music and effects that are mixed under the dub."
    )
    max_true_peak: float | None = Field(
        -1.0,
        ge=-20,
        le=0,
        description="True peak in dBTP that such a mix is limited to; None: left as it is, and reported.",
    )
    keep_streams: bool = Field(
        True, description="Keep subtitles, attachments, chapters and metadata of the film."
    )


class ParallelSettings(Section):
    """Where the work runs; changes no result."""

    jobs: int | None = Field(None, ge=1, description="Parallel workers; None: one per core or GPU.")
    backend: Literal["loky", "threading", "dask"] = Field(
        "loky", description="Kind of workers: processes, threads, or a Dask cluster."
    )
    scheduler: str | None = Field(
        None, description="Address of a Dask scheduler, tcp://host:8786; None: a local cluster."
    )
    device: str = Field("auto", description="Device of the nets: auto, cpu, cuda, cuda:N or mps.")
    on_failure: Literal["stop", "original"] = Field(
        "stop", description="When a shot cannot be rendered: stop, or keep its original picture."
    )


class Config(Section):
    """The whole configuration."""

    probe: ProbeSettings = ProbeSettings()
    conform: ConformSettings = ConformSettings()
    shots: ShotSettings = ShotSettings()
    speech: SpeechSettings = SpeechSettings()
    faces: FaceSettings = FaceSettings()
    appearance: AppearanceSettings = AppearanceSettings()
    cast: CastSettings = CastSettings()
    adapt: AdaptSettings = AdaptSettings()
    references: ReferenceSettings = ReferenceSettings()
    timing: TimingSettings = TimingSettings()
    generate: GenerateSettings = GenerateSettings()
    gate: GateSettings = GateSettings()
    stitch: StitchSettings = StitchSettings()
    parallel: ParallelSettings = ParallelSettings()
    train: TrainSettings = TrainSettings()


STAGE_NAMES = tuple(name for name in Config.model_fields if name not in ("parallel", "train"))
