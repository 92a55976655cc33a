"""What is said and drawn of a run besides its latencies."""

import dataclasses
from xml.etree import ElementTree as ET

import made_results as made
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from edge.records.host import Reading, Telemetry
from edge.records.measurement import Measurement, Stage
from edge.records.scenario import Scenario
from edge.report.run_words import (
    claims_sentence,
    energy_text,
    joules_text,
    limit_sentence,
    rounds_text,
    scenario_sentence,
    telemetry_text,
    throughput_text,
)
from edge.report.stage_bar import stage_bar, stage_rows
from edge.report.telemetry_plot import telemetry_plot, throttled_spans

MS = 1_000_000
S = 1_000_000_000


def drawn(svg: Markup | None) -> ET.Element:
    assert svg is not None
    return ET.fromstring(str(svg))


def of_class(svg: Markup | None, name: str) -> list[ET.Element]:
    return [e for e in drawn(svg).iter() if name in (e.get("class") or "").split()]


@pytest.mark.parametrize(
    ("scenario", "sentence"),
    [
        (Scenario(), "Single-stream: one query after the other, each of one sample."),
        (
            Scenario("multi-stream", 8, batched=True),
            "Multi-stream: one query after the other, each of 8 samples in one batch.",
        ),
        (
            Scenario("multi-stream", 8),
            "Multi-stream: one query after the other, each of 8 samples one after the other.",
        ),
        (
            Scenario("offline", 1),
            "Offline: all samples are there from the start; a latency is that of 1 sample.",
        ),
        (
            Scenario("server", target_qps=12.5),
            (
                "Server: 12.5 queries a second at random (Poisson); a latency begins at the "
                "scheduled arrival, so it holds the wait."
            ),
        ),
    ],
)
def test_the_scenario_in_words(scenario: Scenario, sentence: str) -> None:
    assert scenario_sentence(made.measurement(scenario=scenario)) == sentence


def served(over: int, count: int = 700) -> Measurement:
    return made.measurement(
        latencies_ns=(10 * MS,) * (count - over) + (90 * MS,) * over,
        scenario=Scenario("server", target_qps=20.0, limit_ns=50 * MS),
    )


@pytest.mark.parametrize(
    ("over", "sentence"),
    [
        (0, "shown at 99 % confidence; 0 of 700 queries were over."),
        (1, "shown at 99 % confidence; 1 of 700 queries were over."),
        (2, "not shown; 2 of 700 queries were over. It needs 138 queries more within the limit."),
        (30, "missed; 30 of 700 queries were over."),
    ],
)
def test_the_limit_of_a_server_run(over: int, sentence: str) -> None:
    assert limit_sentence(served(over)) == f"p99 within 50 ms at 20 queries/s: {sentence}"


def test_no_limit_no_sentence() -> None:
    assert limit_sentence(made.measurement()) is None


def test_claims_are_those_of_early_stopping() -> None:
    run = made.measurement(latencies_ns=tuple(range(1, 1001)))
    # Of 1,000 queries loadgen discards 77 for a p90 and 1 for a p99.
    assert claims_sentence(run, [90.0, 99.0]) == (
        "By MLPerf's early stopping one may claim, 99 % sure: p90 923 ns, p99 999 ns."
    )
    assert claims_sentence(made.measurement(5), [50.0]) is None
    assert claims_sentence(made.measurement(scenario=Scenario("offline")), [50.0]) is None


def test_throughput() -> None:
    batches = dataclasses.replace(made.measurement(), scenario=Scenario("offline", 4, batched=True))
    steady = dataclasses.replace(batches, latencies_ns=(8 * MS,) * 40, duration_ns=400 * MS)
    assert throughput_text(steady) == ("400 samples/s", "400, 95 % sure")
    few = dataclasses.replace(batches, latencies_ns=(8 * MS,) * 3, duration_ns=30 * MS)
    assert throughput_text(few) == ("400 samples/s", "too few batches for an interval")
    assert throughput_text(made.measurement()) is None


@pytest.mark.parametrize(
    ("joules", "text"), [(12.34, "12.3 J"), (0.153, "153 mJ"), (2.5e-5, "25 µJ"), (0.0, "0 µJ")]
)
def test_joules(joules: float, text: str) -> None:
    assert joules_text(joules) == text


def test_energy_says_its_source() -> None:
    energy = made.full_measurement().energy
    assert energy is not None
    assert energy_text(energy) == (
        "153 mJ",
        "200 inferences at 5.1 W; 90 mJ above idle; the board's rails",
    )


def test_rounds_say_the_median_of_each_process() -> None:
    run = made.measurement(latencies_ns=(10 * MS,) * 3 + (11 * MS,) * 2, rounds=(3, 2))
    assert rounds_text(run) == ("2 processes", "p50 10 ms, 11 ms")
    assert rounds_text(made.measurement()) is None


def test_telemetry_says_its_cost() -> None:
    assert telemetry_text(made.telemetry()) == (
        "50 readings, one every 1 s; one costs 120 µs, on core 3."
    )


# ---------------------------------------------------------------- telemetry


