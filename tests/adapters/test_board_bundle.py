"""The part of the program that is sent over ssh which keeps bundles on the board."""

import ast
import fcntl
import os
import sys
from pathlib import Path

import pytest

from edge.adapters import board_bundle

SENT = sorted(Path(board_bundle.__file__).parent.glob("board_*.py"))


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_what_is_sent_stands_alone_and_an_old_python_can_parse_it(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 5))
    allowed = {*sys.stdlib_module_names, *(f"edge.adapters.{sent.stem}" for sent in SENT)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.module in allowed


def test_the_newest_bundles_and_those_in_use_stay(own_cache: Path) -> None:
    remote = own_cache / "remote"
    (remote / "runs").mkdir(parents=True)
    folders = [remote / (letter * 64) for letter in "abcd"]
    for age, folder in enumerate(folders):
        folder.mkdir()
        (folder / "bundle.pyz").write_bytes(b"")
        os.utime(folder, (1000 - age, 1000 - age))
    with (folders[3] / "bundle.pyz").open("rb") as used:
        fcntl.flock(used, fcntl.LOCK_SH)
        board_bundle._prune()
        names = sorted(path.name[0] for path in remote.iterdir())
    assert names == ["a", "b", "d", "r"]
    board_bundle._prune()
    assert sorted(path.name[0] for path in remote.iterdir()) == ["a", "b", "r"]
