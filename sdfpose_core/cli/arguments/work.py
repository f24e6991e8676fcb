"""The link from the arguments of a command to its work."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable

__all__ = ["run_of"]


def run_of(module: str) -> Callable[[argparse.Namespace], int]:
    """Return the function ``run`` of a module, which is imported when the function is called.

    Args:
        module: full name.
    """

    def run(args: argparse.Namespace) -> int:
        return int(importlib.import_module(module).run(args))

    return run
