"""Join the shots, lay the dub under them, check the result. Publishes ``film.<suffix>``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from dubkit.config.schema import Config, ConformSettings
from dubkit.errors import OutputError, UsageError, WorkError
from dubkit.media import (
    audio,
    codecs,
    concat,
    container,
    copying,
    credentials,
    fields,
    frames,
    loudness,
    planes,
    process,
    result_check,
    streams,
)
from dubkit.media.mux import Mix, Parts, mix_loudness, mux
from dubkit.media.probe import head, probe, refuse_damaged, stream_facts
from dubkit.media.writer import FrameWriter
from dubkit.metrics.gate_limits import GateResult, load_gate
from dubkit.records import Integers, Job, Placement, Shot, StreamInfo, VideoInfo
from dubkit.speech.timing import load_speech
from dubkit.stages import base, conform, generate
from dubkit.stages.probe import load_film, load_places_to_cut
from dubkit.stages.shots import load_shots
from dubkit.version import __version__
from dubkit.work.store import digest_file, read_record, write_record

Pts = Integers
_ROUNDING = 0.02  # seconds of a dub after the film that are no more than a coded frame of sound
_MOST_WORDS = 12  # that are named
beside = credentials.beside  # files that go along with the film


@dataclass(frozen=True, slots=True)
class Picture:
    """The pictures of the result: what they are made of and when they are shown."""

    segments: tuple[concat.Piece, ...]
    pts: Pts
    copied: bool  # the source's own coded pictures
    samples: tuple[result_check.Sample, ...] = ()  # to compare with the source
    changed: bool = False  # a mouth was


def run(context: base.StageContext) -> base.StageReport:
    """Make the film."""
    info, pts = load_film(context.folder("probe"))
    encoding = codecs.encoding_for(info, context.config.generate)
    suffix = container.check_delivery(context.job.output, encoding.codec)
    dub = audio.audio_info(context.job.audio)
    placed = conform.load_conform(context.folder("conform"))
    heard = placed.placement.film_time(dub.duration)
    picture = _picture(context, info, pts, heard, encoding.codec)
    joined = context.out / "picture.part"
    coded, time_base = _times(picture.pts, info)
    bare = suffix == ".ts"  # no place for headers
    count = concat.join_segments(
        picture.segments, coded, time_base, joined, repeated=bare, progressive=info.progressive
    )
    made = replace(picture, pts=_lengthened(picture.pts, count * info.lines, info))
    film = context.out / f"film{suffix}"
    plan = _plan_streams(info.streams, info.video_stream, suffix, context.config)
    parts, mixed = _parts(context, info, dub, joined, made, plan, placed.placement)
    if text := _label_text(context.config):
        parts = replace(parts, label=context.out / "label.part")
        (context.out / "label.part").write_text(text)
    mux(parts, film)
    joined.unlink()
    for extra in context.out.glob("*.part*"):
        extra.unlink()
    seconds = result_check.check_result(
        film,
        result_check.Promise(
            source=context.job.video,
            info=info,
            source_pts=pts,
            pts=made.pts,
            seconds=_seconds(made.pts, info),
            encoding=encoding,
            quality=context.config.generate.quality,
            copied=picture.copied,
            plan=plan,
            sound=parts.sound,
            samples=picture.samples,
        ),
    )
    signed = _credentials(context, film, info) if made.changed else ()
    return base.StageReport(
        engine=f"ffmpeg {process.program_version('ffmpeg')}",
        warnings=(
            *plan.warnings,
            *mixed.warnings,
            *_remarks(context, parts, dub, suffix, heard),
            *signed,
        ),
        notes=(*plan.notes, *mixed.notes, *_lossy(dub, parts.sound, suffix)),
        facts={
            "frames": len(made.pts),
            "seconds": round(seconds, 3),
            "copied": picture.copied,
            **mixed.facts,
        },
    )


def _credentials(context: base.StageContext, film: Path, info: VideoInfo) -> tuple[str, ...]:
    """Sign the film, or write the facts beside it, where that is wanted; returns what is to be said of it."""
    settings, job = context.config.stitch, context.job
    if settings.credentials == "off":
        return ()
    facts = _facts_of_change(context, info)
    if credentials.missing() is None:
        signer = load_signer(context.config)
        return credentials.attach(film, job.video, facts, signer, job.output.name)
    facts["result_sha256"] = digest_file(film)
    write_record(context.out / credentials.SIDECAR, facts, dict[str, object])
    why = credentials.missing()
    return (f"content credentials are a file beside the film, unsigned: {why}",)


def load_signer(config: Config) -> credentials.Signer:
    """Who signs, by the settings. Raises UsageError, InputError."""
    certificate, key = config.stitch.certificate, config.stitch.private_key
    return credentials.load_signer(
        Path(certificate).expanduser() if certificate else None,
        Path(key).expanduser() if key else None,
    )


def _facts_of_change(context: base.StageContext, info: VideoInfo) -> dict[str, object]:
    """What was changed of which film where, and by what."""
    job, config = context.job, context.config
    shots, rate = [], float(info.average_rate)
    folders = zip(context.inputs["generate"], context.inputs["gate"], strict=True)
    for shot, (folder, gate) in zip(load_shots(context.folder("shots")), folders, strict=True):
        result = read_record(folder / generate.RESULT, generate.GenerateResult)
        if not result.painted or load_gate(gate).kept:
            continue
        spans = result.mouths or result.spans or ((shot.start, shot.end),)
        shots.append(
            {
                "shot": shot.name,
                "frames": [list(span) for span in spans],
                "seconds": [[round(frame / rate, 3) for frame in span] for span in spans],
                "changed": "mouth region",
            }
        )
    people = config.references.consented
    return {
        "digital_source_type": credentials.SOURCE_TYPE,
        "dubkit": __version__,
        "source": {"name": job.video.name, "sha256": _digest(context, "video", job.video)},
        "dub": {"name": job.audio.name, "sha256": _digest(context, "audio", job.audio)},
        "language": config.speech.language or dub_language(audio.audio_info(job.audio), config),
        "generator": generate.identity(config),
        "consent": "not checked" if people is None else list(people),
        "label": config.generate.label,
        "shots": shots,
    }


def _digest(context: base.StageContext, name: str, path: Path) -> str:
    given = context.given.get(name)
    return given.sha256 if given else digest_file(path)


def _times(pts: Pts, info: VideoInfo) -> tuple[Pts, Fraction]:
    """Times of coded frames and their unit; where that of a constant rate was too coarse, one that holds it exactly.

    Muxers derive the rate that a file states from these times: milliseconds of 23.976 frames/s make another one.
    """
    whole = fields.woven(info)
    if whole.frames == 1:  # no time follows that says how long it is shown
        return fields.frame_times(pts - pts[0], info), 1 / whole.average_rate
    if whole.rate is None or (1 / (whole.rate * whole.time_base)).denominator == 1:
        return fields.frame_times(pts, info), whole.time_base
    count = len(fields.frame_times(pts, info))
    return np.arange(count) * whole.rate.denominator, Fraction(1, whole.rate.numerator)


def _picture(
    context: base.StageContext, info: VideoInfo, pts: Pts, sound: float, wanted: str
) -> Picture:
    """Choose the segments and the length."""
    settings = context.config.stitch
    segments, results = _segments(context)
    damaged = sum(result.repaired for result in results)
    refuse_damaged(context.job.video, damaged, info.frames, context.config.probe.max_damaged)
    samples = tuple(result.sample for result in results if result.sample is not None)
    copies = context.config.generate.copy_frames == "auto"
    changed = any(result.painted for result in results)
    as_it_was = not damaged and not any(result.touched for result in results)
    step = 1 / float(info.average_rate)
    if settings.length == "freeze" and sound > info.duration + step / 2:
        more = math.ceil((sound - info.duration) / step / info.lines - 1e-6) * info.lines
        frozen = _freeze(context, info, segments[-1], more)
        return Picture(
            (*segments, frozen), _lengthened(pts, len(pts) + more, info), False, samples, changed
        )
    if settings.length == "shortest" and sound < info.duration - step / 2:
        elapsed = (pts - pts[0]) * float(info.time_base)
        count = max(1, int(np.searchsorted(elapsed, sound - step / 2)))
        pts = pts[: -(-count // info.lines) * info.lines]
    if as_it_was and copies and info.codec == wanted and concat.can_copy(context.job.video, info):
        return Picture((context.job.video,), pts, True, samples)
    return Picture(segments, pts, False, samples, changed)


def _segments(
    context: base.StageContext,
) -> tuple[tuple[concat.Piece, ...], list[generate.GenerateResult]]:
    """The segment of every shot in film order, and what was made of each."""
    shots = load_shots(context.folder("shots"))
    gates = [load_gate(folder) for folder in context.inputs["gate"]]
    _refuse(gates)
    ways = zip(gates, context.inputs["gate"], context.inputs["generate"], strict=True)
    folders = [own if gate.kept else made for gate, own, made in ways]
    kept = [gate.kept for gate in gates]
    if len(folders) != len(shots):
        raise WorkError(f"{len(folders)} of {len(shots)} shots are rendered", hint="run again")
    results = [read_record(folder / generate.RESULT, generate.GenerateResult) for folder in folders]
    for shot, result in zip(shots, results, strict=True):
        if result.frames != shot.frames:
            raise WorkError(
                f"shot {shot.name} was made with {result.frames} frames",
                hint="run again with --force generate",
            )
    segments = [folder / generate.SEGMENT for folder in folders]  # of untouched shots none
    if context.config.gate.border == "fade" and any(kept):
        segments = _faded(context, shots, kept, segments)
    film = _Coded.of(context)
    pieces: list[concat.Piece] = []
    for shot, segment, folder, result in zip(shots, segments, folders, results, strict=True):
        pieces += film.pieces(shot, segment, folder, result)
    return tuple(pieces), results


@dataclass(frozen=True, slots=True)
class _Coded:
    """The film as it is coded, whose own pictures stand where nothing was painted."""

    path: Path
    times: Pts  # of coded frames
    info: VideoInfo
    anywhere: bool  # whether single frames may be taken out of it

    @classmethod
    def of(cls, context: base.StageContext) -> _Coded:
        info, pts = load_film(context.folder("probe"))
        times, settings = fields.frame_times(pts, info), context.config.generate
        anywhere = (
            copying.stands_alone(info.codec)
            and copying.can_meet(info, codecs.encoding_for(info, settings), settings)
            and len(load_places_to_cut(context.folder("probe"))) == len(times)
        )
        return cls(context.job.video, times, info, anywhere)

    def span(self, first: int, last: int) -> concat.Span:
        """Coded frames from ``first`` to before ``last``."""
        times = self.times
        return concat.Span(self.path, self.info, int(times[first]), int(times[last - 1]))

    def pieces(
        self, shot: Shot, segment: Path, folder: Path, result: generate.GenerateResult
    ) -> list[concat.Piece]:
        """What the pictures of a shot are made of."""
        if result.copied is not None:
            first, last = (index // self.info.lines for index in result.copied)
            ends = (folder / generate.HEAD, folder / generate.TAIL)  # made before and after them
            head, tail = ([path] if path.is_file() else [] for path in ends)
            return [*head, self.span(first, last), *tail]
        first, last = shot.start // self.info.lines, -(-shot.end // self.info.lines)
        if result.groups and segment.name == generate.SEGMENT:
            coded = [(a // self.info.lines, b // self.info.lines) for a, b in result.groups]
            own = [(a, b, self.span(a, b)) for a, b in coded]
            return concat.between_groups(segment, first, own, last - first)
        if result.spans is None or not self.anywhere:
            return [segment]
        painted = np.zeros(last - first, np.bool_)
        for start, end in (*result.spans, *((at, at + 1) for at in result.damaged)):
            painted[start // self.info.lines - first : -(-end // self.info.lines) - first] = True
        return concat.between_painted(
            segment, self.span(first, last), self.times[first:last], painted
        )


def _faded(
    context: base.StageContext,
    shots: Sequence[Shot],
    kept: Sequence[bool],
    segments: Sequence[Path],
) -> list[Path]:
    """The segments; a dubbed one beside one that keeps its picture fades, where the film goes on over the cut."""
    info, pts = load_film(context.folder("probe"))
    reader = frames.FrameReader(context.job.video, info, pts)
    long = max(1, round(concat.SECONDS * float(info.average_rate)))
    cuts = {
        shots[i].start: concat.goes_on(reader, shots[i].start)
        for i in range(1, len(shots))
        if kept[i] != kept[i - 1]
    }
    found = list(segments)
    for number, (shot, own) in enumerate(zip(shots, kept, strict=True)):
        most = min(long, shot.frames // 2)
        head, tail = (most if cuts.get(at) else 0 for at in (shot.start, shot.end))
        made = segments[number].is_file()
        if made and not own and (head or tail) and concat.can_fade(segments[number], reader):
            found[number] = context.out / f"fade-{shot.name}.part"
            fade = concat.Fade(head, tail)
            concat.fade_segment(
                *(segments[number], reader, shot.start, fade),
                settings=context.config.generate,
                out=found[number],
                encoding=generate.shot_encoding(context, reader.info),
            )
    return found


def _refuse(gates: Sequence[GateResult]) -> None:
    """Raise OutputError where shots fail the gate and no film is wanted then."""
    bad = [gate for gate in gates if gate.refused]
    if bad:
        shots = "; ".join(f"shot {gate.shot}: {', '.join(gate.reasons)}" for gate in bad)
        raise OutputError(
            f"{len(bad)} of {len(gates)} shots fail the gate: {shots}",
            hint="--gate keep-original makes the film with their original picture; --verdicts approves shots",
        )


def _lengthened(pts: Pts, count: int, info: VideoInfo) -> Pts:
    """The times of ``count`` pictures: those beyond the film follow at its average rate."""
    step = 1 / float(info.average_rate * info.time_base)
    more = pts[-1] + np.rint(step * np.arange(1, count - len(pts) + 1)).astype(np.int64)
    return np.concatenate([pts, more])


def _freeze(context: base.StageContext, info: VideoInfo, segment: concat.Piece, more: int) -> Path:
    """A segment of ``more`` pictures like the last one of ``segment``."""
    if isinstance(segment, concat.Span):
        segment = segment.film
    there, times = probe(segment)
    last = next(frames.FrameReader(segment, there, times).read(there.frames - 1, there.frames))
    path = context.out / "freeze.part"
    # gray H.264 is decoded with empty chroma planes, and deep samples may have been reduced
    gray = planes.plane_format(info).planes == 1
    same = replace(info, pixel_format=there.pixel_format, color=there.color, alpha=there.alpha)
    like = info if gray else same
    settings = context.config.generate
    encoding = generate.shot_encoding(context, like)
    with FrameWriter(path, like, settings, encoding=encoding) as writer:
        for pts in _lengthened(np.zeros(1, np.int64), more, info):
            writer.write(last.planes[: planes.plane_format(like).planes], int(pts), last.extras)
    return path


def _lossy(dub: audio.AudioInfo, sound: streams.Sound, suffix: str) -> tuple[str, ...]:
    """A sentence where sound that was lossless no longer is."""
    if not (sound.bit_rate and dub.codec.startswith(("pcm_", "flac", "alac"))):
        return ()
    return (
        f"the dub ({dub.codec}) becomes {sound.codec} at {sound.bit_rate // 1000} kb/s: "
        f"{suffix} holds no lossless sound; a .mov or .mkv does",
    )


@dataclass(frozen=True, slots=True)
class Mixed:
    """What is said of a mix."""

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, float | None] = field(default_factory=dict)


def _parts(
    context: base.StageContext,
    info: VideoInfo,
    dub: audio.AudioInfo,
    joined: Path,
    picture: Picture,
    plan: streams.StreamPlan,
    placement: Placement,
) -> tuple[Parts, Mixed]:
    settings, job = context.config.stitch, context.job
    seconds = _seconds(picture.pts, info)
    mix, wide = _mix(job, context.config, info, dub)
    short = placement.film_time(dub.duration) < seconds - 1 / float(info.average_rate)
    changed = placement.moves or mix is not None
    suffix = job.output.suffix.lower()
    parts = Parts(
        picture=joined,
        dub=job.audio,
        source=job.video,
        info=info,
        offset=concat.film_offset(job.video, int(picture.pts[0]), info),
        seconds=seconds,
        sound=streams.plan_dub(wide, suffix, settings.audio_codec, pad=short, changed=changed),
        dub_stream=dub.stream,
        plan=plan,
        codec=codecs.result_codec(info, context.config.generate),
        keep=settings.keep_streams,
        language=dub_language(dub, context.config),
        title=dub.title,
        placement=placement,
        dub_rate=dub.rate,
        mix=mix,
        changed=picture.changed,
    )
    return _limited(parts, settings.max_true_peak) if mix else (parts, Mixed())


def _mix(
    job: Job, config: Config, info: VideoInfo, dub: audio.AudioInfo
) -> tuple[Mix | None, audio.AudioInfo]:
    """What is mixed under the dub, if anything, and the facts of what then is the dub's track."""
    settings = config.stitch
    under: audio.AudioInfo | StreamInfo
    if job.me is not None:
        under = audio.audio_info(job.me, whole=False)
        place, _, _ = conform.place(job.video, job.me, info, ConformSettings())
        path, stream = job.me, under.stream
    elif settings.me_track is not None:
        under = film_track(info.streams, settings.me_track)
        place, path, stream = Placement(), None, under.index
    else:
        return None, dub
    wide = max(under, dub, key=lambda one: one.channels)
    named = container.layout_of(wide.channels, wide.layout)
    if named is None:
        raise UsageError(
            f"dub or music and effects have {wide.channels} channels in no stated order",
            hint="mix them with --me beforehand, or state their layout",
        )
    plain = streams.is_lossless(dub.codec)
    merged = replace(dub, channels=wide.channels, codec="pcm_s24le" if plain else dub.codec)
    return Mix(path, stream, place, settings.me_gain_db, dub.rate, named), merged