def test_throttled_moments_are_marked_and_said() -> None:
    telemetry = made.telemetry()
    assert throttled_spans(telemetry.readings) == ((20 * S, 30 * S), (40 * S, 49 * S))
    svg = telemetry_plot(telemetry, width=720, ident="t", name="net")
    first, last = of_class(svg, "throttled")
    room = 720 - 12 - 64
    assert float(first.get("x") or "") == pytest.approx(12 + room * 20 / 49, abs=0.1)
    assert float(last.get("x") or "") + float(last.get("width") or "") == pytest.approx(656)
    assert len(of_class(svg, "median")) == 2
    assert drawn(svg).findtext("desc") == (
        "The temperature goes from 52 °C to 81.8 °C, within 52 °C to 81.8 °C. "
        "The clock goes from 1.8 GHz to 1 GHz, within 1 GHz to 1.8 GHz. "
        "It was throttled 2 times: the clock is capped."
    )


@pytest.mark.parametrize(
    ("throttled", "said"),
    [
        ((), "It was not throttled at any reading."),
        (None, "Whether it was throttled is not known."),
    ],
)
def test_what_is_not_throttled_or_not_known_is_said(
    throttled: tuple[str, ...] | None, said: str
) -> None:
    readings = tuple(Reading(k * S, 10**9, None, throttled, None) for k in range(3))
    svg = telemetry_plot(Telemetry(S, 1, 1, None, readings), width=720, ident="t", name="n")
    assert of_class(svg, "throttled") == []
    assert len(of_class(svg, "median")) == 1
    assert drawn(svg).findtext("desc") == (
        f"The clock goes from 1 GHz to 1 GHz, within 1 GHz to 1 GHz. {said}"
    )


def test_what_cannot_be_drawn_is_not() -> None:
    assert telemetry_plot(None, width=720, ident="t", name="n") is None
    for readings in (
        (),
        (Reading(5, 10**9, 50.0, (), None),),
        (Reading(5, 10**9, 50.0, (), None),) * 2,
        tuple(Reading(k, None, None, (), None) for k in range(9)),
    ):
        telemetry = Telemetry(S, 1, 1, None, readings)
        assert telemetry_plot(telemetry, width=720, ident="t", name="n") is None


READINGS = st.builds(
    Reading,
    at_ns=st.integers(0, 10**15),
    clock_hz=st.none() | st.integers(0, 10**11),
    temperature_celsius=st.none() | st.floats(-80, 200),
    throttled=st.none() | st.lists(st.sampled_from(["hot", "low voltage"])).map(tuple),
    memory_available_bytes=st.none(),
)


@given(st.lists(READINGS, max_size=40))
def test_any_readings_stay_inside_the_drawing(readings: list[Reading]) -> None:
    telemetry = Telemetry(S, 1, 1, None, tuple(readings))
    for width in (328.0, 720.0):
        svg = telemetry_plot(telemetry, width=width, ident="t", name="n")
        if svg is None:
            continue
        for rect in of_class(svg, "throttled"):
            x, extent = (float(rect.get(key) or "") for key in ("x", "width"))
            assert x >= 12
            assert x + extent <= width - 64 + 2.1
        height = float(drawn(svg).get("height") or "")
        for line in of_class(svg, "median"):
            points = (line.get("d") or "")[1:].split("L")
            assert all(0 <= float(p.split(",")[1]) <= height for p in points)


# ---------------------------------------------------------------- stages


def test_the_bar_is_to_scale_and_has_its_text() -> None:
    rows = stage_rows(made.full_measurement().stages)
    assert [(r.name, r.count, r.median_ns, r.p90_ns, r.share) for r in rows] == [
        ("decode", 80, 4 * MS, 4 * MS, 0.1),
        ("resize", 80, 1 * MS, 1 * MS, 0.025),
        ("inference", 80, 30 * MS, 30 * MS, 0.75),
        ("decode boxes", 12, 5 * MS, None, 0.125),
    ]
    svg = stage_bar(rows, width=824, ident="s", name="net")
    assert [float(e.get("width") or "") for e in of_class(svg, "stage")] == [80, 20, 600, 100]
    assert [e.text for e in of_class(svg, "tick")] == ["1", "2", "3", "4"]
    assert drawn(svg).findtext("desc") == (
        "Medians, 40 ms together: decode 4 ms (10 %), resize 1 ms (2 %), "
        "inference 30 ms (75 %), decode boxes 5 ms (12 %)."
    )


def test_stages_of_no_time_have_no_bar() -> None:
    assert stage_rows([Stage("never ran", ())]) == ()
    rows = stage_rows([Stage("nothing", (0, 0))])
    assert [(r.name, r.share) for r in rows] == [("nothing", None)]
    assert stage_bar(rows, width=720, ident="s", name="n") is None


@given(st.lists(st.lists(st.integers(0, 10**12), max_size=4), max_size=12))
def test_the_parts_of_any_bar_fill_it(stages: list[list[int]]) -> None:
    rows = stage_rows([Stage(f"stage {k}", tuple(ns)) for k, ns in enumerate(stages)])
    svg = stage_bar(rows, width=720, ident="s", name="n")
    if svg is not None:
        parts = [float(e.get("width") or "") for e in of_class(svg, "stage")]
        assert len(parts) == len(rows)
        assert sum(parts) == pytest.approx(720 - 24, abs=0.05 * len(parts) + 0.01)
