"""Workload files: what is read, and what is refused with the file and the key."""

from pathlib import Path

import pytest

from edge.adapters.workloads import load_workload
from edge.errors import ConfigError
from edge.records.codec import to_dict
from edge.records.workload import Workload

DOCS = Path(__file__).parent.parent.parent / "docs" / "workloads"


def written(folder: Path, text: str) -> Path:
    path = folder / "w.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_workload_is_called_as_its_file_is(tmp_path: Path) -> None:
    found = load_workload(written(tmp_path, 'schema_version = "1.0"\nlatency_limit_ms = 50\n'))
    assert found == Workload(name="w", latency_limit_ms=50.0)
    named = load_workload(written(tmp_path, 'schema_version = "1.0"\nname = "mine"\n'))
    assert named.name == "mine"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("latency_limit_ms = 5", "schema_version: missing key", 'add schema_version = "1.0"'),
        (
            'schema_version = "1.0"\nlatency_limit = 5',
            "latency_limit: unknown key",
            "did you mean latency_limit_ms?",
        ),
        (
            'schema_version = "1.0"\nlatency_limit_ms = "5"',
            "latency_limit_ms: expected a number, got '5'",
            None,
        ),
        (
            'schema_version = "1.0"\nlatency_limit_ms = -5',
            "latency_limit_ms must be a positive number, got -5.0",
            None,
        ),
        (
            'schema_version = "1.0"\ntask = "inferrence"',
            "task: must be one of inference, training, got 'inferrence'",
            None,
        ),
        (
            'schema_version = "1.0"\ncurrency = "EUR"',
            "exchange_rate is needed: EUR for one USD",
            None,
        ),
        (
            'schema_version = "1.0"\nload_per_s = 5\npeak_load_per_s = 4',
            "peak_load_per_s is below load_per_s",
            None,
        ),
        (
            'schema_version = "1.0"\nmax_boards = 0',
            "max_boards must be a positive number, got 0",
            None,
        ),
        (
            'schema_version = "2.0"',
            "schema_version: version 2.0 is newer than this edgekit reads (1.0)",
            "update edgekit on this machine",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, what: str, hint: str | None) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_workload(path)
    assert (caught.value.what, caught.value.where) == (what, str(path))
    if hint is not None:
        assert caught.value.hint == hint


def test_a_missing_file_and_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_workload(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        load_workload(written(tmp_path, "latency = = 5"))


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.toml")), ids=lambda p: p.stem)
def test_the_examples_are_workloads(path: Path) -> None:
    found = load_workload(path)
    assert found.name == path.stem
    assert to_dict(found)["schema_version"] == "1.0"


def test_there_are_three_examples() -> None:
    assert {p.stem for p in DOCS.glob("*.toml")} == {"api", "camera", "nightly-training"}
