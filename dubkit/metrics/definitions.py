"""The definition of every measure: name, unit and range, which way is better, how to read it, what it cannot see.

One name means one thing: in the gate, ``dubkit evaluate``, the report, in JSON, CSV and JUnit. The code of each lies
beside this module: `lips`, `lip_sync`, `picture`, `face_faults`, `syncnet`; the limits of the gate in `gate_limits`.
How far an outside judge agrees is measured in ``docs/measures.md``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure; ``dubkit evaluate --explain`` prints them."""

    name: str
    range: str
    better: str  # higher | lower | "near 1" | "near 0"
    meaning: str  # what the number is
    source: str  # who defined it
    blind: str  # what it cannot see


MEASURES = (
    Measure(
        "lse_d",
        "0 up, real video 6.7 to 7.0",
        "lower",
        "SyncNet distance of lips and sound at the best shift",
        "Prajwal et al. 2020, by the net and scoring of Chung and Zisserman 2016",
        "mouths that move in silence; prefers some generators to real video",
    ),
    Measure(
        "lse_c",
        "0 up, real video 6.9 to 8.0",
        "higher",
        "SyncNet confidence: distance in the median over all shifts less that at the best",
        "Prajwal et al. 2020, by the net and scoring of Chung and Zisserman 2016",
        "mouths that move in silence; prefers some generators to real video",
    ),
    Measure(
        "found",
        "0 to 1",
        "higher",
        "share of the frames in which the landmarks see a face where the dubbed one should be",
        "own; landmarks",
        "how the face looks",
    ),
    Measure(
        "silence",
        "0 up, of the face's width; a mouth at rest under .002",
        "lower",
        "standard deviation of the opening while nobody speaks, .35 s after speech and .6 s before it",
        "own; landmarks and phonemes",
        "a mouth that rests open; silences under 15 frames",
    ),
    Measure(
        "open_in_silence",
        "0 to 1; of people who rest with open lips near 1",
        "lower",
        "share of the same frames in which the lips are .03 of the face's width apart",
        "own; landmarks and phonemes",
        "whether this person rests like that: compare with the film that was dubbed",
    ),
    Measure(
        "closures",
        "0 to 1, real video .99",
        "higher",
        "share of P, B and M in which the lips come nearer than .03 of the face's width",
        "own; landmarks and phonemes",
        "lips that should have been open elsewhere",
    ),
    Measure(
        "vowel_closure_ratio",
        "0 up, real video 4 or more",
        "higher",
        "opening of open vowels over that of P, B and M",
        "own; landmarks and phonemes",
        "timing; depends on a small divisor, so compare only its order of magnitude",
    ),
    Measure(
        "movement",
        "0 up, a good dub .4 to 1.2",
        "near 1",
        "standard deviation of the opening over that which dubkit's own net predicts for these phonemes",
        "own; landmarks and phonemes",
        "timing; errors of the net itself",
    ),
    Measure(
        "offset_ms",
        "-300 to 300",
        "near 0",
        "how much later the lips are than the phonemes call for; 0 unless another offset fits clearly better",
        "own; correlation of all points of the lips with the mouths that dubkit's own net predicts",
        "errors of the net itself, so it shows little about films made with it; lips that fit at no offset",
    ),
    Measure(
        "opening_correlation",
        "-1 to 1",
        "higher",
        "opening of the lips against the reference's, for the same words",
        "own; Pearson correlation",
        "how the picture looks; how far a mouth opens",
    ),
    Measure(
        "amplitude",
        "0 up",
        "near 1",
        "standard deviation of the opening over the reference's",
        "own",
        "timing",
    ),
    Measure(
        "reference_offset_ms",
        "-200 to 200",
        "near 0",
        "how much later the lips are than the reference's; at the film's end the mean over its shots",
        "own; best cross-correlation of the openings",
        "offsets over 200 ms; still mouths",
    ),
    Measure(
        "jitter",
        "0 up",
        "near 1",
        "second difference of the lip points over the reference's",
        "own",
        "slow drift; how it looks",
    ),
    Measure(
        "ssim",
        "-1 to 1",
        "higher",
        "structural similarity of the face to the reference's",
        "Wang et al. 2004",
        "small but ugly errors; other words make it fall",
    ),
    Measure(
        "psnr_face",
        "0 to 100 dB",
        "higher",
        "face against the reference's, luma",
        "mean squared error",
        "small but ugly errors; other words make it fall",
    ),
    Measure(
        "psnr_frame",
        "0 to 100 dB",
        "higher",
        "whole frame against the reference's, luma",
        "mean squared error",
        "anything small",
    ),
    Measure(
        "fid_face",
        "0 up",
        "lower",
        "distance of the faces' Inception features from the reference's",
        "Heusel et al. 2017, by torch-fidelity",
        "lips and sound; grows as frames get fewer, so compare only films of similar length",
    ),
    Measure(
        "fid_frame",
        "0 up",
        "lower",
        "distance of the frames' Inception features from the reference's",
        "Heusel et al. 2017, by torch-fidelity",
        "anything small, lips and sound; grows as frames get fewer",
    ),
    Measure(
        "sharpness",
        "0 up",
        "near 1",
        "gradient energy of the mouth over the reference's",
        "own",
        "wrong but sharp detail; an open mouth has more than a shut one",
    ),
    Measure(
        "frame_sharpness",
        "0 to 1, a good dub .9 and more",
        "higher",
        "share of fine detail in the mouth over that of the two frames before or the two after, whichever have less, "
        "without dips that the reference has too; 10th percentile",
        "own; gradient energy before and after smoothing",
        "fewer than one blurred frame in ten; mouths that are soft for longer, which `sharpness` sees",
    ),
    Measure(
        "stain",
        "0 to 255, a good dub under 7",
        "lower",
        "largest low-passed change of the skin's color against the reference; 90th percentile of the frames",
        "own; color differences, low-passed by .15 of the distance of the eyes",
        "lightness; what lies on the lips; gray films",
    ),
    Measure(
        "chin_edge",
        "0 to 1, a good dub under .16",
        "lower",
        "strongest edge under the chin that neither the reference nor its chin moved there has, over the strongest it "
        "has; 75th percentile of the frames",
        "own; steepness of the luma across the middle of the jaw",
        "edges at the sides of the jaw; those in fewer than a quarter of the frames",
    ),
    Measure(
        "switching",
        "0 to 1, real video under .07",
        "lower",
        "change of the inner mouth from one frame to the next beyond that before and after it, where it fits best; "
        "90th percentile",
        "own; luma inside the inner lips of four frames in a row",
        "teeth doubled in all frames; mouths that are hardly open",
    ),
    Measure(
        "pieces",
        "0 to 1, 0 before coding",
        "lower",
        "99th percentile of the change beside the face's outline, low-passed; 90th percentile of the frames",
        "own; luma beyond the outlines of both faces, the throat left out",
        "pieces in front of the throat",
    ),
    Measure(
        "seam",
        "0 up, a clean dub under .02",
        "lower",
        "lasting detail on the skin that is not the reference's, over what the reference has nearby",
        "own; the mean pictures of the face, 85th percentile of its skin",
        "seams that move; seams in the lips",
    ),
    Measure(
        "flicker",
        "0 to 1, under .004 hardly visible",
        "lower",
        "second difference in time of the lower face's brightness against the reference's",
        "own",
        "flicker inside the mouth",
    ),
    Measure(
        "likeness",
        "-1 to 1, the same person .994 and more",
        "higher",
        "correlation of the skin's detail around the mouth with the reference's, each neighborhood where it fits best",
        "own; the mean pictures of the face, moved by at most .06 of the distance of the eyes",
        "light and color; the lips; folds that move with the mouth",
    ),
    Measure(
        "outside",
        "0 to 1, a codec's own loss under .01",
        "lower",
        "mean difference from the reference away from the lower face, near the face",
        "own; 95th percentile of the frames",
        "the lower face itself",
    ),
    Measure(
        "outside_equal",
        "0 to 1",
        "higher",
        "samples away from the lower face that equal the reference's (1 only where both are lossless)",
        "own",
        "the lower face itself",
    ),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
