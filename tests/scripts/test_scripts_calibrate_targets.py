"""The calibrations in targets/ are what the published rows give, and they hold what was left out."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edge.adapters.targets import load_targets

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module("calibrate_targets")
    finally:
        sys.path.remove(str(SCRIPTS))


def test_the_targets_have_the_calibrations_that_the_rows_give(script: ModuleType) -> None:
    targets = load_targets()
    found = script.fit_all(targets)
    for target in targets:
        fitted = tuple(one.calibration for one in found if one.target == target.name)
        assert target.calibrations == fitted, "run python scripts/calibrate_targets.py --write"
        assert fitted, target.name


def test_nine_of_ten_left_out_families_lie_inside(script: ModuleType) -> None:
    held = [one.coverage for one in script.fit_all(load_targets()) if one.coverage is not None]
    families = sum(c.families for c in held)
    assert families > 150
    assert sum(c.plain * c.families for c in held) / families > 0.88
    assert sum(c.widened * c.families for c in held) / families > 0.93
    # An interval that holds everything by being endless would hold too.
    assert all(c.width < 25 for c in held)


def test_one_family_has_one_vote(script: ModuleType) -> None:
    rows = importlib.import_module("calibration_rows")
    fit = importlib.import_module("calibration_fit")

    def sample(family: str, rate: float) -> object:
        row = rows.Row(
            device="d",
            runtime="r",
            precision="fp32",
            threads=4,
            model="m",
            family=family,
            macs=1e9,
            operators=10,
            latency_ns=1e9 / rate,
        )
        return rows.Sample(row=row, scale=1.0)

    few = [sample("a", 1.0), sample("b", 2.0), sample("c", 4.0)]
    many = [*few, *(sample("c", 4.0) for _ in range(97))]
    one, other = fit.fit(few, 0.0), fit.fit(many, 0.0)
    assert one.low == pytest.approx(other.low)
    assert one.high == pytest.approx(other.high)
    assert one.typical == 2.0
    # Three families say little: Student's factor for two degrees of freedom is 2.92.
    assert one.high / one.typical == pytest.approx(2.0 ** (2.92 * (4 / 3) ** 0.5))


def test_the_block_is_replaced_and_nothing_else_changes(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('name = "x"\n')
    (one, *_) = load_targets()
    script.rewrite(path, script.render(one.calibrations))
    first = path.read_text()
    assert first.startswith(f'name = "x"\n\n{script.BEGIN}\n[[calibrations]]\n')
    assert first.endswith(f"{script.END}\n")
    path.write_text(first + "# after\n")
    script.rewrite(path, script.render(one.calibrations[:1]))
    second = path.read_text()
    assert second.count("[[calibrations]]") == 1
    assert second.endswith(f"{script.END}\n# after\n")


def test_every_row_has_its_sources() -> None:
    import csv

    with (SCRIPTS / "calibration" / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 849
    assert all(row["source"].strip() and row["macs_source"].strip() for row in rows)
