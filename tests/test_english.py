"""Texts that users see are American English in the field's words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dubkit"
LAB = PACKAGE / "training" / "lab"  # not shipped: its texts are for those who wrote it
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if LAB not in path.parents)
PAGES = sorted((PACKAGE / "review" / "assets").glob("*.[jh][st]*"))
PRESETS = sorted((ROOT / "presets").glob("*.toml"))

BRITISH = (
    r"colour|licence|grey|neighbour|favour|behaviour|honour|centre|metre|catalogue|programme|"
    r"(?:recogn|organ|normal|synchron|optim|initial|final|local|util|emphas)is(?:e|ed|es|ing|ation)|"
    r"analys(?:e|ed|es|ing)|cancell(?:ed|ing)|labell(?:ed|ing)|modell(?:ed|ing)|travell|whilst|learnt|spelt"
)
UNCLEAR = (
    r"told|tells?|hears?|heard|anew|afresh|goes? on|mends?|is said|was said|what is|as asked|"
    r"of own|own frames alone|(?<!there )is no (?!longer)|an? (?:shot|frame|job|line|second|step) and|"
    r"one \w+ an? (?:shot|job|line)|(?:frames|pictures|samples) a (?:second|step)|thrown away"
)
BANNED = re.compile(rf"\b(?:{BRITISH}|{UNCLEAR})\b", re.IGNORECASE)
ALLOWED = {
    "--licence",  # the old spelling of --license is still understood
}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """String literals with their lines, without docstrings; an f-string is one text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else "…" for v in node.values]
            skipped |= {id(v) for v in node.values}
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and id(node) not in skipped:
            yield node.lineno, str(node.value)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_messages_of_a_module(path: Path) -> None:
    found = {
        f"{line}: {text}"
        for line, text in texts(path)
        if text not in ALLOWED and BANNED.search(text)
    }
    assert not found


@pytest.mark.parametrize("path", [*PAGES, *PRESETS], ids=names([*PAGES, *PRESETS]))
def test_texts_of_the_report_and_of_presets(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    code = re.compile(r"^\s*(?://|/\*\*?|\*)")  # comments are not shown
    assert not [line for line in lines if not code.match(line) and BANNED.search(line)]
