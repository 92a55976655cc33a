"""What of edgekit and of this machine decides over a bundle's bytes."""

import shutil
import sys
from pathlib import Path

import pytest

import edge
from edge.adapters.fingerprint import (
    file_digest,
    installed_distributions,
    machine_facts,
    own_digest,
    unchanged_file,
)
from edge.errors import ModelError

OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this checkout's modules, targets and cards that edgekit takes for itself."""
    package = Path(edge.__file__).parent
    place = tmp_path / "checkout"
    shutil.copytree(package, place / "edge", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("targets", "models"):
        (place / name).mkdir()
        for file in (package.parent / name).glob("*.toml"):
            shutil.copy(file, place / name)
    monkeypatch.setattr(edge, "__file__", str(place / "edge" / "__init__.py"))
    return place


@pytest.mark.parametrize(
    "changed",
    ["edge/device/main.py", "edge/cli/package.py", "targets/rpi4.toml", "models/digits-cnn.toml"],
)
def test_any_changed_file_of_edgekit_is_noticed(checkout: Path, changed: str) -> None:
    before = own_digest()
    assert own_digest() == before
    with (checkout / changed).open("a") as file:
        file.write("# changed\n")
    assert own_digest() != before


def test_a_new_module_is_noticed_and_bytecode_is_not(checkout: Path) -> None:
    before = own_digest()
    (checkout / "edge" / "__pycache__").mkdir()
    (checkout / "edge" / "__pycache__" / "units.cpython-311.pyc").write_bytes(b"x")
    assert own_digest() == before
    (checkout / "edge" / "backends" / "new.py").write_text("")
    assert own_digest() != before


def test_distributions_are_named_with_their_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy-1.26.4.dist-info", "numpy", "old-1.egg-info"):
        (tmp_path / name).mkdir()
    places = [str(tmp_path), str(tmp_path / "none"), str(tmp_path)]
    monkeypatch.setattr(sys, "path", places)
    assert installed_distributions() == ["numpy-1.26.4.dist-info", "old-1.egg-info"]


def test_a_file_is_unchanged_only_with_size_and_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert file_digest(path) == OF_ABC
    assert unchanged_file(path, OF_ABC)
    assert unchanged_file(path, OF_ABC, 3)
    assert not unchanged_file(path, OF_ABC, 4)
    assert not unchanged_file(path, "0" * 64, 3)
    assert not unchanged_file(tmp_path / "none", OF_ABC, 3)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert not unchanged_file(link, OF_ABC, 3)
    with pytest.raises(ModelError, match="a symbolic link, which edgekit does not follow"):
        file_digest(link)


def test_limits_of_this_machine_count_only_where_it_is_the_target() -> None:
    assert set(machine_facts(as_target=True)) - set(machine_facts(as_target=False)) == {
        "threads",
        "memory",
    }