def film_track(found: Sequence[StreamInfo], number: int) -> StreamInfo:
    """Sound track ``number`` of a film. Raises UsageError with those that there are."""
    tracks = dict(streams.kept_sound(found, "all"))
    if number not in tracks:
        names = "; ".join(f"{n} ({streams.described(t)})" for n, t in tracks.items())
        raise UsageError(
            f"the film has no sound track {number} for music and effects",
            hint=f"its sound tracks: {names}"
            if names
            else "it has no sound; give a file with --me",
        )
    return tracks[number]


def _limited(parts: Parts, most: float | None) -> tuple[Parts, Mixed]:
    """The mix with its peaks limited where they have to be, and what is to be said of it."""
    assert parts.mix is not None
    found = mix_loudness(parts)
    gain = f"music and effects are mixed under the dub at {parts.mix.gain:+g} dB"
    if found is None:
        return parts, Mixed(notes=(gain,))
    notes = (f"{gain}: {found.words}",)
    facts = loudness.facts(found, "mix_")
    peak = found.true_peak
    if peak is None or peak <= (0.0 if most is None else most):
        return parts, Mixed(notes=notes, facts=facts)
    if most is None:
        told = f"the mix reaches {peak:+.1f} dBTP and may clip"
        return parts, Mixed((told,), notes, facts)
    told = f"the mix would reach {peak:+.1f} dBTP: its peaks are limited to {most:g} dBTP"
    return replace(parts, mix=replace(parts.mix, ceiling=most)), Mixed((told,), notes, facts)


