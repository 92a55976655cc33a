"""The drawings say what the records say, and hold for odd records too."""

import math
import re
from xml.etree import ElementTree as ET

import made_results as made
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from edge.records.verdict import CostPoint, Crossover
from edge.report.cost_lines import CostLine, cost_at, cost_lines, stairs
from edge.report.cost_plot import cost_plot
from edge.report.distribution import bin_counts, bin_edges, distribution_plot
from edge.report.drift import buckets, drift_strip
from edge.report.interval_bars import interval_axis, interval_bar, interval_scale

LATENCIES = st.lists(st.integers(0, 10**11), min_size=1, max_size=400)
LIMIT_NS = 100e6


def texts(svg: Markup | None) -> list[str]:
    assert svg is not None
    return [e.text or "" for e in ET.fromstring(str(svg)).iter("text")]


def description(svg: Markup | None) -> str:
    assert svg is not None
    return ET.fromstring(str(svg)).findtext("desc") or ""


def coordinates(svg: Markup | None) -> list[float]:
    assert svg is not None
    paths = [e.get("d") or "" for e in ET.fromstring(str(svg)).iter("path")]
    return [float(n) for d in paths for n in re.findall(r"-?\d+(?:\.\d+)?", d)]


# ---------------------------------------------------------------- bars


def test_bars_share_one_scale_and_the_limit() -> None:
    found = [made.candidate(), made.refusal(), made.unknown()]
    scale = interval_scale(found, LIMIT_NS)
    assert scale is not None
    assert (scale.low, scale.high) == (41e6 / 1.6, 150e6 * 1.6)
    assert texts(interval_axis(scale, LIMIT_NS, "a")) == ["50 ms", "200 ms", "limit 100 ms"]
    assert description(interval_bar(found[0], scale, LIMIT_NS, "b")) == (
        "41–62 ms. The limit is 100 ms."
    )
    assert description(interval_bar(found[1], scale, None, "c")) == "at least 150 ms."
    assert interval_bar(found[2], scale, LIMIT_NS, "d") is None


def test_no_intervals_no_scale() -> None:
    assert interval_scale([made.unknown()], LIMIT_NS) is None
    assert interval_scale([], None) is None


@pytest.mark.parametrize(("low", "high"), [(0, 0), (None, 5), (1, None), (7, 7), (3, 10**18)])
def test_a_bar_of_any_interval_stays_inside(low: int | None, high: int | None) -> None:
    one = made.candidate(low_ns=low, high_ns=high, typical_ns=None)
    scale = interval_scale([one, made.doubt()], None)
    assert scale is not None
    svg = interval_bar(one, scale, None, "b")
    assert svg is not None
    assert all(0 <= n <= 250 for n in coordinates(svg))


# ---------------------------------------------------------------- distribution and drift


@given(latencies=LATENCIES)
def test_every_latency_is_in_one_bin(latencies: list[int]) -> None:
    edges = bin_edges(latencies)
    assert list(edges) == sorted(edges)
    assert len(edges) <= 61
    assert sum(bin_counts(latencies, edges)) == len(latencies)


def test_bin_counts() -> None:
    assert bin_counts([0, 1, 10, 19, 20, 30], (1.0, 10.0, 20.0, 30.0)) == (2, 2, 2)


def test_a_distribution_marks_the_percentiles_and_the_limit() -> None:
    svg = distribution_plot(
        made.latencies(1000), {50.0: 31_700_000, 90.0: 35_900_000}, 45e6,
        width=700, ident="d", name="net",
    )  # fmt: skip
    assert texts(svg)[-3:] == ["p50 31.7 ms", "p90 35.9 ms", "limit 45 ms"]
    assert description(svg).startswith("Histogram of 1,000 latencies, 30 ms to ")
    assert description(svg).endswith(". p50 31.7 ms, p90 35.9 ms. The limit is 45 ms.")


@pytest.mark.parametrize(
    ("limit_ns", "label"), [(10e9, "limit 10 s →"), (1e6, "← limit 1 ms"), (31e6, "limit 31 ms")]
)
def test_a_far_limit_is_named_at_the_edge(limit_ns: float, label: str) -> None:
    svg = distribution_plot(made.latencies(50), {}, limit_ns, width=328, ident="d", name="net")
    assert texts(svg)[-1] == label
    assert "No percentile has enough queries" in description(svg)


@given(latencies=LATENCIES, limit_ns=st.none() | st.floats(1, 1e12))
def test_any_latencies_can_be_drawn(latencies: list[int], limit_ns: float | None) -> None:
    for width in (328.0, 720.0):
        plot = distribution_plot(
            latencies, {50.0: latencies[0]}, limit_ns, width=width, ident="d", name="n"
        )
        strip = drift_strip(latencies, width=width, ident="s", name="n")
        for svg in (plot, strip):
            assert all(-0.01 <= n <= width for n in coordinates(svg))


