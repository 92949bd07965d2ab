"""Make shots in which it is known who speaks, dub them, and count who was dubbed.

    python tests/benchmarks/who_speaks.py DATA OUT [--people val|train] [--set K=V] [--until STAGE]

DATA is the folder of clips. Over forty shots are put together from people of one split: one who speaks, shot and
reverse shot, pairs side by side, turns within a shot, narrators, crowds, a television in the scene (mute, and
speaking), two who speak at once, one who stops. Listeners are frames in which that person's mouth is shut, to and fro
under a slow camera. The dub is other speech from end to end, so that somebody speaks nearly always. Shots follow one
another in one film (a shot list says where they begin); nothing is said to dubkit of who speaks.

Counted are frames of faces: ``right`` is the share in which a mouth is dubbed where its person speaks, and is left as
filmed where not. Near a change of speaker (`EDGE` seconds) nothing is counted, nor where a speaker is silent.
``moved`` are listeners of whom more than a blink was dubbed, ``missed`` the share of the speakers' frames that were
not. Prints a line a shot, then the sums; writes ``who_speaks.json`` into OUT.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import dubkit
from dubkit.faces.selection import load_tracks
from dubkit.media.audio import load_samples
from dubkit.records import FaceState, TrackChoice
from dubkit.speech import activity
from dubkit.work.store import read_record

RATE, SIDE = 25, 400
WIDTH = 2 * SIDE
EDGE = 0.4  # seconds around a change of speaker
BLINK = 3  # frames of a listener that may be dubbed
LENGTH = 3.0  # seconds of most shots
VIDEO = [
    "-r",
    str(RATE),
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-crf",
    "12",
    "-pix_fmt",
    "yuv420p",
]
SOUND = ["-c:a", "pcm_s16le", "-ar", "48000", "-ac", "1"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who speaks, and where in the clip the mouth is shut."""

    file: str
    start: float = 0.0  # seconds, of the speech that is taken
    rest: tuple[float, int] | None = None  # seconds, frames
    crop: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in the picture: who sits there, and when this person speaks (seconds)."""

    person: str
    speaks: tuple[float, float] | None
    moving: bool = False  # a mouth that moves though it is not heard: a mute television


@dataclass(frozen=True, slots=True)
class Made:
    """A shot: its kind, its places from left to right and top to bottom, and the voice from elsewhere."""

    kind: str
    seats: tuple[Seat, ...]
    seconds: float = LENGTH
    narrator: str | None = None
    television: bool = False  # the second place is a small screen in the background


def shots(people: dict[str, Person], voices: Sequence[str]) -> list[Made]:
    """The shots, from people who speak (``voices``) and those of them who can also rest."""
    rests = [name for name in people if people[name].rest]
    made: list[Made] = []
    for k, name in enumerate(voices):
        other = (
            rests[k % len(rests)] if rests[k % len(rests)] != name else rests[(k + 1) % len(rests)]
        )
        made.append(Made("alone", (Seat(name, (0, LENGTH)),)))
        made.append(Made("reverse", (Seat(other, None),), narrator=name))
        pair = (Seat(name, (0, LENGTH)), Seat(other, None))
        made.append(Made("pair", pair if k % 2 else pair[::-1]))
    for k, name in enumerate(rests):
        other = rests[(k + 1) % len(rests)]
        made.append(Made("turns", (Seat(name, (0, 2.4)), Seat(other, (2.4, 4.8))), 4.8))
        voice = next(v for v in [*voices[k:], *voices[:k]] if v not in (name, other))
        made.append(Made("narrator", (Seat(name, None), Seat(other, None)), narrator=voice))
        made.append(Made("stops", (Seat(name, (0, 2.4)),), 4.8, narrator=voice))
    for k in range(2):
        six = [rests[(k + i) % len(rests)] for i in range(6)]
        voice = voices[(2 * k) % len(voices)]
        seats = [Seat(name, None) for name in six]
        seats[(2 * k + 1) % 6] = Seat(voice, (0, LENGTH))
        made.append(Made("crowd", tuple(seats)))
    for k in range(2):
        name, other = voices[(k + 3) % len(voices)], voices[(k + 5) % len(voices)]
        rest = rests[(k + 2) % len(rests)]
        made.append(
            Made(
                "television mute",
                (Seat(name, (0, LENGTH)), Seat(other, None, True)),
                television=True,
            )
        )
        if rest != name:
            made.append(
                Made(
                    "television speaks",
                    (Seat(rest, None), Seat(name, (0, LENGTH))),
                    television=True,
                )
            )
        made.append(Made("two at once", (Seat(name, (0, LENGTH)), Seat(other, (0, LENGTH)))))
    return made


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def ffmpeg(*words: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-nostdin", *words], check=True)


def fit(width: int, height: int) -> str:
    return f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},fps={RATE}"


class Maker:
    """Makes shots in a folder, each piece once."""

    def __init__(self, data: Path, out: Path, people: dict[str, Person]) -> None:
        self.data, self.out, self.people = data, out, people
        out.mkdir(parents=True, exist_ok=True)

    def speech(self, name: str, seconds: float) -> Path:
        """Picture and sound of a person who speaks."""
        path, person = self.out / f"speech_{name}_{seconds:.1f}.mkv", self.people[name]
        if not path.exists():
            cut = ["-ss", str(person.start), "-t", str(seconds), "-i", str(self.data / person.file)]
            look = f"{person.crop}{fit(SIDE, SIDE)},tpad=stop_mode=clone:stop_duration={seconds}"
            ffmpeg(*cut, "-vf", look, "-af", "apad", "-t", str(seconds), *VIDEO, *SOUND, str(path))
        return path

    def rest(self, name: str, seconds: float) -> Path:
        """The person with the mouth shut, under a slow camera."""
        path, person = self.out / f"rest_{name}_{seconds:.1f}.mkv", self.people[name]
        if not path.exists():
            assert person.rest is not None
            start, count = person.rest
            few = path.with_suffix(".few.mkv")
            cut = ["-ss", str(start), "-i", str(self.data / person.file), "-frames:v", str(count)]
            ffmpeg(*cut, "-an", "-vf", f"{person.crop}{fit(SIDE, SIDE)}", "-c:v", "ffv1", str(few))
            large = SIDE + 36
            camera = (
                f"scale={large}:{large},crop={SIDE}:{SIDE}:x='18+14*sin(t*1.1)':y='18+8*cos(t*0.9)'"
            )
            loop = f"loop=loop=-1:size={2 * count},setpts=N/{RATE}/TB"
            graph = f"[0:v]split[a][b];[b]reverse[c];[a][c]concat,{loop},{camera}"
            ffmpeg("-i", str(few), "-filter_complex", graph, "-t", str(seconds), *VIDEO, str(path))
        return path

    def seat(self, seat: Seat, seconds: float) -> Path:
        """One place's pictures for the whole of a shot."""
        if seat.moving:
            return self.speech(seat.person, seconds)
        if seat.speaks is None:
            return self.rest(seat.person, seconds)
        low, high = seat.speaks
        if (low, high) == (0, seconds):
            return self.speech(seat.person, seconds)
        parts = [
            self.rest(seat.person, low) if low else None,
            self.speech(seat.person, high - low),
            self.rest(seat.person, round(seconds - high, 3)) if high < seconds else None,
        ]
        there = [part for part in parts if part]
        path = self.out / f"seat_{seat.person}_{low}_{high}_{seconds}.mkv"
        if path.exists():
            return path
        inputs = [word for part in there for word in ("-i", str(part))]
        joined = "".join(f"[{k}:v]" for k in range(len(there))) + f"concat={len(there)}[v]"
        ffmpeg(*inputs, "-filter_complex", joined, "-map", "[v]", *VIDEO, str(path))
        return path

    def sound(self, made: Made, path: Path) -> None:
        """All that is heard in a shot, one voice over the other."""
        heard = [(s.person, *s.speaks) for s in made.seats if s.speaks]
        if made.narrator:
            begin = max((high for _, _, high in heard), default=0.0)
            heard.append((made.narrator, begin, made.seconds))
        inputs, graph = [], []
        for k, (name, low, high) in enumerate(heard):
            inputs += ["-i", str(self.speech(name, high - low))]
            graph.append(f"[{k}:a]aformat=channel_layouts=mono,adelay={round(low * 1000)}[s{k}]")
        mix = "".join(f"[s{k}]" for k in range(len(heard)))
        graph.append(f"{mix}amix=inputs={len(heard)}:duration=longest:normalize=0,apad[a]")
        ffmpeg(
            *inputs,
            "-filter_complex",
            ";".join(graph),
            "-map",
            "[a]",
            "-t",
            str(made.seconds),
            *SOUND,
            str(path),
        )

    def shot(self, number: int, made: Made) -> tuple[Path, list[tuple[float, float]]]:
        """The file of a shot, and where in the picture each place's middle is."""
        path, sound = self.out / f"shot_{number:02d}.mkv", self.out / f"shot_{number:02d}.wav"
        pieces = [self.seat(seat, made.seconds) for seat in made.seats]
        self.sound(made, sound)
        inputs = [word for piece in pieces for word in ("-i", str(piece))]
        graph, places = self.layout(made)
        frames = round(made.seconds * RATE)
        ffmpeg(
            *inputs, "-i", str(sound), "-filter_complex", f"{graph},setsar=1[v]", "-map", "[v]",
            "-map", f"{len(pieces)}:a", "-frames:v", str(frames), *VIDEO, *SOUND, str(path),
        )  # fmt: skip
        return path, places

    def layout(self, made: Made) -> tuple[str, list[tuple[float, float]]]:
        count = len(made.seats)
        gray = "0x303840"
        if made.television:
            small = SIDE // 2
            pad = f"[0:v]pad={WIDTH}:{SIDE}:0:0:color={gray}[m];[1:v]scale={small}:{small}[t]"
            graph = f"{pad};[m][t]overlay={SIDE + 110}:50"
            return graph, [(SIDE / 2, SIDE / 2), (SIDE + 110 + small / 2, 50 + small / 2)]
        if count == 1:
            return f"[0:v]pad={WIDTH}:{SIDE}:{SIDE // 2}:0:color={gray}", [(WIDTH / 2, SIDE / 2)]
        if count == 2:
            middle = [(SIDE * (k + 0.5), SIDE / 2) for k in range(2)]
            return "[0:v][1:v]hstack", middle
        wide, high = WIDTH // 3, SIDE // 2
        tiles = ";".join(
            f"[{k}:v]scale={high}:{high},pad={wide}:{high}:-1:0[t{k}]" for k in range(6)
        )
        rows = "[t0][t1][t2]hstack=inputs=3[u];[t3][t4][t5]hstack=inputs=3[l];[u][l]vstack"
        rows += f",pad={WIDTH}:{SIDE}:-1:-1"  # a third of the width is not a whole number
        return f"{tiles};{rows}", [(wide * (k % 3 + 0.5), high * (k // 3 + 0.5)) for k in range(6)]


PEOPLE: dict[str, dict[str, Person]] = {
    "val": {
        "grid_o0": Person("grid_other/bbaf2n.mp4", rest=(2.2, 16)),
        "radio34": Person("hdtf/RD_Radio34.mp4"),
        "grid_o2": Person("grid_other/lbax4n.mp4", rest=(2.28, 16)),
        "hill": Person("hdtf/WDA_KatieHill.mp4", rest=(4.48, 8)),
        "grid_o1": Person("grid_other/brbk7n.mp4"),
        "grid_o3": Person("grid_other/lbbc2a.mp4", rest=(2.04, 20)),
        "radio22": Person("hdtf/RD_Radio22.mp4"),
        "grid_o4": Person("grid_other/lrwp9a.mp4", rest=(2.32, 14)),
    },
    "train": {
        "obama": Person("usgov/obama_address.mp4", 2.0),
        "webcam": Person("webcam/man_at_webcam.mp4", 0.62, (0.5, 3), "crop=512:512:400:180,"),
        "radio4": Person("hdtf/RD_Radio4.mp4"),
        "grid_s31": Person("grid_more/s31_bgix8n.mpg", rest=(2.16, 17)),
        "menendez": Person("hdtf/WDA_BobMenendez.mp4"),
        "grid_o9": Person("grid_other/bbab8n.mp4", rest=(1.64, 28)),
        "congressman": Person("usgov/congressman_60s.mp4", 5.0),
        "grid_s26": Person("grid_more/s26_lbbo3n.mpg", rest=(0.04, 6)),
        "trump": Person("usgov/trump_10s.mp4"),
        "grid_s1": Person("grid_s1/lriy2p.mp4", rest=(1.8, 26)),
    },
}


def film(
    data: Path, out: Path, split: str
) -> tuple[Path, Path, Path, list[Made], list[list[tuple[float, float]]]]:
    """Film, dub, shot list, the shots and their places."""
    people = PEOPLE[split]
    maker = Maker(data, out / "pieces", people)
    made = shots(people, list(people))
    files, places = zip(*(maker.shot(k, m) for k, m in enumerate(made)), strict=True)
    listed = out / "files.txt"
    listed.write_text("".join(f"file '{path.resolve()}'\n" for path in files))
    whole, dub, starts = out / "film.mkv", out / "dub.wav", out / "shots.txt"
    ffmpeg("-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", str(whole))
    seconds = sum(m.seconds for m in made)
    voices = sorted((data / "audio").glob("*_1.*"))
    inputs = [word for voice in voices for word in ("-i", str(voice))]
    joined = "".join(
        f"[{k}:a]aresample=48000,aformat=channel_layouts=mono[a{k}];" for k in range(len(voices))
    )
    joined += (
        "".join(f"[a{k}]" for k in range(len(voices)))
        + f"concat=n={len(voices)}:v=0:a=1,aloop=-1:2e9[a]"
    )
    ffmpeg(*inputs, "-filter_complex", joined, "-map", "[a]", "-t", str(seconds), *SOUND, str(dub))
    first = np.cumsum([0, *(round(m.seconds * RATE) for m in made)])[:-1]
    starts.write_text("".join(f"{int(frame)}\n" for frame in first))
    return whole, dub, starts, made, list(places)


def count(
    work: Path,
    pieces: Path,
    made: Sequence[Made],
    places: Sequence[list[tuple[float, float]]],
    stage: str,
) -> list[dict[str, object]]:
    """What was dubbed against what is true, place by place."""
    rows: list[dict[str, object]] = []
    start = 0
    for number, (shot, middles) in enumerate(zip(made, places, strict=True)):
        end = start + round(shot.seconds * RATE)
        name = f"{start:07d}-{end:07d}"
        tracks = load_tracks(next(work.glob(f"video-*/faces/{name}")))
        folder = next(work.glob(f"*/{stage}/{name}"))
        choices = read_record(folder / "chosen.json", list[TrackChoice])
        dubbed = [np.zeros(end - start, np.bool_) for _ in middles]
        seen = [np.zeros(end - start, np.bool_) for _ in middles]
        for track, choice in zip(tracks, choices, strict=True):
            boxes = track.boxes[np.isfinite(track.boxes).all(1)]
            if not len(boxes):
                continue
            x, y = (boxes[:, :2] + boxes[:, 2:]).mean(0) / 2
            place = min(
                range(len(middles)), key=lambda k: abs(middles[k][0] - x) + abs(middles[k][1] - y)
            )
            rows_of = slice(track.start - start, track.start - start + len(track))
            seen[place][rows_of] |= track.state != FaceState.ABSENT
            if choice.dubbed:
                dubbed[place][rows_of] |= choice.usable
        for place, seat in enumerate(shot.seats):
            truth, near = truth_of(seat, end - start)
            near |= truth & ~voiced(pieces, seat, end - start)
            rows.append({
                "shot": number, "kind": shot.kind, "place": place, "person": seat.person,
                "speaks": bool(truth.any()), "frames": int((~near).sum()),
                "right": int(((dubbed[place] == truth) & ~near).sum()),
                "spoken": int((truth & ~near).sum()),
                "missed": int((truth & ~near & ~dubbed[place]).sum()),
                "moved": int((~truth & ~near & dubbed[place]).sum()), "seen": int(seen[place].sum()),
            })  # fmt: skip
        start = end
    return rows


def truth_of(seat: Seat, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """(T,) where the person speaks, and (T,) what is near a change."""
    time = (np.arange(frames) + 0.5) / RATE
    if seat.speaks is None:
        return np.zeros(frames, np.bool_), np.zeros(frames, np.bool_)
    low, high = seat.speaks
    inner = [edge for edge in (low, high) if 0 < edge < frames / RATE - 1e-6]
    near = np.zeros(frames, np.bool_)
    for edge in inner:
        near |= np.abs(time - edge) < EDGE
    return (time >= low) & (time < high), near


def voiced(pieces: Path, seat: Seat, frames: int) -> np.ndarray:
    """(T,) where a person's own sound is loud, or was or will be within `EDGE` seconds."""
    heard = np.zeros(frames, np.bool_)
    if seat.speaks is None:
        return heard
    low, high = seat.speaks
    sound = load_samples(pieces / f"speech_{seat.person}_{high - low:.1f}.mkv")
    level = activity.levels(sound)
    loud = (
        np.flatnonzero(level > activity.speech_level(level) - 20) / activity.FRAMES_A_SECOND + low
    )
    time = (np.arange(frames) + 0.5) / RATE
    near = np.abs(time[:, None] - loud[None]).min(1) < EDGE if len(loud) else heard
    return np.asarray(near, np.bool_)


def summary(rows: Sequence[dict[str, object]]) -> dict[str, float]:
    """The sums."""

    def total(name: str, which: Sequence[dict[str, object]] = rows) -> int:
        return sum(int(str(row[name])) for row in which)

    listeners = [row for row in rows if not row["speaks"]]
    return {
        "shots": len({row["shot"] for row in rows}),
        "faces": len(rows),
        "right": round(total("right") / total("frames"), 4),
        "missed": round(total("missed") / total("spoken"), 4),
        "listeners": len(listeners),
        "moved": sum(int(str(row["moved"])) > BLINK for row in listeners),
        "moved_frames": total("moved"),
    }


def main() -> None:
    """Make, dub, count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", choices=list(PEOPLE), default="val")
    parser.add_argument("--until", default="generate")
    parser.add_argument("--set", action="append", default=[])
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    whole, dub, starts, made, places = film(words.data, words.out, words.people)
    work = words.out / "work"
    shutil.rmtree(
        work, ignore_errors=True
    )  # a film that is made anew is another one: none of it would be used
    result = dubkit.run(
        whole, dub, out=words.out / "dubbed.mkv", work=work, shots=starts, overwrite=True,
        until=words.until, settings=["generate.synthesizer=passthrough", *words.set],
    )  # fmt: skip
    for note in result.notes:
        say(note)
    rows = count(work, words.out / "pieces", made, places, words.until)
    for row in rows:
        wrong = int(str(row["frames"])) - int(str(row["right"]))
        say(f"{row['shot']:3} {row['kind']:18} {row['person']:14} {'speaks' if row['speaks'] else 'rests':7}"
              f" of {row['frames']:3} wrong {wrong:3} seen {row['seen']}")  # fmt: skip
    found = summary(rows)
    (words.out / "who_speaks.json").write_text(json.dumps({**found, "rows": rows}, indent=1))
    say(json.dumps(found))


if __name__ == "__main__":
    main()
