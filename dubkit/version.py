"""The version of dubkit, at the bottom of the package so that every part of it can state it."""

from __future__ import annotations

__version__ = "0.1.0"