@given(latencies=LATENCIES)
def test_buckets_hold_the_run(latencies: list[int]) -> None:
    found = buckets(latencies, most=7)
    assert len(found) == min(7, len(latencies))
    assert min(b.low_ns for b in found) == min(latencies)
    assert max(b.high_ns for b in found) == max(latencies)
    for bucket in found:
        assert bucket.low_ns <= bucket.median_ns <= bucket.high_ns


def test_a_drift_is_said() -> None:
    svg = drift_strip([10_000_000] * 200 + [20_000_000] * 200, width=720, ident="s", name="net")
    assert description(svg) == (
        "400 queries in order; the median goes from 10 ms in the first part to 20 ms in the "
        "last, within 10 ms to 20 ms."
    )


# ---------------------------------------------------------------- costs


def test_the_cheapest_targets_are_ranked_in_the_order_of_the_load() -> None:
    lines = {line.target: line for line in cost_lines(made.verdict())}
    assert {name: line.rank for name, line in lines.items()} == {
        "rpi4": 0,
        "cloud-cpu": 1,
        "cloud-gpu-t4": 2,
    }
    assert len(lines["rpi4"].runs) == 1
    assert len(lines["rpi4"].points) == 19, "where a target is not feasible its line ends"


def test_a_target_that_is_never_cheapest_stays_quiet_unless_chosen() -> None:
    points = tuple(
        CostPoint(load_per_s=load, cost_per_month=(1.0, 5.0, 9.0)) for load in (1.0, 10.0)
    )
    names = ("rpi4", "cloud-cpu", "cloud-gpu-t4")
    one = made.verdict(
        cost_points=points, plotted_targets=names, chosen="cloud-gpu-t4", crossovers=()
    )
    assert [line.rank for line in cost_lines(one)] == [0, None, 1]


def test_a_gap_breaks_the_line() -> None:
    costs = (None, 2.0, None, 3.0, 4.0, math.inf, 0.0)
    points = tuple(
        CostPoint(load_per_s=float(k + 1), cost_per_month=(cost,)) for k, cost in enumerate(costs)
    )
    (line,) = cost_lines(made.verdict(cost_points=points, plotted_targets=("rpi4",)))
    assert line.runs == (((2.0, 2.0),), ((4.0, 3.0), (5.0, 4.0)))


def test_the_line_steps_between_its_points() -> None:
    run = ((1.0, 3.0), (4.0, 6.0), (9.0, 6.0))
    assert stairs(run) == ((1.0, 3.0), (2.0, 3.0), (2.0, 6.0), (9.0, 6.0))
    line = CostLine(target="rpi4", runs=(run,), rank=0)
    assert [cost_at(line, load) for load in (1, 2, 2.1, 9, 9.1, 0.5)] == [3, 3, 6, 6, None, None]


def test_the_plot_names_lines_crossovers_and_the_load() -> None:
    svg = cost_plot(made.verdict(), width=820, height=440, ident="c")
    said = texts(svg)
    assert [name for name in said if name.startswith(("rpi", "cloud"))] == [
        "cloud-cpu",
        "cloud-gpu-t4",
        "rpi4",
    ]
    assert "this load: 10/s" in said
    assert {"1", "2", "USD a month", "load, queries/s"} <= set(said)
    assert description(svg) == (
        "3 targets, both axes logarithmic. The cheapest target changes at 144 queries/s from "
        "rpi4 to cloud-cpu; at 720 queries/s from cloud-cpu to cloud-gpu-t4."
    )


def test_a_tooltip_says_the_costs_without_a_script() -> None:
    svg = str(cost_plot(made.verdict(), width=820, height=440, ident="c"))
    assert (
        "<title>at 10 queries/s; rpi4: 3.10 USD; cloud-cpu: 30.00 USD; "
        "cloud-gpu-t4: 380.00 USD</title>" in svg
    )


def test_no_costs_no_plot() -> None:
    assert cost_plot(made.verdict(cost_points=()), width=820, height=440, ident="c") is None
    empty = (CostPoint(load_per_s=1.0, cost_per_month=(None, None, None)),)
    assert cost_plot(made.verdict(cost_points=empty), width=820, height=440, ident="c") is None


def test_one_point_many_targets_and_many_crossovers_can_be_drawn() -> None:
    names = tuple(f"cloud-gpu-{n}" for n in range(14))
    points = (CostPoint(load_per_s=1.0, cost_per_month=tuple(float(n + 1) for n in range(14))),)
    flips = tuple(
        Crossover(load_per_s=0.5 + n / 50, below="a", above=names[n % 14]) for n in range(40)
    )
    one = made.verdict(
        plotted_targets=names, cost_points=points, crossovers=flips, chosen=None, answer="undecided"
    )
    svg = cost_plot(one, width=344, height=400, ident="c")
    assert [t for t in texts(svg) if t.startswith("cloud")] == list(reversed(names))
    assert all(0 <= n <= 400 for n in coordinates(svg))
