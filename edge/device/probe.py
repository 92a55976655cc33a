"""Measures a model on this machine: facts, a child that times it, and what speaks against it.

Part of the device slice, for the host's and the bundle's probe command alike: Python 3.8.
"""

import hashlib
import os
from dataclasses import dataclass
from typing import Mapping, Optional, Sequence, Tuple

import edge
from edge.device.facts import CpuTime, read_cpu_time, read_host_facts, read_host_state
from edge.device.parent import Limits, Progress, memory_limit, run_child
from edge.errors import HostError, UsageError
from edge.reasoning.stats import drift
from edge.records.codec import from_dict, to_dict
from edge.records.measurement import (
    HostFacts,
    HostState,
    Measurement,
    ModelRef,
    RuntimeRef,
    SessionConfig,
)

# MLPerf's number for a p99 (edge.reasoning.stats.queries_needed), so p50 and p90 have theirs too.
DEFAULT_QUERIES = 662
_LONGEST_S = 60.0
_NS = 1_000_000_000
# Importing, loading and the first inference, on a slow board with a slow card.
_START_UP_S = 300.0
# More than this at the end than at the start, or less, and the machine was not steady.
_DRIFT = 0.10
# A Raspberry Pi lowers its clock from 80 degrees on (its documentation, "Frequency management").
_HOT_CELSIUS = 80.0
# Cores that others may have used up, on average, before it counts as a disturbance.
_OTHERS_CORES = 0.25


@dataclass(frozen=True)
class ProbeOptions:
    """How long to measure: both minima have to be reached, unless the maximum ends it.

    `max_s` None is a minute, or twice the minimum where that is longer.
    """

    min_s: float = 5.0
    max_s: Optional[float] = None
    min_queries: int = DEFAULT_QUERIES
    warmup_queries: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing.

        Raises:
            UsageError: a limit is negative, or the maximum below the minimum.
        """
        if not 0 <= self.min_s < float("inf"):
            raise UsageError("the minimum time must be 0 s or more, got {:g}".format(self.min_s))
        if not 0 < self.longest_s < float("inf") or self.longest_s < self.min_s:
            what = (
                "the maximum time must be above 0 s and not below the minimum of {:g} s, got {:g}"
            )
            raise UsageError(what.format(self.min_s, self.longest_s))
        if self.min_queries < 1 or self.warmup_queries < 0 or self.seed < 0:
            raise UsageError("needs at least 1 query, 0 warm-ups, and a seed of 0 or more")

    @property
    def longest_s(self) -> float:
        """When to stop at the latest, in seconds of inference."""
        return max(_LONGEST_S, 2 * self.min_s) if self.max_s is None else self.max_s


def probe(
    path: str,
    config: SessionConfig,
    options: ProbeOptions,
    *,
    model: ModelRef,
    target: Optional[str] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    inputs: Optional[str] = None,
    memory_bytes: Optional[int] = None,
    paths: Sequence[str] = (),
    progress: Optional[Progress] = None,
    root: str = "/",
) -> Measurement:
    """Measure the model file at `path` in a limited child and return all that was seen.

    `shapes` fills free dimensions, `inputs` is an .npz with the input (the first sample of it).
    `memory_bytes` is the address space to allow, by default as the file's size suggests. `paths`
    go before the child's import path, `root` is where /proc and /sys are read.

    Raises:
        EdgekitError: the shapes or inputs do not fit, the runtime or the model fails.
    """
    allowed = memory_bytes or memory_limit(model.file_bytes, config.threads)
    wall_s = _START_UP_S + 2 * options.longest_s
    limits = Limits(wall_s=wall_s, cpu_s=int(wall_s * (config.threads + 1)), memory_bytes=allowed)
    request = {
        "model": path,
        "config": to_dict(config),
        "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
        "inputs": inputs,
        "seed": options.seed,
        "warmup_queries": options.warmup_queries,
        "min_queries": options.min_queries,
        "min_ns": int(options.min_s * _NS),
        "max_ns": int(options.longest_s * _NS),
    }
    host, before, cpu_before = read_host_facts(root), read_host_state(root), read_cpu_time(root)
    own_before = os.times()
    answer = run_child(
        "edge.device.worker:measure",
        request,
        limits=limits,
        what=model.name,
        progress=progress,
        paths=paths,
    )
    own_after = os.times()
    after, cpu_after = read_host_state(root), read_cpu_time(root)
    own_s = sum(own_after[:4]) - sum(own_before[:4])
    latencies = tuple(answer["latencies_ns"])
    flaws = (
        *_drift_flaws(latencies),
        *_load_flaws(cpu_before, cpu_after, own_s, host, config.threads),
        *_heat_flaws(before, after),
        *_quota_flaws(host, config.threads),
    )
    return Measurement(
        provenance="measured",
        started_unix_ns=answer["started_unix_ns"],
        edgekit_version=edge.__version__,
        target=target,
        model=model,
        config=config,
        runtime=from_dict(RuntimeRef, answer["runtime"]),
        host=host,
        before=before,
        after=after,
        import_ns=answer["import_ns"],
        load_ns=answer["load_ns"],
        first_inference_ns=answer["first_inference_ns"],
        warmup_ns=tuple(answer["warmup_ns"]),
        latencies_ns=latencies,
        peak_memory_bytes=answer["peak_memory_bytes"],
        memory_before_load_bytes=answer["memory_before_load_bytes"],
        flaws=flaws,
    )


def model_ref(path: str, name: str, model_format: str) -> ModelRef:
    """Return which model a file is, by its digest.

    Raises:
        HostError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
            size = file.tell()
    except OSError as error:
        raise HostError((error.strerror or str(error)).lower(), where=path) from error
    return ModelRef(name=name, format=model_format, sha256=digest.hexdigest(), file_bytes=size)


