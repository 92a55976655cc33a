"""Makes the form of a model that starts fastest on this machine, and decides whether to use it.

Most of a cold start is spent on the graph: reading, optimising, copying weights. The runtime does
it once while the bundle is unpacked, saves what it got, and later maps that. The original model
stays, and is used wherever there is any doubt. Device slice: Python 3.8.
"""

import json
import os
import shutil
from typing import Any, Dict, List, Mapping, Optional, Tuple

from edge.device.parent import Limits, memory_limit, run_child
from edge.errors import EdgekitError
from edge.records.manifest import Manifest

_VERSION = "1.0"
_FOLDER = "ready"
_NOTE = "ready.json"
_STAGED = "ready.part"
# What tells processors apart: the same name with other features is another processor to a runtime.
_CPU_NAMES = (b"model name", b"CPU implementer", b"CPU part", b"CPU variant", b"CPU revision")
_CPU_FEATURES = (b"flags", b"Features")


def make_ready(folder: str, manifest: Manifest, site: str) -> None:
    """Make the prepared form of the model in an unpacked bundle's `folder`, from `site`'s wheels.

    The runtime saves it in a limited child, and a second one runs all samples with both forms: the
    prepared one is kept in `ready/` only if its outputs agree and are no further from the expected
    ones than the original's. `ready.json` says what was made, or why nothing was. What a killed
    process leaves counts as nothing, and `folder` must be nobody else's meanwhile.

    Raises:
        OSError: the disk is full or fails.
    """
    for name in (_NOTE, _NOTE + ".part"):
        if os.path.lexists(os.path.join(folder, name)):
            os.unlink(os.path.join(folder, name))
    for name in (_FOLDER, _STAGED):
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    note: Dict[str, Any] = {"schema_version": _VERSION, **made_for(manifest)}
    try:
        note.update(_make(folder, manifest, site))
    except EdgekitError as error:
        note.update(model=None, files={}, reason=error.what)
    finally:
        shutil.rmtree(os.path.join(folder, _STAGED), ignore_errors=True)
    path = os.path.join(folder, _NOTE)
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(note, file, indent=1)
        file.write("\n")
    os.replace(path + ".part", path)


def session_model(folder: str, manifest: Manifest) -> Tuple[str, bool]:
    """Return the model file to open, and whether it is a prepared one.

    It is, if `ready/` was made of this model for this processor and by this version of the
    runtime, and is all there; a session for it needs `prepared` in its SessionConfig.
    """
    original = os.path.join(folder, *manifest.model.path.split("/"))
    try:
        with open(os.path.join(folder, _NOTE), encoding="utf-8") as file:
            note = json.load(file)
        is_ours = all(note[key] == value for key, value in made_for(manifest).items())
        if not is_ours or note["model"] is None:
            return original, False
        sizes = {name: told["size_bytes"] for name, told in note["files"].items()}
        place = os.path.join(folder, _FOLDER)
        if all(os.path.getsize(os.path.join(place, name)) == sizes[name] for name in sizes):
            return os.path.join(place, note["model"]), True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # Nobody else's file is in doubt: the original is as good, and only slower.
    return original, False


def _make(folder: str, manifest: Manifest, site: str) -> Dict[str, Any]:
    if not any(wheel.name == manifest.runtime for wheel in manifest.wheels):
        # An update of the system may bring another one, unnoticed.
        return _nothing("the runtime is the system's own")
    staged = os.path.join(folder, _STAGED)
    os.mkdir(staged)
    original = os.path.join(folder, *manifest.model.path.split("/"))
    config = {"backend": manifest.session.backend, "threads": manifest.session.threads}
    request = {"model": original, "config": config, "folder": staged}
    model = _ask("prepare", request, manifest, site)
    if model is None:
        return _nothing("the runtime has no faster form of it")
    samples = manifest.samples
    reason = _ask(
        "compare",
        {
            "model": original,
            "prepared": os.path.join(staged, model),
            "config": config,
            "samples": os.path.join(folder, *samples.path.split("/")),
            "rule": {"compare": samples.compare, "atol": samples.atol, "rtol": samples.rtol},
        },
        manifest,
        site,
    )
    if reason is not None:
        return _nothing(reason)
    files = {name: _file(os.path.join(staged, name)) for name in sorted(os.listdir(staged))}
    os.rename(staged, os.path.join(folder, _FOLDER))
    return {"model": model, "files": files, "reason": None}


def _nothing(reason: str) -> Dict[str, Any]:
    return {"model": None, "files": {}, "reason": reason}


def _ask(task: str, request: Mapping[str, Any], manifest: Manifest, site: str) -> Any:
    # Two forms of it are in memory at once, and what is being written of one.
    memory = memory_limit(3 * manifest.model.size_bytes, manifest.session.threads)
    return run_child(
        "edge.device.preparing:" + task,
        request,
        limits=Limits(memory_bytes=memory + 4 * (manifest.model.peak_activation_bytes or 0)),
        what=manifest.model.name,
        paths=[site],
    )


def _file(path: str) -> Dict[str, Any]:
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
        return {"size_bytes": file.tell(), "sha256": digest.hexdigest()}


def made_for(manifest: Manifest) -> Dict[str, Any]:
    """Return what a prepared form depends on."""
    name, features = _processor()
    return {
        "model_sha256": manifest.model.sha256,
        "runtime": manifest.runtime,
        "runtime_version": manifest.runtime_version,
        "machine": os.uname().machine,
        "cpu_model": name,
        "cpu_features": features,
    }


def _processor(path: str = "/proc/cpuinfo") -> Tuple[Optional[str], Optional[str]]:
    """Return name and features of the first core; a server would list hundreds of them."""
    name: List[str] = []
    features = None
    try:
        with open(path, "rb") as file:
            for line in file:
                key, _, value = line.partition(b":")
                if not key.strip() and (name or features is not None):
                    break
                text = value.strip().decode("ascii", "replace")
                if key.strip() in _CPU_NAMES:
                    name.append(text)
                elif key.strip() in _CPU_FEATURES:
                    features = text
    except OSError:
        pass
    return " ".join(name) or None, features
