"""Which combinations of settings a sweep measures. Part of the device slice: Python 3.8."""

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import edge
from edge.device.facts import default_threads, read_host_facts
from edge.device.parent import Limits, run_child
from edge.device.parts import Unpacked
from edge.errors import UsageError, printable
from edge.records.codec import to_dict
from edge.records.host import HostFacts
from edge.records.manifest import Manifest
from edge.records.measurement import GRAPH_LEVELS, SessionConfig
from edge.records.sweep import LeftOut, combination_name

AXES = ("threads", "precision", "runtime", "graph-level", "provider")
DEFAULT_ROUNDS = 3
# The one backend whose runtime has such levels.
_WITH_LEVELS = "onnxruntime"


@dataclass(frozen=True)
class Variant:
    """A file of the model and what runs it; `runtime` is its distribution and version.

    `providers` are what the backend says that the machine has, the usual one first.
    """

    precision: str
    backend: str
    path: str
    sha256: str
    runtime: str
    providers: Tuple[str, ...] = ()
    accuracy: Optional[float] = None

    @property
    def label(self) -> str:
        """Return precision and backend."""
        return "{}/{}".format(self.precision, self.backend)


@dataclass(frozen=True)
class Combination:
    """What one child measures."""

    variant: Variant
    config: SessionConfig

    @property
    def name(self) -> str:
        """Return it in a few words."""
        return combination_name(self.variant.label, self.config)


@dataclass(frozen=True)
class Plan:
    """What to measure; `made_with` is what has to be the same for a round to be taken up again."""

    combinations: Tuple[Combination, ...]
    left_out: Tuple[LeftOut, ...]
    rounds: int
    made_with: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse a plan of nothing."""
        if self.rounds < 1:
            raise UsageError("--rounds must be at least 1")
        if not self.combinations:
            hint = "; ".join("{}: {}".format(out.what, out.reason) for out in self.left_out)
            raise UsageError("there is nothing to sweep over", hint=hint or None)

    def identity(self, combination: Combination) -> Dict[str, Any]:
        """Return, as JSON, what tells the rounds of a combination from all others."""
        variant = combination.variant
        return {
            **self.made_with,
            "model_sha256": variant.sha256,
            "runtime": variant.runtime,
            "config": to_dict(combination.config),
        }


def axes_of(text: str) -> Tuple[str, ...]:
    """Return the axes that --sweep names, separated by commas.

    Raises:
        UsageError: there is no such axis.
    """
    axes = tuple(word.strip() for word in text.split(",") if word.strip())
    unknown = [axis for axis in axes if axis not in AXES]
    if unknown or not axes:
        what = "no such axis: {}".format(printable(unknown[0])) if unknown else "no axis is named"
        raise UsageError(what, where="--sweep", hint="axes: " + ",".join(AXES))
    return axes


def thread_counts(host: HostFacts) -> Tuple[int, ...]:
    """Return 1, 2, 4 ... and the number of cores that may really be used."""
    most = default_threads(host)
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return tuple(counts) if most == 1 else (*counts, most)


def combinations(
    axes: Sequence[str], variants: Sequence[Variant], host: HostFacts, usual: SessionConfig
) -> Tuple[Tuple[Combination, ...], Tuple[LeftOut, ...]]:
    """Return every combination along `axes`, and what was left out of them and why.

    The first of `variants` is the one that was asked for; the others are used along precision and
    runtime. Off an axis everything is as in `usual`.
    """
    first = variants[0]
    found: List[Combination] = []
    left_out: List[LeftOut] = []
    taken = set()
    for variant in variants:
        other = [
            axis
            for axis, differs in (
                ("precision", variant.precision != first.precision),
                ("runtime", variant.backend != first.backend),
            )
            if differs and axis not in axes
        ]
        if other:
            continue  # It was not asked for.
        if variant.label in taken:
            left_out.append(LeftOut(variant.label, "another file of the model is both, too"))
            continue
        taken.add(variant.label)
        found += _of_variant(variant, axes, host, usual, left_out)
    for axis, several in (
        ("precision", len({c.variant.precision for c in found}) > 1),
        ("runtime", len({c.variant.backend for c in found}) > 1),
    ):
        if axis in axes and not several:
            left_out.append(LeftOut(axis, "there is no other one of this model here"))
    return tuple(found), tuple(left_out)


def _of_variant(
    variant: Variant,
    axes: Sequence[str],
    host: HostFacts,
    usual: SessionConfig,
    left_out: List[LeftOut],
) -> List[Combination]:
    threads = thread_counts(host) if "threads" in axes else (usual.threads,)
    is_usual = variant.backend == usual.backend
    levels: Tuple[Optional[str], ...] = (usual.graph_level if is_usual else None,)
    providers: Tuple[Optional[str], ...] = (usual.provider if is_usual else None,)
    if "graph-level" in axes:
        if variant.backend == _WITH_LEVELS:
            levels = GRAPH_LEVELS
        else:
            left_out.append(LeftOut(variant.label + ", graph-level", "its runtime has none"))
    if "provider" in axes:
        if variant.providers:
            providers = variant.providers
        if len(variant.providers) < 2:
            left_out.append(LeftOut(variant.label + ", provider", "there is one only"))
    return [
        Combination(
            variant, SessionConfig(variant.backend, n, graph_level=level, provider=provider)
        )
        for provider in providers
        for level in levels
        for n in threads
    ]


def plan_of(
    axes: Sequence[str],
    variants: Sequence[Variant],
    host: HostFacts,
    usual: SessionConfig,
    options: Mapping[str, Any],
    *,
    rounds: int = DEFAULT_ROUNDS,
) -> Plan:
    """Return what to measure; `options` are those of the measurements, as JSON.

    Raises:
        UsageError: there is nothing to measure.
    """
    found, left_out = combinations(axes, variants, host, usual)
    made_with = {
        "options": json.loads(json.dumps(options)),
        "machine": [host.machine, host.cpu_model, list(host.cpu_features)],
        "edgekit_version": edge.__version__,
    }
    return Plan(found, left_out, rounds, made_with)


def bundle_plan(  # noqa: PLR0917 - the parameters of a bundle's command
    manifest: Manifest,
    parts: Unpacked,
    axes: Sequence[str],
    usual: SessionConfig,
    options: object,
    rounds: int = DEFAULT_ROUNDS,
) -> Plan:
    """Return what to measure of a bundle, which has one model and one runtime.

    `options` is the record of what every measurement is asked for.

    Raises:
        UsageError: there is nothing to measure.
        RuntimeFailure: the runtime cannot be imported.
    """
    model = manifest.model
    backend = manifest.session.backend
    variant = Variant(
        precision=model.precision,
        backend=backend,
        path=parts.path(model.path),
        sha256=model.sha256,
        runtime="{} {}".format(manifest.runtime, manifest.runtime_version),
        providers=ask_providers(backend, [parts.site]) if "provider" in axes else (),
    )
    return plan_of(axes, [variant], read_host_facts(), usual, to_dict(options), rounds=rounds)


def ask_providers(backend: str, paths: Sequence[str] = ()) -> Tuple[str, ...]:
    """Return what a backend says that this machine has, the usual one first; a child asks it.

    Raises:
        RuntimeFailure: its runtime is not installed, or cannot be imported.
    """
    task = "edge.device.combinations:providers"
    told = run_child(task, {"name": backend}, limits=Limits(), what=backend, paths=paths)
    return tuple(told)


def providers(request: Mapping[str, Any]) -> List[str]:
    """Return the providers of the backend `name`; a task for the limited child."""
    from edge.backends import load_backend

    return list(load_backend(request["name"]).providers())
