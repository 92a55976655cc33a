"""In what two measurements are not alike, and whether that makes a comparison of them idle."""

from collections.abc import Callable
from typing import Any, Final

from edge.records.comparison import Unlike
from edge.records.measurement import Measurement
from edge.records.scenario import Scenario
from edge.units import UNKNOWN, format_bytes, format_count

_MOST_FEATURES = 5
# A kernel that reserves a little more is not another machine.
_SAME_MEMORY = 0.05

Read = Callable[[Measurement], Any]
# What it is called, where it stands, whether it decides: a difference of machine or of question
# would be taken for one of the model; the rest may be just what one compares.
_FACTS: Final[tuple[tuple[str, Read, bool], ...]] = (
    ("provenance", lambda m: m.provenance, True),
    ("scenario", lambda m: scenario_name(m.scenario), True),
    ("machine", lambda m: m.host.machine, True),
    ("board", lambda m: m.host.board, True),
    ("CPU model", lambda m: m.host.cpu_model, True),
    ("cores", lambda m: m.host.cores_allowed, True),
    ("CPU quota", lambda m: m.host.cpu_quota, True),
    ("governor", lambda m: m.before.governor, True),
    ("highest clock", lambda m: m.host.clock_most_hz, True),
    ("boost", lambda m: m.host.boost, True),
    ("power mode", lambda m: m.host.power_mode, True),
    ("target", lambda m: m.target, False),
    ("system", lambda m: m.host.system, False),
    ("Python", lambda m: m.host.python, False),
    ("runtime", lambda m: f"{m.runtime.distribution} {m.runtime.version}", False),
    ("providers", lambda m: ", ".join(m.runtime.providers), False),
    ("threads", lambda m: m.runtime.threads, False),
    ("prepared", lambda m: m.config.prepared, False),
    ("graph level", lambda m: m.config.graph_level, False),
    ("edgekit", lambda m: m.edgekit_version, False),
)


def scenario_name(scenario: Scenario) -> str:
    """Say a scenario: `single-stream`, `server at 20 queries/s`, `offline, 8 samples a query`."""
    text = scenario.kind
    if scenario.target_qps is not None:
        text += f" at {scenario.target_qps:g} queries/s"
    if scenario.samples_per_query > 1:
        text += f", {scenario.samples_per_query} samples a query"
    return text + (", batched" if scenario.batched else "")


def unlike(a: Measurement, b: Measurement) -> tuple[Unlike, ...]:
    """Return in what two measurements differ, what decides first; unknown on one side differs."""
    found = []
    for what, read, decides in _FACTS:
        first, second = read(a), read(b)
        if first != second:
            texts = (_text(what, value) for value in (first, second))
            found.append(_unlike(what, *texts, decides=decides))
    found.extend(_unlike_features(a, b))
    found.extend(_unlike_memory(a, b))
    if a.model.sha256 != b.model.sha256:
        digests = (f"{m.model.name} {m.model.sha256[:12]}" for m in (a, b))
        found.append(_unlike("model", *digests, decides=False))
    return tuple(sorted(found, key=lambda one: not one.decides))


def _text(what: str, value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if what == "highest clock" and isinstance(value, int):
        return format_count(value, "Hz")
    return str(value)


def _unlike(what: str, a: str, b: str, *, decides: bool) -> Unlike:
    return Unlike(what=what, a=a, b=b, decides=decides)


def _unlike_features(a: Measurement, b: Measurement) -> list[Unlike]:
    first, second = set(a.host.cpu_features), set(b.host.cpu_features)
    if first == second:
        return []
    texts = (_features(first - second), _features(second - first))
    return [_unlike("CPU features", *texts, decides=True)]


def _features(names: set[str]) -> str:
    if not names:
        return "none beside those of both"
    shown = " ".join(sorted(names)[:_MOST_FEATURES])
    left = len(names) - _MOST_FEATURES
    return f"{shown} and {left} more" if left > 0 else shown


def _unlike_memory(a: Measurement, b: Measurement) -> list[Unlike]:
    first, second = (m.host.memory_limit_bytes or m.host.memory_bytes for m in (a, b))
    if first == second:
        return []
    if first and second and abs(first - second) <= _SAME_MEMORY * max(first, second):
        return []
    return [_unlike("memory", format_bytes(first), format_bytes(second), decides=False)]
