"""The comparison with Olive: how its figures are judged, and what its table says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass with slots looks its module up.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


TABLE = script("olive_table")
CONFIGURATIONS = script("olive_configurations")
PLACE = "1 thread"
FLOORS = TABLE.Floors(least_cosine=0.95, most_drop=0.1)


def entry(who: str, what: str, time_ns: int = 0, **more: Any) -> Any:
    times = {PLACE: (time_ns,) * 7} if time_ns else {}
    given = {"cosines": (1.0, 1.0, 1.0), "size_bytes": 2_000_000, **more}
    return TABLE.Entry(model="m", who=who, what=what, times_ns=times, **given)


ORIGINAL = entry("original", "fp32", 3_000_000)


def test_a_ratio_is_the_median_of_the_rounds_and_has_their_interval() -> None:
    slow, fast = (200, 210, 190, 400, 200, 220, 180), (100,) * 7

    assert str(TABLE.ratio(slow, fast)) == "2.00 (1.80 to 4.00)"


def test_too_few_rounds_give_no_interval() -> None:
    with pytest.raises(ValueError, match=r"^5 rounds give no interval$"):
        TABLE.ratio((1,) * 5, (1,) * 5)


@pytest.mark.parametrize(("better", "worse", "chance"), [(0, 5, True), (0, 6, False), (2, 9, True)])
def test_the_sign_test_is_two_sided_at_five_percent(
    better: int, worse: int, *, chance: bool
) -> None:
    assert TABLE.is_likely_chance(better, worse) is chance


def test_one_picture_less_is_not_told_apart_and_six_are_worse() -> None:
    theirs = entry("Olive", "static", 1, right=(True,) * 20)

    def ours(wrong: int) -> Any:
        return entry("edgekit", "int8", 1, right=(False,) * wrong + (True,) * (20 - wrong))

    told = [TABLE.no_worse(ours(wrong), theirs) for wrong in (0, 1, 6)]
    assert told == [True, None, False]


def test_a_lower_cosine_is_worse_where_most_samples_are_lower() -> None:
    theirs = entry("Olive", "static", 1, cosines=(0.98,) * 8)

    def ours(*cosines: float) -> Any:
        return entry("edgekit", "int8", 1, cosines=cosines)

    assert TABLE.no_worse(ours(*(0.99,) * 8), theirs) is True
    assert TABLE.no_worse(ours(0.97, *(0.99,) * 7), theirs) is None
    assert TABLE.no_worse(ours(*(0.97,) * 8), theirs) is False


def test_the_best_of_olive_is_its_fastest_that_is_right_enough() -> None:
    wrong = entry("Olive", "fast and wrong", 500_000, cosines=(1.0, 0.94, 1.0))
    slow, good = entry("Olive", "slow", 2_000_000), entry("Olive", "good", 1_500_000)
    gone = entry("Olive", "gone", failed="fails", cosines=())

    best = TABLE.best_of_olive((ORIGINAL, wrong, slow, good, gone), FLOORS, PLACE)
    assert best is good
    assert TABLE.best_of_olive((ORIGINAL, wrong, gone), FLOORS, PLACE) is ORIGINAL


def test_claims_that_are_kept_and_missed() -> None:
    entries = (
        ORIGINAL,
        entry("Olive", "best: static", 1_000_000, wall_s=30.0),
        entry("Olive", "broken", failed="fails", wall_s=500.0, cosines=()),
        entry("edgekit", "int8", 1_250_000, wall_s=6.0, cosines=(0.99, 0.97, 0.96)),
    )
    floors = TABLE.Floors(least_cosine=0.95, most_drop=0.1, speedup=2.0)

    assert TABLE.verdicts(TABLE.claims_of(entries, floors, (PLACE,))) == (
        "- m: 0.80 (0.80 to 0.80) times as fast as Olive's best: static, 1 thread: **missed**\n"
        "- m: as accurate as Olive's best: static: not told apart\n"
        "- m: not slower than the original, 1 thread: kept\n"
        "- m: 2.40 (2.40 to 2.40) times as fast as the original, 2.0 wanted: kept\n"
        "- m: lowest cosine 0.9600, 0.95 wanted: kept\n"
        "- m: 6.0 s, 0.20 of the 30 s of Olive's 1 runs, 0.20 of the longest: **missed**\n"
    )


def test_a_command_of_ours_that_fails_misses_everything() -> None:
    entries = (ORIGINAL, entry("edgekit", "optimize", failed="no memory", cosines=()))

    (claim,) = TABLE.claims_of(entries, FLOORS, (PLACE,))
    assert (claim.text, claim.kept) == ("edgekit optimize fails: no memory", False)


def test_the_table_has_a_row_for_every_file_and_every_failure() -> None:
    entries = (
        ORIGINAL,
        entry("Olive", "optimize int8", failed="fails: no data", wall_s=10.0, cosines=()),
        entry("edgekit", "int8", 1_500_000, wall_s=2.0, cosines=(0.99,), right=(True, False)),
    )

    rows = TABLE.rows_of(entries, (PLACE,))
    assert TABLE.table(
        ("model", "who", "what", "wall", PLACE, "cosine", "right", "size"), rows
    ) == (
        "| model | who | what | wall | 1 thread | cosine | right | size |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| m | original | fp32 |  | 3.00 ms | 1.0000 |  | 2.00 MB |\n"
        "| m | Olive | optimize int8: fails: no data | 10.0 s |  |  |  |  |\n"
        "| m | edgekit | int8 | 2.0 s | 2.00 (2.00 to 2.00) | 0.9900 | 1 of 2 | 2.00 MB |\n"
    )


def test_the_installed_size_is_held_against_a_tenth() -> None:
    claim = TABLE.size_claim(416_000_000, 5_600_000_000)

    assert claim.text == "416 MB installed, 0.07 of Olive's 5,600 MB"
    assert claim.kept is True
    assert TABLE.size_claim(200, 1_000).kept is False


def test_every_model_has_configurations_and_one_of_them_searches() -> None:
    for name in CONFIGURATIONS.CLASSES:
        made = CONFIGURATIONS.configurations(
            name, Path("m.onnx"), Path("data"), Path("script.py"), Path("out")
        )
        searching = [kind for kind, whole in made.items() if "search_strategy" in whole]
        assert searching == ["searched"]
        assert len(made) == 4
        for kind, whole in made.items():
            assert whole["output_dir"] == f"out/{kind}/out"
            assert whole["data_configs"][0]["load_dataset_config"] == {
                "type": "npz_samples",
                "samples_file": "data/calibration.npz",
                "original": None,
            }
