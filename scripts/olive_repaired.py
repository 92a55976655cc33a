"""Olive's command line with a fault of 0.13 repaired, so that it is compared at its best.

A search fails at every point that shares a pass with an earlier one: the engine records the cached
pass under the name `model_config`, which pydantic keeps for itself; the field has another name.
"""

from __future__ import annotations

from typing import Any

from olive.cli.launcher import main
from olive.engine.footprint import FootprintNode


def update(self: Any, **fields: Any) -> None:
    """Set the fields under the names that they have."""
    for name, value in fields.items():
        setattr(self, "model_config_data" if name == "model_config" else name, value)


FootprintNode.update = update

if __name__ == "__main__":
    main()
