"""edgekit import as a user meets it who has no extra installed, or a file that is none."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch was-run",)


def edgekit(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "edge", "import", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


UNTRUSTED = """\
error: model.pkl: a pickle runs code of its writer's choice when it is read; this one would use posix.system
hint: --trusted, if you made it or know who did; otherwise ask for a file that is only data: XGBoost's .json or .ubj, LightGBM's .txt, or .skops
"""
FOREIGN = """\
error: model.pkl: it is made of posix.system, which edgekit does not convert; nothing was run
hint: scikit-learn's, XGBoost's and LightGBM's own estimators convert: save those alone
"""


@pytest.mark.parametrize(
    ("options", "status", "words"), [((), 2, UNTRUSTED), (("--trusted",), 4, FOREIGN)]
)
def test_a_hostile_pickle(
    options: tuple[str, ...], status: int, words: str, tmp_path: Path
) -> None:
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Command()))
    done = edgekit("model.pkl", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", words)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pkl"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("none.joblib",), 4, "error: none.joblib: no such file or directory\n"),
        (("model.txt", "--target", "nowhere"), 3, "error: nowhere: no such target"),
        (("model.txt", "--opset", "8"), 2, "error: --opset 8: the oldest is 9\n"),
        (("model.txt", "--min-agreement", "2"), 2, "--min-agreement"),
    ],
)
def test_wrong_calls(arguments: tuple[str, ...], status: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "model.txt").write_text("tree\n")
    done = edgekit(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
