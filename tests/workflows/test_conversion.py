"""A recipe runs on verified files only, in a child, and what it made is kept with its digest."""

import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from made_packages import ROOT, copied_project, edgekit, made_wheel, serve, serve_nothing, sha256

from edge.backends import backend_for_format
from edge.records.measurement import SessionConfig

WEIGHTS = b"weights"
RECIPE = '''
"""Writes the weights down backwards, by code of the pinned package."""

from pathlib import Path

REQUIRES = ()


def convert(request):
    from turner import turned

    raw = Path(request["raw"]["weights.bin"]).read_bytes()
    (Path(request["folder"]) / "made.onnx").write_bytes(turned(raw))
    return {"evidence": ["turned " + str(len(raw)) + " bytes"]}
'''
CARD = """
schema_version = "1.0"
name = "made"
title = "Made"
kind = "audio"
licence = "MIT"
description = "Made by a test."

[source]
registry = "pypi"
package = "made"
version = "1.0"
filename = "made-1.0-py3-none-any.whl"
package_sha256 = "{package}"

[convert]
recipe = "turned"
extra = "convert"
description = "Turned."
[[convert.raw]]
name = "weights.bin"
member = "made/weights.bin"
sha256 = "{raw}"
size_bytes = 7
[[convert.package]]
package = "turner"
version = "1.0"
filename = "turner-1.0-py3-none-any.whl"
package_sha256 = "{code}"

[[file]]
name = "made.onnx"
format = "onnx"
precision = "fp32"
[[file.input]]
name = "input"
dtype = "float32"
shape = [1, 4]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a card and a recipe more, and the two wheels that they need."""
    served = tmp_path / "served"
    made_wheel(served, "made", {"made/weights.bin": WEIGHTS})
    made_wheel(served, "turner", {"turner.py": b"def turned(data):\n    return data[::-1]\n"})
    serve(served, monkeypatch)
    project = copied_project(tmp_path)
    (project / "edge" / "recipes" / "turned.py").write_text(RECIPE, encoding="utf-8")
    write_card(project, served)
    return project


def write_card(project: Path, served: Path, **other: str) -> None:
    digests = {
        "package": sha256((served / "made-1.0-py3-none-any.whl").read_bytes()),
        "code": sha256((served / "turner-1.0-py3-none-any.whl").read_bytes()),
        "raw": sha256(WEIGHTS),
    }
    text = CARD.format(**{**digests, **other})
    (project / "models" / "made.toml").write_text(text, encoding="utf-8")


