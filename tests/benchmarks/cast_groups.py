"""Cut people into shots of other crops, light and mirror, group the film's cast, and count merges and splits.

    python -m tests.benchmarks.cast_groups DATA OUT [--sets judge_talkvid,judge_lrs3] [--people N]

DATA is the folder of clips. Each clip gives three shots of 1.2 s, from its beginning, its middle and its end: as
filmed; mirrored and dark; a third of the size, bright, of a warmer light and compressed. They are shuffled into one
film whose shot list is given; nothing else is said to dubkit. The largest face of a shot is its person's. ``merged`` is
the share of faces that are not of the person whom most of their group are, ``split`` the share of people in two groups
or more. Prints both and the groups that are mixed; writes ``cast_groups.json`` into OUT.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

import dubkit
from dubkit.faces.people import load_people
from dubkit.faces.selection import load_tracks
from dubkit.media.probe import probe
from tests.clips import ffmpeg

RATE, SIDE, SECONDS = 25, 480, 1.2
FRAMES = round(RATE * SECONDS)
LOOKS = (
    "scale={0}:{0}:force_original_aspect_ratio=increase,crop={0}:{0}",
    "scale={0}:{0}:force_original_aspect_ratio=increase,crop={0}:{0},hflip,eq=brightness=-0.12:gamma=0.75",
    "scale={1}:{1}:force_original_aspect_ratio=increase,crop={1}:{1},colorchannelmixer=rr=1.12:bb=0.85,"
    "eq=brightness=0.08,pad={0}:{0}:-1:-1:color=0x303840",
)


def film(data: Path, out: Path, sets: set[str], most: int) -> tuple[Path, Path, list[str]]:
    """The film, its shot list, and who is in each shot."""
    with (data / "clips.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["set"] in sets]
    first = {row["person"]: row["file"] for row in reversed(rows)}
    people = sorted(first)[:most]
    order = np.random.default_rng(0).permutation(len(LOOKS) * len(people))
    pieces, persons = [], []
    for number in order:
        person, look = people[number // len(LOOKS)], number % len(LOOKS)
        clip = data / first[person]
        at = look * max(0.0, float(probe(clip)[0].duration) - SECONDS - 0.1) / (len(LOOKS) - 1)
        piece = out / "pieces" / f"{number:03d}.mkv"
        piece.parent.mkdir(parents=True, exist_ok=True)
        graph = f"{LOOKS[look].format(SIDE, SIDE // 3)},fps={RATE},setsar=1,format=yuv420p"
        quality = "30" if look == 2 else "12"
        coded = ["-c:v", "libx264", "-preset", "veryfast", "-crf", quality]
        cut = ["-ss", f"{at:.2f}", "-i", str(clip), "-an", "-vf", graph]
        ffmpeg(*cut, "-frames:v", str(FRAMES), *coded, str(piece))
        pieces.append(piece)
        persons.append(person)
    listed = out / "files.txt"
    listed.write_text("".join(f"file '{piece.resolve()}'\n" for piece in pieces))
    whole, starts = out / "film.mkv", out / "shots.txt"
    ffmpeg("-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy", str(whole))
    starts.write_text("".join(f"{k * FRAMES}\n" for k in range(len(pieces))))
    return whole, starts, persons


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sets", default="judge_talkvid,judge_lrs3")
    parser.add_argument("--people", type=int, default=100, help="at most")
    given = parser.parse_args()
    whole, starts, persons = film(given.data, given.out, set(given.sets.split(",")), given.people)
    work = given.out / "work"
    dubkit.cast(whole, shots=starts, work=work, out=given.out / "cast.toml", jobs=1, overwrite=True)
    owner: dict[str, str] = {}
    missing = []
    for number, person in enumerate(persons):
        shot = f"{number * FRAMES:07d}-{(number + 1) * FRAMES:07d}"
        tracks = load_tracks(next(work.glob(f"video-*/faces/{shot}")))
        if not tracks:
            missing.append(person)
            continue
        sizes = [np.nanmean(np.ptp(t.boxes.reshape(-1, 2, 2), axis=1)) * len(t) for t in tracks]
        owner[f"{shot}/{tracks[int(np.argmax(sizes))].track}"] = person
    people = load_people(next(work.glob("*/cast/job")))
    groups = {p.name: [owner[face] for face in p.faces if face in owner] for p in people.people}
    wrong, places = 0, defaultdict(set)
    for name, members in groups.items():
        counted = Counter(members)
        wrong += len(members) - max(counted.values(), default=0)
        for person in counted:
            places[person].add(name)
        if len(counted) > 1:
            sys.stdout.write(f"{name}: {dict(counted)}\n")
    split = sorted(person for person, found in places.items() if len(found) > 1)
    unknown = [owner[face] for face in people.unknown if face in owner]
    result = {
        "people": len(set(persons)), "shots": len(persons), "faces": len(owner), "no face": missing,
        "unknown": unknown, "merged": round(wrong / max(1, len(owner)), 4), "split people": split,
        "split": round(len(split) / len(set(persons)), 4),
    }  # fmt: skip
    (given.out / "cast_groups.json").write_text(json.dumps(result, indent=1))
    sys.stdout.write(f"{json.dumps(result)}\n")


if __name__ == "__main__":
    main()