def _remarks(
    context: base.StageContext, parts: Parts, dub: audio.AudioInfo, suffix: str, heard: float
) -> list[str]:
    """What is to be said of the dub's sound and of the container; ``heard`` is when the dub ends."""
    remarks = []
    info, seconds, copied = parts.info, parts.seconds, parts.sound.codec == "copy"
    if info.rotation and suffix == ".mkv":
        remarks.append("an .mkv cannot store the rotation of the film: use .mp4 or .mov")
    if not dub.finite:
        fate = "are kept, because the sound is copied" if copied else "become silence"
        remarks.append(f"samples of the dub that are not numbers {fate}")
    if copied and heard < seconds - 1 / float(info.average_rate):
        remarks.append("the copied sound is shorter than the film: it is not padded")
    if heard > seconds + _ROUNDING and context.inputs.get("speech"):
        speech = load_speech(context.folder("speech"))
        words = conform.lost_words(speech, parts.placement, seconds)
        count = "1 word" if len(words) == 1 else f"{len(words)} words"
        if words:
            remarks.append(
                f"{heard - seconds:.3f} s of the dub are cut off, and with them {count}: "
                f"{' '.join(words[:_MOST_WORDS])}{' ...' if len(words) > _MOST_WORDS else ''}"
            )
    return remarks


