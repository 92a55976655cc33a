"""The settings that a sweep found to be best for a bundle on this machine. Device slice: Python 3.8.

They lie beside what is installed, and no signature covers them: so they choose among harmless
values only, and count for nothing where model, processor or runtime are others, or the file is
damaged.
"""

import json
import os
import re
import stat
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from edge.device.durable import write_whole
from edge.device.parts import Unpacked
from edge.device.ready import made_for
from edge.errors import HostError
from edge.records.manifest import Manifest
from edge.records.measurement import GRAPH_LEVELS, SessionConfig

_VERSION = "1.0"
_FILE = "settings.json"
_LONGEST_BYTES = 64 << 10
_PROVIDER = re.compile(r"[a-z0-9_]{1,32}")
# What makes settings those of another machine or bundle, and how that is told.
_REASONS = {
    "model_sha256": "they were measured with another model",
    "runtime": "they were measured with another runtime",
    "runtime_version": "they were measured with another version of the runtime",
    "machine": "they were measured on another processor",
    "cpu_model": "they were measured on another processor",
    "cpu_features": "they were measured on another processor",
}


@dataclass(frozen=True)
class Settings:
    """What the settings of a bundle are; without a `config`, `reason` says why they do not count.

    `evidence` is what they were chosen by: p50_ns, p90_ns, queries, measured_unix_ns.
    """

    path: str
    config: Optional[SessionConfig] = None
    reason: Optional[str] = None
    evidence: Optional[Mapping[str, Any]] = None


def settings_path(parts: Unpacked) -> str:
    """Return the file with a bundle's settings.

    An installed bundle's is ROOT/bundles/NAME/settings.json, and outlives updates; that of a bundle
    which is run from its file lies beside its folder in the cache.
    """
    above, name = os.path.split(os.path.abspath(parts.folder))
    if os.path.basename(above) == "versions":
        return os.path.join(os.path.dirname(above), _FILE)
    return os.path.join(above, "{}.{}".format(name, _FILE))


def read_settings(manifest: Manifest, parts: Unpacked) -> Settings:
    """Return a bundle's settings; where there are none, config and reason are None."""
    path = settings_path(parts)
    try:
        told = _read(path)
    except FileNotFoundError:
        return Settings(path)
    except OSError as error:
        return Settings(path, reason="they cannot be read: {}".format(error.strerror or error))
    except RecursionError:
        return Settings(path, reason="the file is damaged: it is nested too deeply")
    except ValueError as error:
        return Settings(path, reason="the file is damaged: {}".format(error))
    for key, value in made_for(manifest).items():
        if told.get(key) != value:
            return Settings(path, reason=_REASONS[key])
    try:
        config, evidence = _config(manifest.session.backend, told), dict(told["evidence"])
    except (ValueError, KeyError, TypeError) as error:
        return Settings(path, reason="the file is damaged: {}".format(error))
    cores = len(os.sched_getaffinity(0))
    if config.threads > max(cores, manifest.session.threads):
        text = "they ask for {} threads, and this process may use {} cores"
        return Settings(path, reason=text.format(config.threads, cores))
    return Settings(path, config, evidence=evidence)


def write_settings(
    manifest: Manifest, parts: Unpacked, config: SessionConfig, evidence: Mapping[str, int]
) -> str:
    """Write what `run` and `probe` are to use from now on, durably, and return the file.

    `evidence` has p50_ns, p90_ns, queries and measured_unix_ns.

    Raises:
        HostError: it cannot be written.
    """
    document = {
        "schema_version": _VERSION,
        **made_for(manifest),
        "threads": config.threads,
        # What is usual anyway is not asked for: only so is a prepared model used.
        "graph_level": None if config.graph_level == GRAPH_LEVELS[-1] else config.graph_level,
        "provider": None if config.provider == "cpu" else config.provider,
        "evidence": {key: int(value) for key, value in evidence.items()},
    }
    path = settings_path(parts)
    try:
        write_whole(path, (json.dumps(document, indent=1) + "\n").encode())
    except OSError as error:
        what = "the settings cannot be written: {}".format(error.strerror or error)
        hint = "whoever installed the bundle can write them"
        raise HostError(what, where=path, hint=hint) from error
    return path


def settings_line(settings: Settings) -> Optional[str]:
    """Return the settings in a line, for `info`; None where there are none."""
    if settings.reason is not None:
        return "ignored: {}".format(settings.reason)
    if settings.config is None:
        return None
    config = settings.config
    parts = ["threads: {}".format(config.threads)]
    parts += ["graph level: " + config.graph_level] if config.graph_level else []
    parts += ["provider: " + config.provider] if config.provider else []
    return ", ".join([*parts, "chosen by a sweep"])


def _read(path: str) -> Dict[str, Any]:
    """Read a small regular file; anything else in its place would hang or fill the memory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        data = file.read(_LONGEST_BYTES + 1)
    if len(data) > _LONGEST_BYTES:
        raise ValueError("it is too long")
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ValueError("it is no table")  # noqa: TRY004 - of what is in a file
    if str(told.get("schema_version")).partition(".")[0] != _VERSION.partition(".")[0]:
        raise ValueError("its schema_version is not {}".format(_VERSION))
    return told


def _config(backend: str, told: Mapping[str, Any]) -> SessionConfig:
    threads, level, provider = told["threads"], told["graph_level"], told["provider"]
    if type(threads) is not int:  # True is one.
        raise TypeError("threads is no number")
    if provider is not None and not _PROVIDER.fullmatch(provider):
        raise ValueError("provider is no name")
    return SessionConfig(backend, threads, graph_level=level, provider=provider)
