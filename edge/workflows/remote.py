"""Measure a bundle on other machines, over ssh; a lost connection is taken up again.

What is said and done over the wire: docs/reference/remote.md.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edge.device.bundle import open_bundle
from edge.errors import EdgekitError, UsageError
from edge.records.measurement import Measurement
from edge.workflows.remote_visit import Task, Told, Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteResult:
    """What came of one host: a measurement, or the error that stood in the way."""

    host: str
    measurement: Measurement | None
    error: EdgekitError | None


def probe_remote(
    hosts: Sequence[str],
    bundle: Path,
    arguments: Sequence[str],
    *,
    progress: Told,
    wall_s: float,
    ssh_options: Sequence[str] = (),
    keep: bool = True,
) -> tuple[RemoteResult, ...]:
    """Copy the bundle to every host, run its probe there, and bring the measurements back.

    All hosts are at work at once, and one that fails does not stop another; the results are in the
    order of `hosts`. `arguments` are those of the bundle's own probe command, `wall_s` is how long
    it may run there. `progress` is told the host, the part of the copying or fetching that is done
    (0 to 1) and what is being done; it is called by one thread at a time, but not by ours. When we
    are interrupted, the runs there are ended. Without `keep`, the bundle does not stay there.

    Raises:
        UsageError: a host or a setting is none, or a host is named twice.
        BundleError: the bundle is damaged, or none.
        HostError: there is no ssh client.
    """
    if not hosts or len(set(hosts)) < len(hosts):
        raise UsageError("name each host once")
    with open_bundle(str(bundle)) as opened:
        task = Task(
            bundle=bundle,
            digest=opened.digest,
            python=opened.manifest.python,
            size_bytes=opened.size_bytes,
            arguments=("probe", "--json", *arguments),
            wall_s=wall_s,
            keep=keep,
        )
    lock = threading.Lock()

    def told(host: str, fraction: float, text: str) -> None:
        with lock:
            progress(host, fraction, text)

    stop = threading.Event()
    visits = [Visit(host, task, told, stop, ssh_options) for host in hosts]
    with ThreadPoolExecutor(max_workers=len(visits), thread_name_prefix="edgekit") as pool:
        try:
            futures = [pool.submit(visit.measured) for visit in visits]
            return tuple(_result(*pair) for pair in zip(hosts, futures, strict=True))
        finally:
            # Interrupted: each ends its own run there before it goes.
            stop.set()
            for visit in visits:
                visit.ssh.cancel()


def _result(host: str, future: "Future[Measurement]") -> RemoteResult:
    try:
        return RemoteResult(host=host, measurement=future.result(), error=None)
    except EdgekitError as error:
        error.where = error.where or host
        return RemoteResult(host=host, measurement=None, error=error)
