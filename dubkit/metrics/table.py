"""The table of measures: what each says and in which range, which way is better, where it comes from, and what it
cannot see.

The lip measures share their landmarks with the generator. An outside judge
(``tests/benchmarks/judge_lips.py``) saw the same 12 clips of people that training never saw, dubbed with their own
sound. Mean difference a clip, and correlation over the clips:

====================  ===========  ===========
measure               difference   correlation
====================  ===========  ===========
opening_correlation   .03          .99
offset_ms             4 ms         .99
open_in_silence       .06          .95
amplitude             .07          .72
jitter                .11          .44
ssim                  .01          1.00
sharpness             .00          1.00
closure_recall        .06          (the judge saw all shut)
vowel_closure_ratio   30           none: the divisor is next to nothing
====================  ===========  ===========

``sound_offset_ms`` of the real clips whose sound is known to fit: -15 to 35 ms; with the sound moved by 200 ms, it
moved by 195 to 205 ms.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table."""

    name: str
    range: str
    better: str  # higher | lower | "near 1" | "near 0"
    meaning: str
    source: str
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
        "closure_recall",
        "0 to 1, real video .99",
        "higher",
        "share of P B M in which the lips meet",
        "own; landmarks and phonemes",
        "lips that should have been open elsewhere",
    ),
    Measure(
        "vowel_closure_ratio",
        "0 up, real video 4 or more",
        "higher",
        "opening of open vowels over that of P B M",
        "own; landmarks and phonemes",
        "timing; depends on a small divisor, so compare only its order of magnitude",
    ),
    Measure(
        "open_in_silence",
        "0 to 1",
        "lower",
        "share of frames with open lips while nobody speaks",
        "own; landmarks and phonemes",
        "breath, smiles and parted lips at rest are counted too",
    ),
    Measure(
        "sound_offset_ms",
        "-400 to 400",
        "near 0",
        "how much later the lips are than dubkit's own net would move them to this sound",
        "own; best cross-correlation of the openings",
        "errors of the net itself, so it shows little about films made with it; still mouths; shots under 40 frames",
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
        "offset_ms",
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
        "seam",
        "0 up",
        "near 1",
        "steepness along the lower face's border over the reference's",
        "own",
        "seams elsewhere",
    ),
    Measure(
        "flicker",
        "0 to 1, under .005 hardly visible",
        "lower",
        "frame-to-frame change of the border's brightness against the reference's",
        "own",
        "flicker inside the mouth",
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
