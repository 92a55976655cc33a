"""apt with a private configuration: the one place that starts it.

Addresses and network settings are the machine's own; state and cache are in a folder of ours, so
it needs no rights and changes nothing of the system. Why: docs/adr/0014-oci-images.md.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from edge.errors import BundleError, HostError, printable

_TIMEOUT_S: Final = 1800
_KEPT_SETTINGS: Final = tuple(
    f"Acquire::{name}"
    for name in ("http", "ftp", "Retries", "Check-", "Max-", "Min-", "By-Hash", "ForceIPv")
)
_NETWORK_WORDS = (
    "Could not resolve",
    "Could not connect",
    "Connection timed out",
    "Connection refused",
    "Temporary failure",
    "Network is unreachable",
    "Unable to connect",
)


def private_configuration(place: Path, architecture: str) -> dict[str, str]:
    """Write apt's configuration and return the environment that makes apt read it alone."""
    for name in ("lists/partial", "cache/archives/partial"):
        (place / name).mkdir(parents=True)
    machine = run_apt(["apt-config", "dump"], "apt-config", dict(os.environ), place)
    # Proxies and certificates are the machine's; its hooks and its indexes are not wanted.
    kept = [line for line in machine.splitlines() if line.startswith(_KEPT_SETTINGS)]
    own = {
        "Dir::State": place,
        "Dir::State::Lists": place / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": place / "cache",
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::Parts": "/dev/null",
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "APT::Architecture": architecture,
        "APT::Sandbox::User": "root",
        "APT::Get::AllowUnauthenticated": "false",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "false",
    }
    lines = [
        *kept,
        *(f'{key} "{value}";' for key, value in own.items()),
        f'APT::Architectures {{ "{architecture}"; }};',
    ]
    configuration = place / "apt.conf"
    configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {**os.environ, "APT_CONFIG": str(configuration), "LC_ALL": "C"}


def run_apt(
    command: Sequence[str], what: str, environment: Mapping[str, str], place: Path | None = None
) -> str:
    """Run one of apt's commands to its end; whatever interrupts us ends it too."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        errors="replace",
        env=environment,
        cwd=place,
    )
    try:
        output, complaint = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise HostError(f"no answer within {_TIMEOUT_S} s", where=what) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    # apt-cache ends in an error for one unknown name; what it knows, it has printed.
    if process.returncode != 0 and not (command[0] == "apt-cache" and "No packages" in complaint):
        raise _apt_error(complaint, what)
    return output


def _apt_error(complaint: str, what: str) -> Exception:
    if "No space left on device" in complaint:
        return HostError("no space left on device", where=what, hint="free some disk space")
    if any(word in complaint for word in _NETWORK_WORDS):
        hint = "check the network, the proxy and the addresses that apt is configured for"
        return HostError("the package archive does not answer", where=what, hint=hint)
    errors = [line for line in complaint.splitlines() if line.startswith("E:")]
    last = errors[0][2:].strip() if errors else "no message"
    if "does not have a Release file" in last:
        return BundleError("the archive has no such release", where=what)
    return BundleError(f"apt failed: {printable(last)}", where=what)
