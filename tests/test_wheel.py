"""The wheel that the project builds works alone, in an empty environment, from anywhere."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (path,) = folder.glob("edgekit_deploy-*.whl")
    return path


def test_targets_cards_and_schemas_are_inside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("targets", "models"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                assert f"edge/_data/{path.relative_to(ROOT).as_posix()}" in names
    assert {f"edge/schemas/{p.name}" for p in (ROOT / "edge" / "schemas").iterdir()} <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


@pytest.mark.network
@pytest.mark.timeout(900)
def test_it_works_alone(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    lock = ROOT / "requirements" / "host.txt"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--require-hashes", "--requirement", str(lock)], check=True)
    # Without --no-deps: pip refuses if the wheel asks for anything that the lock does not give.
    subprocess.run([*install, "--no-index", str(wheel)], check=True)

    def edgekit(*arguments: str) -> str:
        command = [str(python.with_name("edgekit")), *arguments]
        place = tmp_path / "elsewhere"
        place.mkdir(exist_ok=True)
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    targets = {
        target["name"] for target in json.loads(edgekit("targets", "list", "--json"))["targets"]
    }
    assert targets == {path.stem for path in (ROOT / "targets").glob("*.toml")}
    cards = {card["name"] for card in json.loads(edgekit("models", "list", "--json"))["models"]}
    assert cards == {path.stem for path in (ROOT / "models").glob("*.toml")}
    assert json.loads(edgekit("inspect", "--json"))["model"]["format"] == "onnx"
    probed = json.loads(edgekit("probe", "--min-time", "0.1", "--json"))
    assert probed["provenance"] == "measured"
