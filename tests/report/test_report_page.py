"""The whole page: well-formed, accessible, self-contained, and true to the records."""

import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import made_results as made
import pytest
from page_reader import Node, read_page

import edge
from edge.adapters.results import Results
from edge.records.scenario import Scenario
from edge.records.workload import Workload
from edge.report.page import linked, render_report

if TYPE_CHECKING:
    from collections.abc import Callable

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg/onload=alert(1)>",
    "</style></title><h1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "a\x00b\x1b[31m\u202egpj.exe\ud800",
    "x" * 5000,
)
FULL = made.results(
    verdicts=[made.verdict()],
    measurements=[made.measurement(1000), made.measurement(40, flaws=("throttled",))],
    models=[made.model(risks=("the batch is free",), custom_operators=("my.Op",))],
)
UNKNOWN = made.results(
    verdicts=[
        made.verdict(
            candidates=(made.unknown(),),
            chosen=None,
            answer="undecided",
            cost_points=(),
            crossovers=(),
            assumptions=(),
            workload=Workload(),
        )
    ],
    measurements=[
        made.measurement(
            1,
            target=None,
            peak_memory_bytes=None,
            memory_before_load_bytes=None,
            warmup_ns=(),
            host=dataclasses.replace(
                made.measurement().host,
                libc=None, cpu_model=None, memory_bytes=None, memory_available_bytes=None,
                memory_limit_bytes=None, board=None,
            ),
            before=dataclasses.replace(
                made.measurement().before,
                clock_hz=None, governor=None, temperature_celsius=None, load_1min=None,
                memory_available_bytes=None,
            ),
        )
    ],
    models=[
        made.model(
            peak_activation_bytes=None, opsets=(), inputs=(), producer="",
            operators=(made.operator(calls=None, macs=None, input_bytes=None),),
        )
    ],
)  # fmt: skip
CASES = {
    "everything": FULL,
    "nothing known": UNKNOWN,
    "only a verdict": made.results(verdicts=[made.verdict()]),
    "only a measurement": made.results(measurements=[made.measurement(100)]),
    "only a model": made.results(models=[made.model()]),
    "two verdicts": made.results(
        verdicts=[
            made.verdict(),
            made.verdict(
                answer="nothing-fits", chosen=None, candidates=(made.refusal(),), cost_points=()
            ),
        ]
    ),
    "a cloud GPU, in euros": made.results(
        verdicts=[
            made.verdict(
                answer="cloud-gpu",
                chosen="cloud-gpu-t4",
                workload=Workload(
                    currency="EUR",
                    exchange_rate=0.9,
                    load_per_s=2,
                    peak_load_per_s=5,
                    hours_per_day=8,
                ),
            )
        ]
    ),
    "no operators": made.results(models=[made.model(operators=())]),
    "all of a run": made.results(
        measurements=[made.full_measurement(), made.full_measurement(energy=None)]
    ),
}


def page(results: Results) -> Node:
    root, faults = read_page(render_report(results))
    assert faults == []
    return root


def find(root: Node, class_: str) -> list[Node]:
    return [n for n in root.all() if class_ in n.attributes.get("class", "").split()]


def one(root: Node, class_: str) -> Node:
    (found,) = find(root, class_)
    return found


@pytest.mark.parametrize("results", CASES.values(), ids=CASES)
def test_the_page_is_well_formed_and_loads_nothing(results: Results) -> None:
    page(results)


@pytest.mark.parametrize("results", CASES.values(), ids=CASES)
def test_unknown_is_said_and_never_none_or_nan(results: Results) -> None:
    assert not re.search(
        r"\b(None(?! of the)|nan|inf|undefined)\b", page(results).every("main")[0].text
    )


def test_the_same_results_give_the_same_page() -> None:
    assert render_report(FULL) == render_report(FULL)