def change_recipe(project: Path, old: str, new: str) -> None:
    path = project / "edge" / "recipes" / "turned.py"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_conversion(project: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_cache / "models" / "made" / "made.onnx"
    assert edgekit(project, "models", "fetch", "made") == (0, f"{path}\n", "turned 7 bytes\n")
    assert path.read_bytes() == b"sthgiew"
    assert sorted(p.name for p in path.parent.iterdir()) == ["fetched.json", "made.onnx"]
    serve_nothing(monkeypatch)
    assert edgekit(project, "models", "fetch", "made") == (0, f"{path}\n", "turned 7 bytes\n")


def test_changed_file_is_made_anew(project: Path, own_cache: Path) -> None:
    path = own_cache / "models" / "made" / "made.onnx"
    edgekit(project, "models", "fetch", "made")
    path.write_bytes(b"changed")
    edgekit(project, "models", "fetch", "made")
    assert path.read_bytes() == b"sthgiew"


def test_changed_recipe_makes_anew(project: Path, own_cache: Path) -> None:
    edgekit(project, "models", "fetch", "made")
    change_recipe(project, "turned(raw)", "turned(raw).upper()")
    edgekit(project, "models", "fetch", "made")
    assert (own_cache / "models" / "made" / "made.onnx").read_bytes() == b"STHGIEW"


@pytest.mark.parametrize(
    ("digest", "complaint"),
    [
        ("package", "error: made 1.0: its digest is not the pinned one\n"),
        ("code", "error: turner 1.0: its digest is not the pinned one\n"),
        ("raw", "error: made-1.0-py3-none-any.whl: made/weights.bin: its SHA-256 is "),
    ],
)
def test_wrong_digest(
    digest: str, complaint: str, project: Path, own_cache: Path, tmp_path: Path
) -> None:
    write_card(project, tmp_path / "served", **{digest: sha256(b"another")})
    status, output, told = edgekit(project, "models", "fetch", "made")
    assert (status, output) == (4, "")
    assert told.startswith(complaint)
    assert [p.name for p in (own_cache / "models").iterdir()] == [".made.lock"]


FAILURES = {
    "raises": (
        "    from turner",
        "    raise ValueError('no such layer')\n    from turner",
        (6, "error: converting made: the child ended with status 1 and no answer\n"),
    ),
    "makes nothing": ("made.onnx", "other.onnx", (4, "error: made.onnx was not made\n")),
    "says why": (
        "    from turner",
        "    from edge.errors import ModelError\n    raise ModelError('too far off')\n    from turner",
        (4, "error: converting made: too far off\n"),
    ),
}


@pytest.mark.parametrize(("old", "new", "ending"), FAILURES.values(), ids=FAILURES)
def test_failed_conversion(
    old: str, new: str, ending: tuple[int, str], project: Path, own_cache: Path
) -> None:
    change_recipe(project, old, new)
    status, output, complaint = edgekit(project, "models", "fetch", "made")
    assert (status, output, complaint.splitlines(keepends=True)[0]) == (ending[0], "", ending[1])
    assert "Traceback" not in complaint
    assert [p.name for p in (own_cache / "models").iterdir()] == [".made.lock"]


def test_missing_extra(project: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_recipe(project, "REQUIRES = ()", "REQUIRES = ('json', 'no_such_module')")
    serve_nothing(monkeypatch)
    assert edgekit(project, "models", "fetch", "made") == (
        9,
        "",
        (
            "error: made: this model is made by conversion, which needs no_such_module\n"
            "hint: pip install 'edgekit-deploy[convert]'\n"
        ),
    )
    assert not (own_cache / "models" / "made").exists()


def install_classical(folder: Path) -> Path:
    """Make an environment like this one plus what the extra classical has; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    (packages / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
    lock = (ROOT / "requirements" / "convert.txt").read_text(encoding="utf-8")
    wanted = [
        "scikit-learn",
        "skl2onnx",
        "scipy",
        "joblib",
        "threadpoolctl",
        "cloudpickle",
        "narwhals",
    ]
    blocks = re.split(r"\n(?=\S)", lock)
    chosen = [block for block in blocks if block.split("==")[0] in wanted]
    assert len(chosen) == len(wanted)
    listing = folder / "classical.txt"
    listing.write_text("\n".join(chosen) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", str(listing)], check=True)
    return python


@pytest.mark.network
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the lock is for Python 3.11")
def test_classical_models(own_cache: Path, tmp_path: Path) -> None:
    python = install_classical(tmp_path / "venv")
    status, output, complaint = edgekit(ROOT, "models", "fetch", "digits-classical", python=python)
    assert status == 0, complaint
    lines = complaint.splitlines()
    assert lines[0] == "trained with scikit-learn 1.9.1, skl2onnx 1.20.0"
    for line, name in zip(lines[1:], ("logistic-regression", "random-forest"), strict=True):
        said = re.fullmatch(
            name + r": (\S+)% of 450 held-out digits right, (\S+)% the same label as scikit-learn",
            line,
        )
        assert said is not None, line
        assert float(said[1]) > 95
        assert float(said[2]) >= 99.3
    backend = backend_for_format("onnx")
    for path in output.splitlines():
        session = backend.open(path, SessionConfig(backend=backend.name, threads=1))
        labels, scores = session.run({"pixels": np.zeros((1, 64), np.float32)})
        assert labels.shape == (1,)
        assert scores.shape == (1, 10)
