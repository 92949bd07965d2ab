"""The table of measures: what each says, which way is better, where it comes from, and what it cannot see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the table."""

    name: str
    better: str  # higher | lower | "near 1" | "near 0"
    meaning: str
    blind: str  # what it cannot see


MEASURES = (
    Measure(
        "lse_d",
        "lower",
        "SyncNet distance of lips and sound at the best shift (real video: 6.7 to 7.0)",
        "mouths that move in silence; prefers some generators to real video",
    ),
    Measure(
        "lse_c",
        "higher",
        "SyncNet confidence (real video: 6.9 to 8.0)",
        "mouths that move in silence; prefers some generators to real video",
    ),
    Measure(
        "closure_recall",
        "higher",
        "P B M in which the lips meet",
        "whether they should have been open elsewhere",
    ),
    Measure(
        "vowel_closure_ratio",
        "higher",
        "opening of open vowels over that of P B M",
        "timing",
    ),
    Measure(
        "open_in_silence",
        "lower",
        "frames with open lips where nobody speaks",
        "breath, smiles and laughs are counted too",
    ),
    Measure(
        "opening_correlation",
        "higher",
        "opening of the lips against the reference's, the same words spoken",
        "the look of the picture",
    ),
    Measure(
        "amplitude",
        "near 1",
        "deviation of the opening over the reference's",
        "timing",
    ),
    Measure(
        "offset_ms",
        "near 0",
        "how much later the lips are than the reference's",
        "offsets over 200 ms",
    ),
    Measure(
        "jitter",
        "near 1",
        "second difference of the lip points over the reference's",
        "slow drift",
    ),
    Measure(
        "ssim",
        "higher",
        "structural similarity of the face to the reference's (Wang et al. 2004)",
        "small but ugly errors",
    ),
    Measure(
        "psnr_face",
        "higher",
        "dB, face against the reference's",
        "small but ugly errors",
    ),
    Measure(
        "psnr_frame",
        "higher",
        "dB, whole frame against the reference's",
        "anything small",
    ),
    Measure(
        "sharpness",
        "near 1",
        "gradient energy of the mouth over the reference's",
        "wrong but sharp detail",
    ),
    Measure(
        "seam",
        "near 1",
        "steepness along the lower face's border over the reference's",
        "seams elsewhere",
    ),
    Measure(
        "flicker",
        "lower",
        "frame-to-frame change of the border's brightness against the reference's",
        "flicker inside the mouth",
    ),
    Measure(
        "outside_equal",
        "higher",
        "samples away from the lower face that equal the reference's (1 only where both are lossless)",
        "the lower face itself",
    ),
)
BY_NAME = {measure.name: measure for measure in MEASURES}
