"""``python -m dubkit`` is the ``dubkit`` command."""

from __future__ import annotations

from dubkit.cli.entry import main

if __name__ == "__main__":
    main()
