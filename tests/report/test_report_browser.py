"""The page in a real browser: no overflow, no error, no request; labels stay in their drawings."""

import json
from collections.abc import Iterator
from pathlib import Path

import made_results as made
import pytest
from cdp_browser import CHROMIUM, Browser

from edge.records.verdict import CostPoint, Verdict
from edge.report.page import render_report

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
LONG = "a-model-with-a-rather-long-name-" * 4
# The label of every visible drawing that leaves its drawing, by its text.
CUT_LABELS = """
[...document.querySelectorAll('svg[role=img]')].filter(s => s.getClientRects().length).flatMap(s => {
  const box = s.getBoundingClientRect();
  return [...s.querySelectorAll('text')].filter(t => {
    const r = t.getBoundingClientRect();
    return r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 2 || r.bottom > box.bottom + 2;
  }).map(t => s.getAttribute('aria-labelledby') + ': ' + t.textContent);
})
"""
# Pairs of labels of one visible drawing that cover each other by more than a hair.
MET_LABELS = """
[...document.querySelectorAll('svg[role=img]')].filter(s => s.getClientRects().length).flatMap(s => {
  const labels = [...s.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()]);
  const met = [];
  labels.forEach(([a, p], i) => labels.slice(i + 1).forEach(([b, q]) => {
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 4) met.push(s.getAttribute('aria-labelledby') + ': ' + a + ' / ' + b);
  }));
  return met;
})
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything, and with names that are longer than one likes."""
    peak = made.verdict().workload.__class__(
        latency_limit_ms=45.0, load_per_s=10.0, peak_load_per_s=14.0
    )
    results = made.results(
        verdicts=[
            made.verdict(),
            made.verdict(
                model=LONG,
                workload=peak,
                cost_points=tuple(
                    CostPoint(load_per_s=10.0**k, cost_per_month=(3.0, 20.0 * 10**k, None))
                    for k in range(-2, 6)
                ),
                reason=LONG * 3,
                next_command=f"a {LONG}",
            ),
            crowded(),
        ],
        measurements=[
            made.measurement(3000),
            made.measurement(1),
            made.measurement(40, target=LONG, flaws=(LONG * 2,)),
            made.full_measurement(),
        ],
        models=[made.model(name=LONG, operators=(made.operator(LONG),))],
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(results), encoding="utf-8")
    return path


def crowded() -> Verdict:
    """Return a verdict with as many targets as there are, at costs that hardly differ."""
    names = tuple(f"cloud-gpu-a{n}00" for n in range(14))
    points = tuple(
        CostPoint(load_per_s=10.0**k, cost_per_month=tuple(100.0 + n + 50 * k for n in range(14)))
        for k in range(4)
    )
    return made.verdict(cost_points=points, plotted_targets=names, crossovers=(), chosen=None)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_page_opens_cleanly(browser: Browser, page: Path, width: int, *, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(19, 21, 24)" if dark else "rgb(250, 249, 247)")
    told = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"}
    assert [e for e in browser.events if e.get("method") in told] == []
    requests = [
        e["params"]["request"]["url"]
        for e in browser.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [r for r in requests if not r.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("width", [360, 1440])
def test_labels_stay_in_their_drawings_and_apart(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width=width)
    assert browser.evaluate(CUT_LABELS) == []
    assert browser.evaluate(MET_LABELS) == []


def test_one_of_the_two_drawings_is_shown(browser: Browser, page: Path) -> None:
    shown = "[...document.querySelectorAll('.plot.cost')].map(s => s.getClientRects().length)"
    browser.open(page, width=1440)
    assert browser.evaluate(shown) == [1, 0] * 3
    browser.open(page, width=360)
    assert browser.evaluate(shown) == [0, 1] * 3


def test_the_browser_reads_the_same_records_from_the_links(browser: Browser, page: Path) -> None:
    browser.open(page, width=1440)
    link = browser.evaluate("document.querySelector('a[download=\"1.verdict.json\"]').href")
    script = f"decodeURIComponent({json.dumps(link)}.split(',').slice(1).join(','))"
    assert json.loads(browser.evaluate(script))["reason"] == made.verdict().reason
