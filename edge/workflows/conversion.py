"""Making a model file by a recipe, in a limited child, from what was fetched and verified."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.adapters.package_archive import fetch_archive
from edge.device.parent import Limits, run_child
from edge.errors import HostError
from edge.recipes import load_recipe, missing_modules
from edge.records.card import Conversion

# PyTorch maps several GiB of address space before it does anything, and takes its time.
_LIMITS: Final = Limits(wall_s=3600.0, cpu_s=7200, memory_bytes=16 << 30)


def require_extra(conversion: Conversion, name: str) -> None:
    """Make sure before any download that what the recipe imports is installed.

    Raises:
        HostError: it is not; the hint names the command that installs it.
    """
    missing = missing_modules(load_recipe(conversion.recipe))
    if missing:
        raise HostError(
            f"this model is made by conversion, which needs {', '.join(missing)}",
            where=name,
            hint=f"pip install 'edgekit-deploy[{conversion.extra}]'",
        )


def convert_model(
    conversion: Conversion,
    name: str,
    *,
    raw: Path,
    made: Path,
    progress: Callable[[float], None],
) -> tuple[str, ...]:
    """Run the recipe on the files in `raw`, into the folder `made`; return its evidence.

    Code that the recipe takes from packages is downloaded into a folder beside `raw`.

    Raises:
        ModelError: a package is not the pinned one.
        RuntimeFailure: the conversion failed in its child.
        HostError: no network, no disk space.
    """
    code = raw.parent / "code"
    code.mkdir()
    # A pure wheel is a zip that Python imports from as it is.
    wheels = [fetch_archive(package, code) for package in conversion.package]
    request = {
        "raw": {file.name: str(raw / file.name) for file in conversion.raw},
        "folder": str(made),
    }
    answer = run_child(
        f"edge.recipes.{conversion.recipe}:convert",
        request,
        limits=_LIMITS,
        what=f"converting {name}",
        progress=progress,
        paths=[str(wheel) for wheel in wheels],
    )
    return tuple(str(line) for line in answer["evidence"])
