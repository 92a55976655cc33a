"""Measures a model on this machine: facts, a child that times it, and what speaks against it.

Part of the device slice, for the host's and the bundle's probe command alike: Python 3.8.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import edge
from edge.device.facts import read_cpu_time, read_host_facts, read_host_state
from edge.device.flaws import Seen, flaws_of
from edge.device.parent import Limits, Progress, memory_limit, own_cpu_s, run_child
from edge.device.telemetry import Machine, Sampler, spare_core, telemetry_of
from edge.errors import HostError, UsageError
from edge.records.codec import from_dict, to_dict
from edge.records.host import Energy
from edge.records.measurement import Measurement, ModelRef, RuntimeRef, SessionConfig
from edge.records.scenario import ONE_BY_ONE, Scenario

# MLPerf's number for a p99 (edge.reasoning.stats.queries_needed), so p50 and p90 have theirs too.
DEFAULT_QUERIES = 662
_LONGEST_S = 60.0
_NS = 1_000_000_000
# Importing, loading and the first inference, on a slow board with a slow card.
_START_UP_S = 300.0


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

    def for_stages(self) -> "ProbeOptions":
        """Return how long the pass of a whole program takes: it is there for its parts' shares."""
        longest_s = min(10.0, self.longest_s)
        return ProbeOptions(
            min(1.0, self.min_s, longest_s),
            longest_s,
            min(self.min_queries, 64),
            min(self.warmup_queries, 3),
            self.seed,
        )


# MLPerf's official runs take a minute (inference_policies, "min_duration"); ten minutes are enough
# for a passively cooled board to reach the temperature that it keeps.
PRESETS: Dict[str, ProbeOptions] = {
    "quick": ProbeOptions(min_s=1.0, max_s=10.0, min_queries=64),
    "full": ProbeOptions(min_s=60.0),
    "soak": ProbeOptions(min_s=600.0),
}


def preset(name: str) -> ProbeOptions:
    """Return how long a preset measures: quick, full or soak.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError("there is no preset {}".format(name), hint="one of " + ", ".join(PRESETS))
    return PRESETS[name]


def options_of(
    name: Optional[str] = None,
    min_s: Optional[float] = None,
    max_s: Optional[float] = None,
    min_queries: Optional[int] = None,
    warmup_queries: Optional[int] = None,
) -> ProbeOptions:
    """Return a preset, or the default, with what is given instead of it.

    Raises:
        UsageError: there is no such preset, or the limits mean nothing.
    """
    given: Dict[str, Any] = {
        "min_s": min_s,
        "max_s": max_s,
        "min_queries": min_queries,
        "warmup_queries": warmup_queries,
    }
    told = {key: value for key, value in given.items() if value is not None}
    return ProbeOptions(**told) if name is None else replace(preset(name), **told)


def probe(
    path: str,
    config: SessionConfig,
    options: ProbeOptions,
    *,
    model: ModelRef,
    scenario: Scenario = ONE_BY_ONE,
    target: Optional[str] = None,
    shapes: Optional[Mapping[str, Sequence[int]]] = None,
    inputs: Optional[str] = None,
    memory_bytes: Optional[int] = None,
    paths: Sequence[str] = (),
    progress: Optional[Progress] = None,
    energy: bool = False,
    meter: Optional[str] = None,
    root: str = "/",
) -> Measurement:
    """Measure the model file at `path` in a limited child and return all that was seen.

    `shapes` fills free dimensions, `inputs` is an .npz with the input (the first sample of it).
    `memory_bytes` is the address space to allow, by default as the file's size suggests. `paths`
    go before the child's import path. With `energy` a second child runs for the joules, by the
    machine's meter or the file `meter` of another. `root` is where /proc and /sys are read.

    Raises:
        EdgekitError: the shapes or inputs do not fit, the runtime or the model fails.
    """
    allowed = memory_bytes or memory_limit(model.file_bytes, config.threads)
    request = {
        "model": path,
        "config": to_dict(config),
        "scenario": to_dict(scenario),
        "shapes": {name: list(shape) for name, shape in (shapes or {}).items()},
        "inputs": inputs,
        "seed": options.seed,
        "warmup_queries": options.warmup_queries,
    }

    def run(
        times: ProbeOptions,
        started: Optional[Callable[[int], None]],
        progress: Optional[Progress] = None,
    ) -> Mapping[str, Any]:
        wall_s = _START_UP_S + 2 * times.longest_s
        answer: Mapping[str, Any] = run_child(
            "edge.device.worker:measure",
            {
                **request,
                "min_queries": times.min_queries,
                "min_ns": int(times.min_s * _NS),
                "max_ns": int(times.longest_s * _NS),
            },
            limits=Limits(
                wall_s=wall_s, cpu_s=int(wall_s * (config.threads + 1)), memory_bytes=allowed
            ),
            what=model.name,
            progress=progress,
            paths=paths,
            started=started,
        )
        return answer

    host, before, cpu_before = read_host_facts(root), read_host_state(root), read_cpu_time(root)
    own_before = own_cpu_s()
    machine = Machine(root)
    try:
        with Sampler(machine.read, core=spare_core(host, config.threads, root)) as sampler:
            answer = run(options, sampler.start, progress)
    finally:
        machine.close()
    own_after = own_cpu_s()
    after, cpu_after = read_host_state(root), read_cpu_time(root)
    telemetry = telemetry_of(sampler)
    latencies = tuple(answer["latencies_ns"])
    seen = Seen(
        latencies=latencies,
        scenario=scenario,
        threads=config.threads,
        host=host,
        before=before,
        after=after,
        cpu_before=cpu_before,
        cpu_after=cpu_after,
        own_s=own_after - own_before,
        telemetry=telemetry,
        overloaded=bool(answer.get("overloaded")),
    )
    joules, missing = _energy(run, options, scenario, meter, root) if energy else (None, None)
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
        flaws=flaws_of(seen),
        scenario=scenario,
        duration_ns=answer.get("duration_ns"),
        loop_overhead_ns=answer.get("loop_overhead_ns"),
        telemetry=telemetry,
        energy=joules,
        energy_missing=missing,
    )


def _energy(
    run: Callable[[ProbeOptions, Optional[Callable[[int], None]]], Mapping[str, Any]],
    options: ProbeOptions,
    scenario: Scenario,
    meter: Optional[str],
    root: str,
) -> Tuple[Optional[Energy], Optional[str]]:
    from edge.device.energy import FILE_PASS_S, PASS_S, measure_energy

    least_s = PASS_S if meter is None else FILE_PASS_S
    times = ProbeOptions(
        min_s=least_s,
        max_s=max(4 * least_s, options.longest_s),
        min_queries=1,
        warmup_queries=options.warmup_queries,
    )
    return measure_energy(
        lambda started: run(times, started),
        samples_per_query=scenario.samples_per_query,
        meter=meter,
        root=root,
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
