"""Killed at any moment, a command leaves the old version or the new one, whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KILLING = Path(__file__).with_name("killing.py")
TESTS = KILLING.parent.parent


def killed(folder: Path, command: str, before: list[str], **task: Any) -> list[dict[str, Any]]:
    """Kill the command at many points and return what was found after each."""
    whole = {"real": False, "again": command, **task, "command": command, "before": before}
    done = subprocess.run(
        [sys.executable, str(KILLING), str(folder), json.dumps(whole)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows: list[dict[str, Any]] = found["rows"]
    assert len(rows) == min(task["points"], found["total"])
    assert all(row["killed"] for row in rows)
    return rows


def states(rows: list[dict[str, Any]]) -> set[tuple[str | None, str | None]]:
    return {(row["current"], row["previous"]) for row in rows}


def broken(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["wrong"] or row["again"] or row["after"]["wrong"]]


def test_an_update_killed_at_200_points(tmp_path: Path) -> None:
    rows = killed(tmp_path, "install 2", ["install 0", "install 1"], points=200)
    assert len(rows) == 200
    assert broken(rows) == []
    # The old one with its previous version, or the new one with its own: nothing is lost.
    assert states(rows) == {("1", "0"), ("2", "1")}
    assert all(row["launcher"] for row in rows)
    assert states([row["after"] for row in rows]) == {("2", "1")}
    assert [row for row in rows if row["leftovers"]] == []


def test_a_first_installation_killed(tmp_path: Path) -> None:
    rows = killed(tmp_path, "install 0", [], points=40)
    assert broken(rows) == []
    assert states(rows) == {(None, None), ("0", None)}
    assert states([row["after"] for row in rows]) == {("0", None)}
    assert [row for row in rows if row["leftovers"]] == []


def test_a_rollback_killed_at_every_point(tmp_path: Path) -> None:
    rows = killed(tmp_path, "rollback", ["install 0", "install 1"], points=1000, again="install 2")
    assert broken(rows) == []
    assert states(rows) == {("1", "0"), ("0", "1")}
    assert states([row["after"] for row in rows]) == {("2", "1"), ("2", "0")}
    assert [row for row in rows if row["leftovers"]] == []


def test_an_uninstallation_killed(tmp_path: Path) -> None:
    rows = killed(tmp_path, "uninstall", ["install 0", "install 1"], points=25, again="install 1")
    assert broken(rows) == []
    assert states(rows) == {("1", "0"), (None, None)}
    assert states([row["after"] for row in rows]) == {("1", "0"), ("1", None)}
    assert [row for row in rows if row["leftovers"]] == []


@pytest.mark.parametrize("points", [8])
def test_an_update_with_its_real_runtime_killed(tmp_path: Path, points: int) -> None:
    """The launcher is started after each kill, and runs the version that it finds."""
    rows = killed(tmp_path, "install 2", ["install 0", "install 1"], points=points, real=True)
    assert broken(rows) == []
    assert states(rows) <= {("1", "0"), ("2", "1")}
    assert states([row["after"] for row in rows]) == {("2", "1")}
