"""Write the wheels that each runtime of a target needs into targets/*.toml, exactly pinned.

    python scripts/lock_targets.py              every target
    python scripts/lock_targets.py rpi4 cpu     these, by name or alias

Between its two marker lines of a runtime it writes the whole closure that the runtime declares
for that target's environment; nothing else in the file changes. A runtime without marker lines
is left alone. Needs the network: it resolves, downloads and looks into every wheel; numpy is held
below 2 where the runtime is compiled for numpy 1, which none of them declares.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.adapters.data import data_folder
from edge.adapters.files import read_text, write_text
from edge.adapters.targets import load_target, load_target_file, load_targets
from edge.adapters.wheelhouse import lock_wheels
from edge.errors import ConfigError, EdgekitError
from edge.records.platform import platform_of
from edge.records.target import Target, TargetRuntime, WheelPin


def pin_wheels(target: Target, runtime: TargetRuntime) -> list[WheelPin]:
    """Resolve and download the closure of a runtime and return its pins, the runtime first."""
    pins = lock_wheels(platform_of(target), runtime)
    return [pins[0], *sorted(pins[1:], key=lambda pin: pin.name)]


def markers(distribution: str) -> tuple[str, str]:
    """Return the lines that enclose the wheels of a distribution."""
    begin = f"# begin wheels of {distribution}: written by scripts/lock_targets.py\n"
    return begin, f"# end wheels of {distribution}\n"


def replace_wheels(text: str, distribution: str, pins: Sequence[WheelPin]) -> str:
    """Return the text with the wheels of a distribution replaced, and nothing else."""
    begin, end = markers(distribution)
    pattern = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)
    lines = [
        f'  {{ name = "{pin.name}", version = "{pin.version}", filename = "{pin.filename}", '
        f'sha256 = "{pin.sha256}", size_bytes = {pin.size_bytes:_} }},\n'
        for pin in pins
    ]
    block = "wheels = [\n" + "".join(lines) + "]\n"
    changed, count = pattern.subn(lambda _match: block, text)
    if count != 1:
        raise ConfigError(f"needs exactly one pair of marker lines for {distribution}")
    return changed


def lock_target(target: Target, path: Path) -> None:
    """Rewrite the wheels of one target file; it is loaded again before it is left."""
    text = read_text(path)
    for runtime in target.runtimes:
        if markers(runtime.distribution)[0] not in text:
            print(f"{target.name}: {runtime.distribution}: no marker lines, left alone")
            continue
        pins = pin_wheels(target, runtime)
        text = replace_wheels(text, runtime.distribution, pins)
        size_bytes = sum(pin.size_bytes for pin in pins)
        print(f"{target.name}: {runtime.distribution} {runtime.version}: ", end="")
        print(f"{len(pins)} wheels, {size_bytes / 1e6:.1f} MB", flush=True)
    write_text(path, text)
    load_target_file(path)


def main() -> int:
    """Lock the targets that are named, or all."""
    try:
        chosen = [load_target(name) for name in sys.argv[1:]] or load_targets()
        for target in chosen:
            lock_target(target, data_folder("targets") / f"{target.name}.toml")
    except EdgekitError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
