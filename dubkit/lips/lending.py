"""Frames that a face lends to the same person in other shots: chosen for variety and sharpness, kept as files.

A lent frame holds what a renderer needs of it (`blend.Reference`: the picture's own samples around the lower face), so
that nothing of the film is read again to borrow it. A face offers `OFFERED` frames, a person's bank keeps `BANK` of
all that were offered, and a shot borrows some of these, of mouths that it does not show itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dubkit.errors import WorkError
from dubkit.faces import align
from dubkit.lips import blend, mesh_warp, mouth_shape, references
from dubkit.media import frames, planes
from dubkit.records import FaceState, FaceTrack, Floats, Indices, Mask
from dubkit.work.store import UNREADABLE, open_arrays

OFFERED, BANK = 4, 24
FOREIGN = 0.1  # how much nearer a mouth of another shot must be to what is wanted, in the unit of `mouth_features`
_DARKER = 0.35  # of log luma of the lower face, by which two lights may differ
_SMALLER = 0.7  # least size of a lent face against the one that borrows it
_BLURRED = 0.6  # least sharpness of an offer against the person's median


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of a frame that may be lent, beside its pixels."""

    face: str  # SHOT/TRACK
    frame: int  # of the film
    canonical: Floats  # (L, 2)
    pose: Floats  # (3,) degrees
    size: float  # pixels of the picture in a canonical unit
    light: float  # log of the mean luma, 0 .. 1
    sharpness: float  # gradient energy of the luma over its variance


Offered = tuple[Offer, blend.Reference]  # a frame with its pixels


def offered_rows(track: FaceTrack, usable: Mask) -> Indices:
    """The rows of a track that it offers: different mouths, in frames that may be trusted."""
    present = track.state != FaceState.ABSENT
    if not (usable & present).any():
        return np.zeros(0, np.intp)
    canonical = canonical_of(track)
    fit = usable & (track.state == FaceState.SEEN) & references.settled(canonical)
    return references.choose_bank(features_of(canonical, track.pose), fit, OFFERED)


def canonical_of(track: FaceTrack) -> Floats:
    """(T, L, 2) canonical landmarks of a track, absent frames filled."""
    return np.stack([align.apply(align.canonical_from_face(face), face) for face in _filled(track)])


def display_from_canonical(track: FaceTrack) -> list[align.Matrix]:
    """(T) ways from the canonical face to the display, absent frames filled."""
    return [align.invert(align.canonical_from_face(face)) for face in _filled(track)]


def _filled(track: FaceTrack) -> Floats:
    return mouth_shape.fill_absent(track.landmarks, track.state != FaceState.ABSENT)


def features_of(canonical: Floats, pose: Floats) -> Floats:
    """(N, F) of landmarks (N, L, 2) and pose (N, 3): mouths and poses that are alike are near."""
    poses = references.pose_features(np.nan_to_num(pose), np.zeros(len(pose)))
    return np.concatenate([references.mouth_features(canonical), poses], 1)


def cut(frame: frames.Frame, landmarks: Floats) -> blend.Reference:
    """The lower face of one face, (L, 2) display coordinates, as the frame holds it."""
    way = align.canonical_from_face(landmarks)
    back = align.invert(way)
    layout = frame.format
    matrices = [
        align.compose(planes.plane_from_display(frame.info, layout, k), back)
        for k in range(layout.planes)
    ]
    return blend.cut_reference(
        frame.planes, matrices, mesh_warp.vertices(align.apply(way, landmarks))
    )


def judged(
    face: str, frame: frames.Frame, landmarks: Floats, pose: Floats, reference: blend.Reference
) -> Offer:
    """What is known of a frame, from its pixels."""
    way = align.canonical_from_face(landmarks)
    luma = reference.planes[0].astype(np.float32) / float((1 << frame.format.depth) - 1)
    spread = float(luma.var()) + 1e-4
    energy = float(cv2.Laplacian(luma, cv2.CV_32F).var()) if luma.size else 0.0
    return Offer(
        face,
        frame.index,
        align.apply(way, landmarks),
        np.nan_to_num(pose).astype(np.float32),
        1 / align.scale_of(way),
        float(np.log(max(float(luma.mean()) if luma.size else 0.0, 1e-3))),
        energy / spread,
    )


def person_bank(offers: Sequence[Offer]) -> list[int]:
    """The offers of a person that are kept: sharp ones, of different mouths and poses, from all over the film."""
    if not offers:
        return []
    sharp = np.array([offer.sharpness for offer in offers])
    features = features_of(
        np.stack([offer.canonical for offer in offers]), np.stack([offer.pose for offer in offers])
    )
    fit = sharp >= _BLURRED * np.median(sharp)
    return [int(k) for k in references.choose_bank(features, fit, BANK)]


