"""What one can do about a finding: a command where there is one."""

import shlex
from collections.abc import Callable, Mapping
from typing import Final

from edge.errors import printable
from edge.reasoning.finding_words import Decoded
from edge.reasoning.runtime_faults import FAULTS
from edge.records.emulation import FindingKind
from edge.records.manifest import Manifest

# As edge/device/ending.py says it.
_OWN_BUG: Final = "a bug in edgekit: "


def remedy_for(found: Decoded, manifest: Manifest) -> str:
    """Return what to do about something that was found in a bundle."""
    return _REMEDIES[found.kind](found, manifest)


def package_command(manifest: Manifest, options: str = "") -> str:
    """Return the command that makes the bundle again, with other options."""
    command = f"edgekit package {_word(manifest.model.name)} --target {_word(manifest.target)}"
    return f"`{command}{' ' if options else ''}{options}`"


def _word(text: str) -> str:
    """Return a name of a bundle, which is not trusted, as one word of a command."""
    return shlex.quote(printable(text))


def _other_runtime(manifest: Manifest) -> str:
    """Return how to take another version, or where there is one another runtime, of the format."""
    name = _word(manifest.runtime)
    version = package_command(manifest, f"--runtime {name} --runtime-version V")
    others = {"ai-edge-litert": "tflite-runtime", "tflite-runtime": "ai-edge-litert"}
    other = others.get(name)
    if other is None:
        return f"take another version of {name}: {version}"
    return f"take another version of {name}: {version}, or {other}: --runtime {other}"


def _illegal(found: Decoded, manifest: Manifest) -> str:
    known = [
        fault.sound
        for fault in FAULTS
        if fault.distribution == manifest.runtime and manifest.runtime_version in fault.versions
    ]
    if known:
        options = f"--runtime {manifest.runtime} --runtime-version {known[0]}"
        return f"take {manifest.runtime} {known[0]}: {package_command(manifest, options)}"
    feature = f" with {found.missing}" if found.missing else ""
    return f"{_other_runtime(manifest)}; or take a target whose processor is one{feature}"


def _misfit(_found: Decoded, manifest: Manifest) -> str:
    made = f"it was made for {printable(manifest.target)}, with Python {printable(manifest.python)}"
    return f"{made}; package it for this target: `edgekit package {_word(manifest.model.name)} --target T`"


def _symbol_version(found: Decoded, manifest: Manifest) -> str:
    release = f"an older one, or a target whose system has {found.missing}"
    return f"{_other_runtime(manifest)}; take {release}"


def _import(found: Decoded, manifest: Manifest) -> str:
    if found.missing == "numpy" and "numpy" in found.what and manifest.runtime == "tflite-runtime":
        return f"tflite-runtime needs numpy below 2; or {_other_runtime(manifest)}"
    if found.what.startswith("the system packages "):
        return f"on the target: sudo apt-get install {found.missing}"
    return (
        f"package it again: {package_command(manifest)}; if that fails, too, "
        f"{_other_runtime(manifest)}"
    )


def _operator(found: Decoded, manifest: Manifest) -> str:
    name = found.missing or "it"
    return (
        f"export the model without {name}, of operators that {printable(manifest.runtime)} has; "
        f"or {_other_runtime(manifest)}"
    )


def _output(_found: Decoded, manifest: Manifest) -> str:
    return (
        f"package the model again, so that its samples are its own: {package_command(manifest)}; "
        f"if they still differ, {_other_runtime(manifest)}"
    )


def _memory(_found: Decoded, _manifest: Manifest) -> str:
    return (
        "`edgekit emulate` with --full-system says which memory suffices; take a smaller or an "
        "int8 model, --threads 1, or a target with more memory"
    )


def _damaged(_found: Decoded, manifest: Manifest) -> str:
    return f"copy the bundle again, or package it again: {package_command(manifest)}"


def _hang(_found: Decoded, manifest: Manifest) -> str:
    return f"try a smaller model; if that ends, too, {_other_runtime(manifest)}"


def _otherwise(found: Decoded, manifest: Manifest) -> str:
    if found.what.startswith(_OWN_BUG):
        return "report it, with the bundle and what --debug shows"
    return f"{_other_runtime(manifest)}; if it stays, report it with the bundle"


_REMEDIES: Final[Mapping[FindingKind, Callable[[Decoded, Manifest], str]]] = {
    "damaged-bundle": _damaged,
    "misfit": _misfit,
    "missing-symbol-version": _symbol_version,
    "import-failure": _import,
    "illegal-instruction": _illegal,
    "missing-operator": _operator,
    "wrong-output": _output,
    "out-of-memory": _memory,
    "hang": _hang,
    "crash": _otherwise,
    "failure": _otherwise,
    # Only the gate finds it, which has its own words.
    "cost-increase": _otherwise,
}