def test_the_first_screen() -> None:
    root = page(FULL)
    assert root.every("title")[0].text == "Run it on an edge device: net.onnx"
    assert root.every("h1")[0].text == "edgekit report net.onnx"
    hero = one(root, "hero")
    assert hero.every("h2")[0].text == "Run it on an edge device"
    assert [p.text for p in hero.every("p")] == [
        "Verdict for net.onnx",
        (
            "Raspberry Pi 4 Model B can answer 10 queries a second, 90 % of them within "
            "100 ms, for 3.10 USD a month."
        ),
        "Raspberry Pi 4 Model B is the cheapest of 3 targets that fit.",
    ]
    facts = {d.every("dt")[0].text: d.every("dd")[0].text for d in hero.every("div")}
    assert facts == {
        "Target": "rpi4",
        "Cost a month": "3.10 USD",
        "Response time, p90": "41–62 ms",
        "Limit": "p90 within 100 ms",
        "Load": "10 queries/s",
        "Machines": "1 34 % busy",
        "Evidence": "measured",
        "The answer flips": "above 144 queries/s: cloud CPU",
    }


def test_the_targets_side_by_side() -> None:
    table = one(page(FULL), "targets")
    heads = [h.text for h in table.every("thead")[0].every("th")]
    assert [h.split(" Axis ")[0] for h in heads] == [
        "Target", "Verdict and reason", "Response time, p90", "Evidence", "Machines", "Busy",
        "USD a month", "USD a million",
    ]  # fmt: skip
    rows = table.every("tbody")[0].every("tr")
    cells = [[c.text for c in r.children if isinstance(c, Node)] for r in rows]
    assert [(c[0], c[3:]) for c in cells] == [
        (
            "Raspberry Pi 4 Model B chosen rpi4, edge device",
            ["measured 200 queries on this board", "1", "34 %", "3.10", "0.12"],
        ),
        (
            "Cloud GPU, NVIDIA T4 cloud-gpu-t4, cloud GPU",
            ["predicted 200 queries on this board", "1", "34 %", "380.00", "0.12"],
        ),
        (
            "Jetson Nano 4 GB jetson-nano, edge device",
            ["predicted 200 queries on this board", "1", "34 %", "4.60", "0.12"],
        ),
        ("Cloud CPU, 2 vCPU cloud-cpu, cloud CPU", ["none", *["–"] * 4]),
        (
            "Raspberry Pi Zero 2 W rpi-zero2w, edge device",
            ["predicted 200 queries on this board", *["–"] * 4],
        ),
    ]
    assert [c[1] for c in cells] == [
        "fits its upper response time is 62 ms, the limit is 100 ms",
        "fits its upper response time is 62 ms, the limit is 100 ms",
        (
            "undecided the limit of 100 ms lies inside 60 ms to 180 ms "
            "Measure it edgekit package net.onnx --target jetson-nano"
        ),
        "undecided operators no estimate",
        "does not fit latency even its lower response time, 150 ms, is above the limit of 100 ms",
    ]
    assert cells[0][2].endswith("41–62 ms of which service 30–40 ms")
    assert cells[3][2] == "unknown"
    assert cells[4][2].endswith("at least 150 ms of which service 30–40 ms")
    for row in rows:
        icons = [s for s in row.every("svg") if "icon" in s.attributes.get("class", "")]
        assert len(icons) == 1, "a word and an icon"


def test_percentiles_only_with_enough_queries() -> None:
    first, second = find(page(FULL), "measurement")
    facts = [
        {d.every("dt")[0].text: d.every("dd")[0].text for d in one(m, "percentiles").every("div")}
        for m in (first, second)
    ]
    assert list(facts[0]) == ["p50", "p90", "p99", "First inference", "Load", "Peak memory"]
    assert re.fullmatch(r"\d+(\.\d+)? ms \S+–\S+ ms, 95 % sure", facts[0]["p99"])
    assert facts[1]["p90"] == "needs 24 queries more"
    assert facts[1]["p99"] == "needs 622 queries more"


def test_flaws_are_loud() -> None:
    first, second = find(page(FULL), "measurement")
    assert find(first, "flaw") == []
    assert one(second, "flaw").text == "This measurement must not support a verdict. throttled"
    trusted = [r.every("td")[-1].text for r in page(FULL).every("section")[-3].every("tr")[1:3]]
    assert trusted == ["yes", "no"]


def test_emulated_time_is_no_time() -> None:
    root = page(made.results(measurements=[made.measurement(provenance="emulated")]))
    assert one(root, "flaw").text == (
        "Emulated time is no time. These durations say nothing about the device."
    )