def borrowed(
    own: FaceTrack, usable: Mask, light: float, face: str, bank: Sequence[Offer], most: int
) -> list[int]:
    """The offers of a bank that a face borrows: mouths that it does not show, in its own light and size.

    ``light`` is that of the face's own frames; offers of the face itself and of smaller faces are left out.
    """
    fit = usable & (own.state == FaceState.SEEN)
    if not fit.any():
        return []
    canonical = canonical_of(own)[fit]
    size = float(
        np.median([1 / align.scale_of(align.canonical_from_face(f)) for f in own.landmarks[fit]])
    )
    chosen: list[int] = []
    shown = references.mouth_features(canonical)
    pose = np.nanmedian(own.pose[fit], 0)
    able = [
        k
        for k, offer in enumerate(bank)
        if offer.face != face
        and offer.size >= _SMALLER * size
        and abs(offer.light - light) <= _DARKER
        and float(np.abs(offer.pose[:2] - pose[:2]).max()) <= _TURNED
    ]
    if not able:
        return []
    others = references.mouth_features(np.stack([bank[k].canonical for k in able]))
    nearest = np.sqrt(((others[:, None] - shown[None]) ** 2).sum(-1)).min(1)
    while len(chosen) < most:
        furthest = int(nearest.argmax())
        if nearest[furthest] < FOREIGN:
            break
        chosen.append(able[furthest])
        gone = np.sqrt(((others - others[furthest]) ** 2).sum(-1))
        nearest = np.minimum(nearest, gone)
    return sorted(chosen)


_TURNED = 12.0  # degrees by which a lent face may be turned otherwise


@dataclass(frozen=True, slots=True)
class Lent:
    """Frames with their pixels, N of them."""

    offers: tuple[Offer, ...]
    references: tuple[blend.Reference, ...]

    def __len__(self) -> int:
        return len(self.offers)

    def part(self, chosen: Sequence[int]) -> Lent:
        """Some of them."""
        return Lent(
            tuple(self.offers[k] for k in chosen), tuple(self.references[k] for k in chosen)
        )


NOTHING = Lent((), ())


def joined(parts: Sequence[Lent]) -> Lent:
    """All of several, in their order."""
    return Lent(
        tuple(offer for part in parts for offer in part.offers),
        tuple(reference for part in parts for reference in part.references),
    )


def save_lent(path: Path, lent: Lent) -> None:
    """Write an ``.npz``; equal frames give equal bytes."""
    arrays: dict[str, np.ndarray] = {"count": np.array(len(lent))}
    for k, (offer, reference) in enumerate(zip(lent.offers, lent.references, strict=True)):
        arrays[f"{k}_face"] = np.array(offer.face)
        arrays[f"{k}_frame"] = np.array(offer.frame, np.int64)
        arrays[f"{k}_canonical"] = offer.canonical
        arrays[f"{k}_pose"] = offer.pose
        arrays[f"{k}_facts"] = np.array([offer.size, offer.light, offer.sharpness], np.float64)
        arrays[f"{k}_planes"] = np.array(len(reference.planes))
        for number, plane in enumerate(reference.planes):
            arrays[f"{k}_plane{number}"] = plane
            arrays[f"{k}_matrix{number}"] = reference.plane_from_canonical[number]
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_offers(path: Path) -> list[Offer]:
    """What is known of the frames in a file; their pixels are not read. Raises WorkError where it cannot be read."""
    try:
        with open_arrays(path) as stored:
            return [
                Offer(
                    str(stored[f"{k}_face"]),
                    int(stored[f"{k}_frame"]),
                    stored[f"{k}_canonical"],
                    stored[f"{k}_pose"],
                    *(float(v) for v in stored[f"{k}_facts"]),
                )
                for k in range(int(stored["count"]))
            ]
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def load_lent(path: Path, chosen: Sequence[int] | None = None) -> Lent:
    """The frames in a file, or those ``chosen``. Raises WorkError where they cannot be read."""
    offers = load_offers(path)
    wanted = range(len(offers)) if chosen is None else chosen
    try:
        with open_arrays(path) as stored:
            found = []
            for k in wanted:
                count = int(stored[f"{k}_planes"])
                found.append(
                    blend.Reference(
                        mesh_warp.vertices(offers[k].canonical),
                        tuple(stored[f"{k}_plane{n}"] for n in range(count)),
                        tuple(stored[f"{k}_matrix{n}"] for n in range(count)),
                    )
                )
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    return Lent(tuple(offers[k] for k in wanted), tuple(found))


def _unreadable(path: Path, error: Exception) -> WorkError:
    return WorkError(
        f"the work file {path} cannot be read: {error}",
        hint=f"run again with --force {path.parent.parent.name}",
    )
