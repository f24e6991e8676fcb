"""``python -m sdfpose_ros.reference FOLDER``: write the generated reference pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sdfpose_ros.reference import write_pages


def main() -> None:
    """Write the pages and print their paths."""
    parser = argparse.ArgumentParser(description="Write the generated reference pages.")
    parser.add_argument("folder", type=Path, help="for example docs/reference")
    for path in write_pages(parser.parse_args().folder):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