def test_the_limit_is_drawn_only_for_the_model_of_the_verdict() -> None:
    other = dataclasses.replace(made.measurement().model, sha256="cd" * 32)
    results = made.results(
        verdicts=[made.verdict()], measurements=[made.measurement(), made.measurement(model=other)]
    )
    first, second = find(page(results), "measurement")
    assert "limit 100 ms" in first.text
    assert "limit" not in second.text


def test_operators_by_type() -> None:
    table = one(page(FULL), "operators")
    rows = [[c.text for c in r.children if isinstance(c, Node)] for r in table.every("tr")[1:]]
    assert rows == [
        ["Conv", "2", "4 M", "100 %", "4 KiB", "20 KiB"],
        ["Relu", "1", "0", "–", "0 B", "8 KiB"],
    ]


def test_what_an_inference_never_runs_is_left_out() -> None:
    model = made.model()
    loaded = dataclasses.replace(model.operators[0], op_type="Dequantize", calls=0)
    changed = dataclasses.replace(model, operators=(*model.operators, loaded))
    table = one(page(made.results(models=[changed])), "operators")
    assert "Conv" in table.text
    assert "Dequantize" not in table.text


def test_what_is_absent_is_said() -> None:
    only_verdict = one(page(CASES["only a verdict"]), "absent").text
    assert only_verdict.startswith("There is no measurement among these results")
    only_model = [n.text for n in find(page(CASES["only a model"]), "absent")]
    assert only_model[0].startswith("There is no verdict among these results")


def test_a_model_that_was_written_twice_is_shown_once() -> None:
    root = page(made.results(models=[made.model(), made.model(), made.model(parameters=7)]))
    assert len(find(root, "model")) == 2
    assert [a.attributes["download"] for a in root.every("a") if "download" in a.attributes] == [
        "1.model.json",
        "2.model.json",
    ]


def test_raw_data_are_offered() -> None:
    links = [a for a in page(FULL).every("a") if "download" in a.attributes]
    assert [a.attributes["download"] for a in links] == [
        "1.verdict.json",
        "1.measurement.json",
        "2.measurement.json",
        "1.model.json",
    ]


def test_the_parts_of_a_run_are_shown() -> None:
    root = page(made.results(verdicts=[made.verdict()], measurements=[made.full_measurement()]))
    shown = one(root, "measurement")
    assert "Server: 20 queries a second at random (Poisson)" in shown.text
    assert "p99 within 60 ms at 20 queries/s: shown at 99 % confidence; " in shown.text
    assert "These are response times." in shown.text
    facts = {
        d.every("dt")[0].text: d.every("dd")[0].text for d in one(shown, "percentiles").every("div")
    }
    assert list(facts)[6:] == [
        "Throughput", "Timing loop", "Energy an inference", "Frames dropped", "Put together from",
    ]  # fmt: skip
    assert facts["Throughput"] == "20 queries/s 18.7–21.3, 95 % sure"
    assert facts["Frames dropped"] == "12 of 900 /dev/video0 at 30 frames/s"
    tables = {t.every("caption")[0].text: t for t in shown.every("table")}
    stages = tables["A pass of its own; shares are of the sum of the medians"]
    assert [[c.text for c in row.all() if c.tag in ("th", "td")] for row in stages.every("tr")] == [
        ["Stage", "p50", "p90", "Share", "Runs"],
        ["1 decode", "4 ms", "4 ms", "10 %", "80"],
        ["2 resize", "1 ms", "1 ms", "2 %", "80"],
        ["3 inference", "30 ms", "30 ms", "75 %", "80"],
        ["4 decode boxes", "5 ms", "–", "12 %", "12"],
    ]
    titles = [t.text for t in shown.every("title")]
    assert titles.count("Temperature and clock over the run of net.onnx on rpi4") == 2
    assert titles.count("Stages of net.onnx on rpi4") == 2


def test_a_machine_that_could_not_be_read_meanwhile_is_said() -> None:
    blind = made.telemetry()
    readings = tuple(
        dataclasses.replace(r, clock_hz=None, temperature_celsius=None) for r in blind.readings
    )
    blind = dataclasses.replace(blind, readings=readings, core=None)
    root = page(made.results(measurements=[made.full_measurement(telemetry=blind)]))
    assert (
        "50 readings, one every 1 s; one costs 120 µs, no core could be spared for it. "
        "Neither temperature nor clock could be read."
    ) in one(root, "measurement").text