def _drift_flaws(latencies: Sequence[int]) -> Tuple[str, ...]:
    ratio = drift(latencies)
    if ratio is None or abs(ratio - 1) <= _DRIFT:
        return ()
    way = "slower" if ratio > 1 else "faster"
    return ("it drifted: {:.0%} {} at the end than at the start".format(abs(ratio - 1), way),)


def _load_flaws(
    before: Optional[CpuTime],
    after: Optional[CpuTime],
    own_s: float,
    host: HostFacts,
    threads: int,
) -> Tuple[str, ...]:
    """Tell what others took of the cores meanwhile, by the kernel's own account."""
    if before is None or after is None:
        return ()
    busy, idle = after.busy_s - before.busy_s, after.idle_s - before.idle_s
    stolen = after.stolen_s - before.stolen_s
    elapsed_s = (busy + idle + stolen) / host.cores_online
    if elapsed_s <= 0:
        return ()
    others = (busy - own_s) / elapsed_s
    flaws = []
    if others > max(0, host.cores_online - threads) + _OTHERS_CORES:
        text = "other programs kept {:.1f} of {} cores busy"
        flaws.append(text.format(others, host.cores_online))
    if stolen / elapsed_s > _OTHERS_CORES:
        text = "the hypervisor took {:.1f} of {} cores away"
        flaws.append(text.format(stolen / elapsed_s, host.cores_online))
    return tuple(flaws)


def _heat_flaws(before: HostState, after: HostState) -> Tuple[str, ...]:
    seen = [s.temperature_celsius for s in (before, after) if s.temperature_celsius is not None]
    if not seen or max(seen) < _HOT_CELSIUS:
        return ()
    return ("the processor was at {:.0f} °C: it may have lowered its clock".format(max(seen)),)


def _quota_flaws(host: HostFacts, threads: int) -> Tuple[str, ...]:
    flaws = []
    if threads > host.cores_allowed:
        flaws.append("{} threads shared {} cores".format(threads, host.cores_allowed))
    if host.cpu_quota is not None and host.cpu_quota < threads:
        text = "{} threads shared a CPU quota of {:g} cores: the container is stopped in between"
        flaws.append(text.format(threads, host.cpu_quota))
    return tuple(flaws)
