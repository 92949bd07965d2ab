"""The dense landmark layout: which of FaceMesh's 478 points dubkit uses, and their groups.

``MESH[i]`` is the FaceMesh index of landmark ``i``; every group is an index array into the L landmarks.
Point order inside a ring goes around the ring, so a group can be drawn as a polygon. "left" and "right"
are of the picture, not of the person.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.intp]

_GROUPS: dict[str, list[int]] = {
    "lips_outer": [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185],
    "lips_inner": [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191],
    "oval": [
        10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    ],
    "eye_left": [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246],
    "eye_right": [362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398],
    "irises": [468, 473],
    "brow_left": [70, 63, 105, 66, 107],
    "brow_right": [336, 296, 334, 293, 300],
    "nose_bridge": [168, 6, 197, 195, 5],
    "nose_tip": [4, 1, 2],
    "nostrils": [98, 97, 326, 327, 48, 278, 64, 294, 129, 358],
    "chin": [18, 83, 313, 200, 199, 175, 201, 421, 32, 262, 194, 418],
    "cheeks": [
        50, 280, 205, 425, 187, 411, 207, 427, 216, 436, 212, 432, 202, 422, 204, 424,
        211, 431, 214, 434, 192, 416, 203, 423, 206, 426, 165, 391, 92, 322, 57, 287, 43, 273,
        106, 335, 182, 406, 164,
    ],
}  # fmt: skip

MESH: Index = np.array([i for group in _GROUPS.values() for i in group])
COUNT = len(MESH)


def _group(name: str) -> Index:
    position = {int(mesh): i for i, mesh in enumerate(MESH)}
    return np.array([position[i] for i in _GROUPS[name]])


LIPS_OUTER = _group("lips_outer")
LIPS_INNER = _group("lips_inner")
OVAL = _group("oval")
EYE_LEFT = _group("eye_left")
EYE_RIGHT = _group("eye_right")
IRISES = _group("irises")
BROW_LEFT = _group("brow_left")
BROW_RIGHT = _group("brow_right")
NOSE_BRIDGE = _group("nose_bridge")
NOSE_TIP = _group("nose_tip")
NOSTRILS = _group("nostrils")
CHIN = _group("chin")
CHEEKS = _group("cheeks")

LIPS: Index = np.concatenate([LIPS_OUTER, LIPS_INNER])
# the ring's lower part, ear to ear through the chin (152 in the middle)
JAW: Index = OVAL[9:28]
# (19, 1) how far each point of JAW keeps its filmed place: speech moves the chin, hardly the jaw's sides
JAW_HELD: NDArray[np.float32] = np.clip((np.abs(np.arange(19) - 9) - 2) / 5, 0, 1).astype(
    np.float32
)[:, None]
# what speech does not move: similarity transforms come from these alone
STABLE: Index = np.concatenate([EYE_LEFT, EYE_RIGHT, NOSE_BRIDGE])
# what speech moves: the mouth shape is made of these
MOVING: Index = np.concatenate([LIPS, JAW, CHIN, CHEEKS])

INNER_TOP, INNER_BOTTOM = LIPS_INNER[15], LIPS_INNER[5]  # FaceMesh 13 and 14
MOUTH_LEFT, MOUTH_RIGHT = LIPS_OUTER[0], LIPS_OUTER[10]  # FaceMesh 61 and 291

# picture mirrored left to right: landmark i becomes landmark MIRROR[i]
_PAIRS = [
    (61, 291), (146, 375), (91, 321), (181, 405), (84, 314), (185, 409), (40, 270), (39, 269), (37, 267),
    (78, 308), (95, 324), (88, 318), (178, 402), (87, 317), (191, 415), (80, 310), (81, 311), (82, 312),
    (338, 109), (297, 67), (332, 103), (284, 54), (251, 21), (389, 162), (356, 127), (454, 234), (323, 93),
    (361, 132), (288, 58), (397, 172), (365, 136), (379, 150), (378, 149), (400, 176), (377, 148),
    (33, 263), (7, 249), (163, 390), (144, 373), (145, 374), (153, 380), (154, 381), (155, 382), (133, 362),
    (173, 398), (157, 384), (158, 385), (159, 386), (160, 387), (161, 388), (246, 466), (468, 473),
    (70, 300), (63, 293), (105, 334), (66, 296), (107, 336),
    (98, 327), (97, 326), (48, 278), (64, 294), (129, 358), (83, 313), (201, 421), (32, 262), (194, 418),
    (50, 280), (205, 425), (187, 411), (207, 427), (216, 436), (212, 432), (202, 422), (204, 424), (211, 431),
    (214, 434), (192, 416), (203, 423), (206, 426), (165, 391), (92, 322), (57, 287), (43, 273), (106, 335),
    (182, 406),
]  # fmt: skip


def _mirror() -> Index:
    position = {int(mesh): i for i, mesh in enumerate(MESH)}
    mirror = np.arange(COUNT)
    for a, b in _PAIRS:
        mirror[position[a]], mirror[position[b]] = position[b], position[a]
    return mirror


MIRROR = _mirror()