def test_batches_have_no_limit_and_no_claim() -> None:
    offline = made.measurement(
        scenario=Scenario("offline", 8, batched=True), duration_ns=40_000_000_000
    )
    root = page(made.results(measurements=[offline]))
    text = one(root, "measurement").text
    assert "a latency is that of 8 samples in one batch." in text
    assert "Throughput 200 samples/s" in text
    assert "may claim" not in text


def test_ten_thousand_latencies_stay_small() -> None:
    results = made.results(
        verdicts=[made.verdict()], measurements=[made.measurement(10_000)], models=[made.model()]
    )
    assert len(render_report(results).encode()) < 300_000


@pytest.mark.parametrize("text", HOSTILE, ids=lambda t: t[:20].encode("unicode_escape").decode())
def test_hostile_texts_stay_texts(text: str) -> None:
    root = page(hostile_results(text))
    plain = page(hostile_results("harmless"))
    assert tags(root) == tags(plain), "no text became an element"
    outside = [a.attributes["href"] for a in root.every("a") if "download" not in a.attributes]
    assert all(h.startswith("#") for h in outside)
    assert "\x00" not in root.text
    assert "\u202e" not in root.text


def tags(root: Node) -> Counter[str]:
    """Count the elements whose number does not depend on the length of a text."""
    free = {"span", "path", "text", "circle"}
    return Counter(n.tag for n in root.all() if n.tag not in free)


def hostile_results(text: str) -> Results:
    """Put the text wherever a record holds a free string."""

    def filled(record: Any) -> Any:
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(record):
            value = getattr(record, field.name)
            if dataclasses.is_dataclass(value):
                changes[field.name] = filled(value)
            elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
                changes[field.name] = tuple(filled(v) for v in value)
            elif isinstance(value, tuple) and value and isinstance(value[0], str):
                changes[field.name] = tuple(text for _ in value)
            elif isinstance(value, str) and field.name not in _WORDS:
                changes[field.name] = text
        return dataclasses.replace(record, **changes)

    return made.results(
        verdicts=[filled(made.verdict(next_command="x"))],
        measurements=[filled(made.measurement(70, flaws=("x",)))],
        models=[filled(made.model(risks=("x",), custom_operators=("x",)))],
    )


# Fields that hold one of a fixed set of words.
_WORDS = {
    "answer", "fit", "kind", "binding", "provenance", "task", "training_method", "currency",
    "format", "precision", "dtype", "domain",
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "markup"),
    [
        (
            "see https://a.org/b?c=1&d=2, 2024",
            (
                'see <a href="https://a.org/b?c=1&amp;d=2" rel="noreferrer">'
                "https://a.org/b?c=1&amp;d=2</a>, 2024"
            ),
        ),
        ("javascript:alert(1) <b>", "javascript:alert(1) &lt;b&gt;"),
        (
            'https://a.org/"onclick=x',
            '<a href="https://a.org/" rel="noreferrer">https://a.org/</a>&#34;onclick=x',
        ),
    ],
)
def test_only_web_addresses_become_links(source: str, markup: str) -> None:
    assert str(linked(source)) == markup


# ---------------------------------------------------------------- colours


def palettes() -> dict[str, dict[str, str]]:
    css = (Path(edge.__file__).parent / "report/templates/page.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    return {
        name: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
        for name, block in (("light", light), ("dark", dark))
    }


def contrast(one_colour: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear: Callable[[float], float] = lambda c: (  # noqa: E731
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        )
        red, green, blue = (linear(c) for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one_colour), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_the_contrast_of_wcag_aa(scheme: str) -> None:
    colours = palettes()[scheme]
    assert set(colours) == set(palettes()["light"]), "both schemes define every colour"
    texts = ["ink", "muted", "good", "doubt", "bad", "edge", "cpu", "gpu"]
    texts += [f"series-{n}" for n in range(6)]
    for text in texts:
        for ground in ("paper", "surface", "sunken"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for text, ground in (("bad", "bad-pale"), ("doubt", "doubt-pale"), ("ink", "bad-pale")):
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    assert contrast(colours["bars"], colours["surface"]) >= 3
