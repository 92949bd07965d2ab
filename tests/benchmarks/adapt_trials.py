"""What `--adapt` brings, by how much footage there is: learned from a part of a person's clips, judged on the rest.

    python tests/benchmarks/adapt_trials.py SET PERSON [PERSON ...] --net TC [--amounts 8,12,20,30] [--path recognition]

SET is a prepared set, PERSON somebody in it whom the net TC was not trained on: train it on a set that lacks them.
Of one long clip, stretches of each amount are learned from, from several places; of several short clips as many as make
up the amount. The rest, a second apart, is what is judged: the correlation of the opening with the true one where
something is said, by the bare net. Prints a line a trial, then the means by amount.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dubkit.lips import adaptation
from dubkit.lips.adaptation import Passage
from dubkit.lips.articulation import Articulator, net_input
from dubkit.lips.mouth_shape import gap_effect
from dubkit.models.tc import AnyNet, PersonNet
from dubkit.records import Phoneme, Shot
from dubkit.speech.timing import cut_timing
from dubkit.training.dataset import PreparedSet
from dubkit.training.tc_data import Clip, load
from dubkit.training.train_tc import estimate_offsets

_PLACES = 4  # of a clip that are tried
_APART = 1.0  # seconds between what is learned from and what is judged
_JUDGED = 40  # short clips that are judged


def passage(clip: Clip, path: str, offset: float, rows: np.ndarray) -> Passage:
    """Rows ``rows``, in a row, of a clip."""
    phonemes = [Phoneme(*timed) for timed in clip.phonemes.get(path) or clip.phonemes["script"]]
    shot = Shot(int(rows[0]), int(rows[-1]) + 1)
    times = clip.times[rows] - offset
    timing = cut_timing(
        phonemes, shot, times, 1.0, clip.levels, clip.rows, scripted=path == "script"
    )
    return Passage(timing, clip.shapes[rows], np.ones(len(rows), np.bool_))


def trials(
    clips: Sequence[Clip], path: str, offsets: dict[str, float], seconds: float
) -> Iterator[tuple[list[Passage], list[Passage]]]:
    """What is learned from, and what is judged."""
    if len(clips) > 1:
        yield from _of_clips(clips, path, offsets, seconds)
        return
    clip = clips[0]
    rate = 1 / float(np.median(np.diff(clip.times)))
    count, length, apart = len(clip.times), round(seconds * rate), round(_APART * rate)
    for start in np.unique(np.linspace(0, count - length, _PLACES).astype(int)):
        sides = (np.arange(0, start - apart), np.arange(start + length + apart, count))
        judged = [passage(clip, path, offsets[clip.name], s) for s in sides if len(s) > rate]
        if count > length and judged:
            learned = passage(clip, path, offsets[clip.name], np.arange(start, start + length))
            yield [learned], judged


def _of_clips(
    clips: Sequence[Clip], path: str, offsets: dict[str, float], seconds: float
) -> Iterator[tuple[list[Passage], list[Passage]]]:
    whole = [
        passage(c, path, offsets[c.name], np.arange(len(c.times)))
        for c in (clips[k] for k in np.random.default_rng(0).permutation(len(clips)))
    ]
    several = max(1, round(seconds / clips[0].duration))
    for trial in range(_PLACES):
        learned = whole[_JUDGED + trial * several :][:several]
        if len(learned) == several:
            yield learned, whole[:_JUDGED]


def met(net: AnyNet, judged: Sequence[Passage]) -> tuple[float, float]:
    """Correlation with the true opening where something is said, and amplitude against the real one."""
    effect = gap_effect()
    made = np.concatenate([net_input(net, p.timing).predict(net).numpy() @ effect for p in judged])
    true = np.concatenate([p.shapes @ effect for p in judged])
    said = np.concatenate([adaptation.speech_frames(p) for p in judged])
    found = np.corrcoef(made[said], true[said])[0, 1]
    return float(found), float(made[said].std() / true[said].std())


def main() -> None:
    """Print what adaptation brings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", type=Path)
    parser.add_argument("person", nargs="+")
    parser.add_argument(
        "--net", type=Path, help="that has not seen them; the package's own if left out"
    )
    parser.add_argument("--amounts", default="8,12,20,30")
    parser.add_argument("--path", choices=("recognition", "script"), default="recognition")
    args = parser.parse_args()
    articulator, prepared = Articulator(weights=args.net), PreparedSet(args.set)
    found: dict[float, list[tuple[float, float, bool]]] = defaultdict(list)
    for person in args.person:
        names = [n for n in prepared.names() if prepared.clips[n].person == person]
        clips = load(prepared, names)
        offsets = estimate_offsets(articulator.net, clips)
        for seconds in map(float, args.amounts.split(",")):
            for learned, judged in trials(clips, args.path, offsets, seconds):
                heard = adaptation.select_in_sync(articulator, learned)
                verdict = adaptation.tune(articulator, heard)
                before, wide = met(articulator.net, judged)
                own = PersonNet(articulator.net, verdict.term) if verdict.term else articulator.net
                after, tuned = met(own, judged)
                found[seconds].append((before, after, verdict.term is not None))
                sys.stdout.write(
                    f"{person:16s} {seconds:5.0f} s ({verdict.facts.seconds:5.1f} usable) "
                    f"kept {verdict.term is not None!s:5} "
                    f"held out {verdict.facts.before:.3f} -> {verdict.facts.after:.3f}, rest {before:.3f} -> "
                    f"{after:.3f}, amplitude {wide:.2f} -> {tuned:.2f}\n"
                )
                sys.stdout.flush()
    for seconds, rows in found.items():
        kept = [after - before for before, after, is_kept in rows if is_kept]
        mean, least = (float(f(kept)) if kept else 0.0 for f in (np.mean, np.min))
        sys.stdout.write(
            f"{seconds:.0f} s: {len(rows)} trials, {len(kept)} kept, gain of these {mean:+.3f}, least {least:+.3f}\n"
        )


if __name__ == "__main__":
    main()