def dub_language(dub: audio.AudioInfo, config: Config) -> str | None:
    """The language of the dub's track in three letters: the one that was given, else the file's own tag."""
    return streams.language_code(config.speech.language or dub.language)


def plan_result(job: Job, config: Config) -> tuple[str, ...]:
    """What will be left out of the result or converted for it, a sentence each, from the heads of film and dub.

    Raises UsageError where the container cannot hold the dub.
    """
    suffix = job.output.suffix.lower()
    info = head(job.video, config.probe.fields)
    plan = _plan_streams(info.streams, info.video_stream, suffix, config)
    if config.stitch.credentials != "off" and credentials.missing() is None:
        load_signer(config)
    dub = audio.audio_info(job.audio, whole=False)
    if job.me is not None and config.stitch.me_track is not None:
        raise UsageError(
            "music and effects are given as a file and as a track of the film",
            hint="give one of --me and stitch.me_track",
        )
    mix, _ = _mix(job, config, info, dub)  # may refuse
    moves = mix is not None or bool(config.conform.dub_offset)
    streams.plan_dub(dub, suffix, config.stitch.audio_codec, changed=moves)  # may refuse
    told = [*plan.warnings, *plan.notes, *copying.obstacles(job.video, info, config.generate)]
    twins = [c for c in plan.carried if c.kind == "audio" and c.language]
    code = dub_language(dub, config)
    if any(streams.language_code(c.language) == code for c in twins):
        told.append(f"the dub and a kept sound track of the film are both tagged {code}")
    with container.open_media(job.audio) as media:
        extra = [s for s in stream_facts(media) if s.kind == "audio"][1:]
    if extra:
        names = "; ".join(streams.described(track) for track in extra)
        told.append(
            f"only the first sound track of {job.audio.name} is used as the dub, not: {names}"
        )
    return tuple(told)


