"""Compare measurements of A with those of B, pair by pair."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import edge
from edge.adapters.results import load_results
from edge.errors import ConfigError
from edge.reasoning.comparing import (
    Finding,
    Samples,
    find,
    floor_ns,
    samples_of,
    typical_ns,
)
from edge.reasoning.unlike import scenario_name, unlike
from edge.records.comparison import Comparison, Comparisons
from edge.records.measurement import Measurement
from edge.units import UNKNOWN, format_ns

_EMULATED = "emulated time is no time"


def compare_places(
    a: Path,
    b: Path,
    *,
    percentile: float = 50.0,
    max_increase: float = 0.05,
    floor: float | None = None,
    confidence: float = 0.95,
) -> Comparisons:
    """Compare two measurement files, or two folders of them.

    Two single measurements are a pair whatever they are; of folders, measurements are paired by
    model digest, name, configuration, scenario and target, and what is left by the same without
    the digest. Of several alike the one that was started last counts. `floor` is in nanoseconds.

    Raises:
        ConfigError: a file is damaged, there is no measurement, or none of A has its like in B.
    """
    first, second = _measurements(a), _measurements(b)
    alone = len(first) == len(second) == 1
    pairs, only_a, only_b = ([(first[0], second[0])], [], []) if alone else _paired(first, second)
    if not pairs:
        hint = "pairs have the same model name, configuration, scenario and target"
        raise ConfigError(f"no measurement has its like in {b}", where=a, hint=hint)
    return Comparisons(
        a=str(a),
        b=str(b),
        percentile=percentile,
        max_increase=max_increase,
        confidence=confidence,
        edgekit_version=edge.__version__,
        pairs=tuple(
            compare(
                x,
                y,
                percentile=percentile,
                max_increase=max_increase,
                floor=floor,
                confidence=confidence,
            )
            for x, y in pairs
        ),
        only_a=tuple(_name(m) for m in only_a),
        only_b=tuple(_name(m) for m in only_b),
    )


def compare(
    a: Measurement,
    b: Measurement,
    *,
    percentile: float = 50.0,
    max_increase: float = 0.05,
    floor: float | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two measurements; `floor` in nanoseconds, None: by the loop's own cost."""
    samples = samples_of(a, b, percentile)
    least = floor_ns(a, b) if floor is None else floor
    before, after = typical_ns(samples.a_ns), typical_ns(samples.b_ns)
    threshold = None if before is None else max(max_increase * before, least)
    finding = find(samples, threshold or least, confidence)
    low, high = finding.interval or (None, None)
    return Comparison(
        name=b.model.name,
        target=b.target,
        runtime=f"{b.runtime.distribution} {b.runtime.version}",
        threads=b.runtime.threads,
        scenario=scenario_name(b.scenario),
        host=b.host.board or b.host.cpu_model or UNKNOWN,
        test=samples.test,
        samples_a=len(samples.a_ns),
        samples_b=len(samples.b_ns),
        a_ns=before,
        b_ns=after,
        shift_ns=finding.shift_ns,
        low_ns=low,
        high_ns=high,
        p_value=finding.p_value,
        threshold_ns=threshold,
        floor_ns=least,
        answer=finding.answer,
        reason=_reason(samples, finding, threshold or least),
        more=finding.more,
        more_of=finding.more_of,
        unlike=unlike(a, b),
        flaws_a=_flaws(a),
        flaws_b=_flaws(b),
    )


def exit_code(comparisons: Comparisons) -> int:
    """Return the status of a gate: 13, 7, 12 or 0, the first that holds.

    13: of two measurements that can be trusted B is slower; 7: some cannot be trusted, or B lacks
    what A has; 12: some are undecided. Doubt is never 0.
    """
    pairs = comparisons.pairs
    if any(p.trusted and p.answer == "slower" for p in pairs):
        return 13
    if comparisons.only_a or not all(p.trusted for p in pairs):
        return 7
    return 12 if any(p.answer == "undecided" for p in pairs) else 0


def _measurements(place: Path) -> tuple[Measurement, ...]:
    found = load_results(place).measurements
    if not found:
        raise ConfigError("no measurement there", where=place, hint="edgekit probe writes them")
    return found


def _flaws(measurement: Measurement) -> tuple[str, ...]:
    emulated = () if measurement.provenance == "measured" else (_EMULATED,)
    return (*emulated, *measurement.flaws)


def _like(m: Measurement) -> Hashable:
    return (m.model.name, m.config, m.scenario, m.target)


def _same(m: Measurement) -> Hashable:
    return (m.model.sha256, _like(m))


def _paired(
    first: tuple[Measurement, ...], second: tuple[Measurement, ...]
) -> tuple[list[tuple[Measurement, Measurement]], list[Measurement], list[Measurement]]:
    left, right = _latest(first, _same), _latest(second, _same)
    pairs = [(m, right[key]) for key, m in left.items() if key in right]
    one = _latest(_without(left, [m for m, _ in pairs]), _like)
    other = _latest(_without(right, [m for _, m in pairs]), _like)
    pairs += [(m, other[key]) for key, m in one.items() if key in other]
    only_a, only_b = (_without(side, [p[i] for p in pairs]) for i, side in enumerate((left, right)))
    return pairs, only_a, only_b


def _without(side: dict[Hashable, Measurement], taken: list[Measurement]) -> list[Measurement]:
    return [m for m in side.values() if not any(m is one for one in taken)]


def _latest(
    measurements: Sequence[Measurement], key: Callable[[Measurement], Hashable]
) -> dict[Hashable, Measurement]:
    ordered = sorted(measurements, key=lambda m: m.started_unix_ns)
    newest = {key(m): m for m in ordered}
    # In the order of the files, so that the same folders give the same answer.
    return {key(m): m for m in measurements if newest[key(m)] is m}


def _name(m: Measurement) -> str:
    on = "" if m.target is None else f" on {m.target}"
    return f"{m.model.name}{on}, {m.config.backend}, threads: {m.config.threads}"


def _reason(samples: Samples, finding: Finding, threshold_ns: float) -> str:
    limit = format_ns(threshold_ns)
    if finding.interval is None or finding.shift_ns is None:
        counts = f"{len(samples.a_ns)} and {len(samples.b_ns)}"
        kind = samples.test.rsplit(" ", 1)[1]
        return f"too few {kind} ({counts}): needs {finding.more} more {finding.more_of} of each"
    low, high = (format_ns(end) for end in finding.interval)
    if finding.answer == "same":
        return f"the difference, {low} to {high}, is within {limit}"
    if finding.answer != "undecided":
        size = format_ns(abs(finding.shift_ns))
        return f"{finding.answer} by {size} ({low} to {high}), more than {limit}"
    told = f"the difference is {low} to {high}, what counts is more than {limit}: "
    if finding.more is None:
        return told + "it lies at the limit, and more data will hardly tell"
    return told + f"needs about {finding.more} more {finding.more_of} of each"
