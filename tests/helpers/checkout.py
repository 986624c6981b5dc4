"""The folder of this checkout."""

from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
