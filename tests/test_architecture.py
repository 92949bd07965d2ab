"""The house rules that a program can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dubkit

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dubkit"
MODULES = sorted(PACKAGE.rglob("*.py"))
MODULE_LINES = 600
BODY_LINES = 60


def names() -> list[str]:
    return [str(path.relative_to(ROOT)) for path in MODULES]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines after signature and docstring: a command's signature is its list of flags."""
    body = function.body
    is_docstring = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    if is_docstring:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_imports_point_downward() -> None:
    """In a process of its own: import-linter switches off the loggers that it finds."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()"]
    done = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=names())
def test_modules_and_functions_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES
    long = {f.name: body_lines(f) for f in functions(path) if body_lines(f) > BODY_LINES}
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=names())
def test_modules_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", MODULES, ids=names())
def test_no_shell_no_pickle_no_print_no_left_over_marks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for mark in ("shell=True", "import pickle", "TODO", "FIXME", "XXX", "NotImplementedError"):
        assert mark not in text
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print"


@pytest.mark.parametrize("path", MODULES, ids=names())
def test_nothing_is_caught_that_is_not_understood(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            caught = ast.unparse(node.type)
            ends = node.body[-1]
            handed_on = node.name in {n.id for n in ast.walk(ends) if isinstance(n, ast.Name)}
            raised = isinstance(ends, ast.Raise)
            assert caught not in ("Exception", "BaseException") or raised or handed_on


def test_no_module_is_called_utils() -> None:
    assert not [path for path in MODULES if "util" in path.stem]


def test_tests_mirror_the_package() -> None:
    folders = {path.parent.relative_to(PACKAGE) for path in MODULES}
    tested = {p.parent.relative_to(ROOT / "tests") for p in (ROOT / "tests").rglob("test_*.py")}
    assert tested - {Path("e2e"), Path("benchmarks"), Path("optional")} <= folders


def test_importing_dubkit_loads_the_checkout_under_test() -> None:
    assert Path(dubkit.__path__[0]) == PACKAGE
