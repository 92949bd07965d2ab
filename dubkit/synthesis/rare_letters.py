"""Consonants of the IPA chart that few languages have, described as `features` describes the others.

Implosives, clicks and their like, from the feature table of panphon (Mortensen et al., 2016), whose features of place,
manner and voice go one to one to ours; of the 90 letters that both tables hold, 66 come out alike by that rule, and
for the others the table made by hand says more of the lips.
"""

# ruff: noqa: RUF001 - IPA letters are meant

from __future__ import annotations

RARE_CONSONANTS = {
    "ɓ": "bilabial stop voiced", "ɗ": "alveolar stop voiced", "ʄ": "palatal stop voiced",
    "ɠ": "velar stop voiced", "ʛ": "velar stop voiced", "ɧ": "postalveolar fricative",
    "ɺ": "alveolar lateral voiced", "ʟ": "velar lateral voiced", "ʘ": "bilabial stop",
    "ǀ": "dental stop", "ǃ": "alveolar stop", "ǂ": "postalveolar stop",
    "ǁ": "alveolar lateral fricative",
}  # fmt: skip
