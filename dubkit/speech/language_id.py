"""Which language a text is in, by its letters (py3langid).

Alone because it is loaded by name: it needs py3langid, of the extra ``languages``.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

_SURE = 0.3  # of all languages together 1; one line of text gives more than .9


@cache
def _identifier(codes: frozenset[str]) -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(sorted(codes & set(identifier.labels)))
    return identifier


def guess(text: str, codes: Collection[str], sure: float = _SURE) -> str | None:
    """The most probable of ``codes`` (of those, the ones of two letters); None where none is ``sure`` enough."""
    wanted = frozenset(code for code in codes if len(code) == 2)
    code, probability = _identifier(wanted).classify(text)
    return str(code) if probability >= sure else None
