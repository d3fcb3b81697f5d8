"""Where the checkout is, and the folder beside it with published data, which a clone of its own has not."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