def _plan_streams(
    found: Sequence[StreamInfo], main: int, suffix: str, config: Config
) -> streams.StreamPlan:
    settings = config.stitch
    held, keep = container.HOLDS[suffix], settings.keep_audio
    plan = streams.plan_streams(
        *(found, main, suffix), keep=keep, others=settings.keep_streams, held=held
    )
    return streams.with_label(plan, suffix) if _label_text(config) else plan


def _label_text(config: Config) -> str:
    """The label as a file of subtitles; empty where it is none."""
    settings = config.generate
    if settings.label is None or settings.label_as != "subtitle":
        return ""
    seconds = int(settings.label_seconds)
    end = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    thousandths = round(settings.label_seconds * 1000) % 1000
    return f"1\n00:00:00,000 --> {end},{thousandths:03d}\n{settings.label}\n"


def _seconds(pts: Pts, info: VideoInfo) -> float:
    """Length of the result: the last picture is shown as long as it was in the film."""
    span = float((pts[-1] - pts[0]) * info.time_base)
    if len(pts) == info.frames:
        return max(info.duration, span)
    return span + 1 / float(info.average_rate)


def identity(config: Config) -> str:
    """The program that writes the file."""
    return f"ffmpeg {process.program_version('ffmpeg')}"


STAGE = base.Stage(
    name="stitch",
    per=base.Per.JOB,
    source=base.Source.DUB,
    after=("probe", "conform", "shots", "speech", "generate", "gate"),
    run=run,
    version=8,
    sections=("stitch", "generate", "gate", "probe", "speech"),
    files=("video", "audio", "me"),
    identity=identity,
)
