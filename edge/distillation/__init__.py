"""Training a smaller student on a teacher's outputs; PyTorch is imported in limited children only.

`architecture` names what a student may be, `teaching` asks the teacher, `training` trains and
exports. The teacher runs on edgekit's backends and is never trained itself.
"""

import importlib.util
from typing import Final

REQUIRES: Final = ("torch",)
EXTRA: Final = "distill"


def missing_modules() -> tuple[str, ...]:
    """Return which of the modules that a training imports are not installed here."""
    return tuple(name for name in REQUIRES if importlib.util.find_spec(name) is None)
