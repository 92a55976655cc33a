"""Fit the calibrations of targets/*.toml from the published rows in scripts/calibration/rows.csv.

    python scripts/calibrate_targets.py           print the calibrations and the cross-validation
    python scripts/calibrate_targets.py --write   and write them at the end of the target files

The method is told in docs/adr/0007-first-estimates.md.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration_fit import Coverage, coverage, fit, operator_cost_ns
from calibration_gpu import SOURCE, gpu_calibrations
from calibration_rows import Plan, Sample, plans, read_rows, rounded, samples

from edge.adapters.files import write_text
from edge.adapters.targets import load_targets
from edge.records.target import Calibration, Target

TARGETS = Path(__file__).resolve().parent.parent / "targets"
BEGIN = "# begin calibrations: written by scripts/calibrate_targets.py"
END = "# end calibrations"

# A Python call of a runtime takes 5 µs on a 3 GHz x86-64 core; twenty times that for a small
# core and for input conversion (assumed).
PER_QUERY_NS = 100_000.0


def calibrate(plan: Plan, values: Sequence[Sample], cost_ns: float, target: Target) -> Calibration:
    """Return the calibration of one target and precision."""
    found = fit(values, cost_ns)
    families = len({s.row.family for s in values})
    return Calibration(
        precision=plan.precision,  # type: ignore[arg-type]
        threads=int(target.cpu.cores.value),
        rate_low_macs_per_s=rounded(found.low * 1e9 / plan.slower),
        rate_typical_macs_per_s=rounded(found.typical * 1e9),
        rate_high_macs_per_s=rounded(found.high * 1e9 * plan.faster),
        per_operator_ns=rounded(cost_ns),
        per_query_ns=PER_QUERY_NS,
        rows=len(values),
        runtime=", ".join(sorted({s.row.runtime for s in values})),
        source=f"{SOURCE}; {families} families of networks",
        relative=plan.relative,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A calibration, and how often its rows' interval held a family that was left out."""

    target: str
    calibration: Calibration
    coverage: Coverage | None


def fit_all(targets: Sequence[Target]) -> list[Fitted]:
    """Return every calibration that the rows give, in the order of the plans."""
    rows = read_rows()
    by_name = {target.name: target for target in targets}
    wanted = plans(targets)
    fp32 = {plan.target: samples(plan, rows) for plan in wanted if plan.precision == "fp32"}
    found = []
    for plan in wanted:
        values, costs_of = samples(plan, rows), fp32[plan.target]
        cost_ns = operator_cost_ns(values, costs_of)
        found.append(
            Fitted(
                target=plan.target,
                calibration=calibrate(plan, values, cost_ns, by_name[plan.target]),
                coverage=coverage(plan, values, costs_of),
            )
        )
    for target in targets:
        if target.kind == "cloud-gpu":
            found += [
                Fitted(target=target.name, calibration=one, coverage=None)
                for one in gpu_calibrations(target, rows)
            ]
    return found


def render(calibrations: Iterable[Calibration]) -> str:
    """Return the TOML of the calibrations, between the two markers."""
    lines = [BEGIN]
    for one in calibrations:
        lines += ["[[calibrations]]"]
        for key in Calibration.__dataclass_fields__:
            value = getattr(one, key)
            if isinstance(value, str):
                lines.append(f'{key} = "{value}"')
            elif value is not None:
                lines.append(f"{key} = {value:_.0f}" if value >= 1000 else f"{key} = {value}")
    return "\n".join([*lines, END]) + "\n"


def rewrite(path: Path, block: str) -> None:
    """Put the block in the place of an earlier one, or at the end of the file."""
    text = path.read_text(encoding="utf-8")
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        after = rest.split(END, 1)[1].lstrip("\n")
    else:
        before, after = text.rstrip("\n") + "\n\n", ""
    write_text(path, before + block + after)


def main() -> int:
    """Fit, cross-validate, and write if asked to."""
    parser = argparse.ArgumentParser(description="Fit the calibrations of targets/*.toml.")
    parser.add_argument("--write", action="store_true", help="rewrite the target files")
    arguments = parser.parse_args()
    targets = load_targets()
    found = fit_all(targets)
    for one in found:
        print(_line(one.target, one.calibration) + _held(one.coverage))
    print(total(found))
    for target in targets:
        own = [one.calibration for one in found if one.target == target.name]
        if not own:
            print(f"{target.name}: no calibration")
        elif arguments.write:
            rewrite(TARGETS / f"{target.name}.toml", render(own))
    return 0


def total(found: Iterable[Fitted]) -> str:
    """Say how often the intervals held a family that was left out, over all targets."""
    votes = [one.coverage for one in found if one.coverage is not None]
    families = sum(v.families for v in votes)
    plain = sum(v.plain * v.families for v in votes) / families
    widened = sum(v.widened * v.families for v in votes) / families
    return (
        f"in all: of {families} left-out families, {plain:.0%} inside the interval of the rows, "
        f"{widened:.0%} inside the one that is used"
    )


def _line(target: str, one: Calibration) -> str:
    low, typical, high = (
        v / 1e9
        for v in (one.rate_low_macs_per_s, one.rate_typical_macs_per_s, one.rate_high_macs_per_s)
    )
    return (
        f"{target:17} {one.precision:5} {low:8.2f} {typical:8.2f} {high:8.2f} GMAC/s "
        f"{one.per_operator_ns / 1e3:6.1f} µs/op {one.rows:4} rows"
    )


def _held(held: Coverage | None) -> str:
    if held is None:
        return "  nothing to validate with"
    return (
        f"  {held.plain:.0%} of {held.families} families inside (used: {held.widened:.0%}), "
        f"ends {held.width:.1f}x apart"
    )


if __name__ == "__main__":
    sys.exit(main())
