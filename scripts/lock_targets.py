"""Write the wheels that each runtime of a target needs into targets/*.toml, exactly pinned.

    python scripts/lock_targets.py              every target
    python scripts/lock_targets.py rpi4 cpu     these, by name or alias

Between its two marker lines of a runtime it writes the whole closure that the runtime declares
for that target's environment; nothing else in the file changes. A runtime without marker lines
is left alone. Needs the network: it resolves, downloads and measures every wheel.
"""

import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge.adapters.data import data_folder
from edge.adapters.files import read_text, write_text
from edge.adapters.registry import PackagePin, pip_download, pip_resolve, sha256_of
from edge.adapters.targets import load_target, load_target_file, load_targets
from edge.adapters.wheelhouse import pip_options
from edge.errors import ConfigError, EdgekitError
from edge.records.platform import platform_of
from edge.records.target import Target, TargetRuntime, WheelPin

# tflite-runtime is compiled for numpy 1 and declares no upper bound: with numpy 2 it fails when
# an Interpreter is constructed.
_UNDECLARED = {"tflite-runtime": ("numpy<2",)}
# A requirement that only the target's markers ask for may bring others: so many times over.
_ROUNDS = 5


def marker_environment(target: Target) -> dict[str, str]:
    """Return what environment markers see on the target; pip evaluates them for this machine."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.os.python}.0",
        "os_name": "posix",
        "platform_machine": target.cpu.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.os.python}.0",
        "python_version": target.os.python,
        "sys_platform": "linux",
        "extra": "",
    }


def provided_by_apt(runtime: TargetRuntime) -> set[str]:
    """Return the distributions that Debian's packages of that runtime stand for."""
    prefix = "python3-"
    packages = (name for name in runtime.apt_packages if name.startswith(prefix))
    return {canonicalize_name(name.removeprefix(prefix)) for name in packages}


def closure(
    entries: Sequence[dict[str, Any]], root: str, environment: dict[str, str], given: set[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the entries that `root` needs under the environment, and the requirements not met."""
    by_name = {canonicalize_name(entry["metadata"]["name"]): entry for entry in entries}
    reached: dict[str, dict[str, Any]] = {}
    missing: list[str] = []
    waiting = [canonicalize_name(root)]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached[name] = by_name[name]
        for text in by_name[name]["metadata"].get("requires_dist", []):
            requirement = Requirement(text)
            needed = canonicalize_name(requirement.name)
            if needed in given:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate(environment):
                continue
            found = by_name.get(needed)
            if found is None or not requirement.specifier.contains(found["metadata"]["version"]):
                missing.append(f"{requirement.name}{requirement.specifier}")
            else:
                waiting.append(needed)
    return list(reached.values()), missing


def resolve(target: Target, runtime: TargetRuntime) -> list[dict[str, Any]]:
    """Resolve until the closure is closed on the target."""
    given = provided_by_apt(runtime)
    wanted = [f"{runtime.distribution}=={runtime.version}"]
    wanted += _UNDECLARED.get(runtime.distribution, ()) if not given else ()
    options = pip_options(platform_of(target)) + (["--no-deps"] if given else [])
    environment = marker_environment(target)
    for _round in range(_ROUNDS):
        entries = pip_resolve(wanted, options)
        needed, missing = closure(entries, runtime.distribution, environment, given)
        if not missing:
            return needed
        wanted += missing
    raise ConfigError(f"not closed: {', '.join(missing)}", where=f"{target.name}: {wanted[0]}")


def pin_wheels(target: Target, runtime: TargetRuntime, folder: Path) -> list[WheelPin]:
    """Download the closure of a runtime and return its pins, the runtime first."""
    pins = []
    for entry in resolve(target, runtime):
        filename = entry["download_info"]["url"].rsplit("/", 1)[1]
        sha256 = entry["download_info"]["archive_info"]["hashes"]["sha256"]
        name, version = entry["metadata"]["name"], entry["metadata"]["version"]
        path = folder / filename
        if not path.exists():
            pin = PackagePin(name=name, version=version, sha256=sha256)
            pip_download([pin], folder, pip_options(platform_of(target)))
        if sha256_of(path) != sha256:
            raise ConfigError("another file than the one resolved", where=filename)
        size_bytes = path.stat().st_size
        pins.append(
            WheelPin(
                name=canonicalize_name(name),
                version=version,
                filename=filename,
                sha256=sha256,
                size_bytes=size_bytes,
            )
        )
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


def lock_target(target: Target, path: Path, folder: Path) -> None:
    """Rewrite the wheels of one target file; it is loaded again before it is left."""
    text = read_text(path)
    for runtime in target.runtimes:
        if markers(runtime.distribution)[0] not in text:
            print(f"{target.name}: {runtime.distribution}: no marker lines, left alone")
            continue
        pins = pin_wheels(target, runtime, folder)
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
        with tempfile.TemporaryDirectory() as folder:
            for target in chosen:
                lock_target(target, data_folder("targets") / f"{target.name}.toml", Path(folder))
    except EdgekitError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
