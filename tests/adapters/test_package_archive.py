"""A pinned archive is asked for by its own tags, and only that archive is taken."""

import dataclasses
from pathlib import Path

import pytest
from made_packages import card_of, made_wheel, serve, serve_nothing, sha256

from edge.adapters.package_archive import fetch_archive, wheel_options
from edge.errors import ConfigError, HostError, ModelError

ANY = ["--only-binary=:all:", "--ignore-requires-python"]
OPTIONS = {
    "a-1-py3-none-any.whl": ANY,
    "a-1-py2.py3-none-any.whl": ANY,
    "a-1-py3-none-manylinux_2_35_x86_64.whl": [*ANY, "--platform", "manylinux_2_35_x86_64"],
    "a-1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl": [
        *ANY,
        *("--platform", "manylinux_2_27_x86_64", "--platform", "manylinux_2_28_x86_64"),
        *("--implementation", "cp", "--python-version", "3.11", "--abi", "cp311"),
    ],
    "a-1-cp39-abi3-win_amd64.whl": [
        *(*ANY, "--platform", "win_amd64"),
        *("--implementation", "cp", "--python-version", "3.9", "--abi", "abi3"),
    ],
}


@pytest.mark.parametrize(("filename", "options"), OPTIONS.items(), ids=list(OPTIONS))
def test_wheel_options(filename: str, options: list[str]) -> None:
    assert list(wheel_options(filename)) == options


def test_sdist_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        wheel_options("a-1.tar.gz")
    assert caught.value.where == "a-1.tar.gz"
    hint = "a model card names a wheel: an sdist would run code when it is downloaded"
    assert caught.value.hint == hint


def test_pinned_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = made_wheel(tmp_path / "served", "made", {"made/a": b"x"})
    serve(wheel.parent, monkeypatch)
    archive = fetch_archive(card_of(wheel, "made/a", b"x").source, tmp_path)
    assert archive == tmp_path / wheel.name
    assert archive.read_bytes() == wheel.read_bytes()


def test_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = made_wheel(tmp_path / "served", "made", {"made/a": b"x"})
    serve(wheel.parent, monkeypatch)
    source = dataclasses.replace(
        card_of(wheel, "made/a", b"x").source, package_sha256=sha256(b"another")
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ModelError) as caught:
        fetch_archive(source, folder)
    assert str(caught.value) == "made 1.0: its digest is not the pinned one"
    assert list(folder.iterdir()) == []


def test_no_such_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = made_wheel(tmp_path / "served", "made", {"made/a": b"x"})
    serve(tmp_path / "empty", monkeypatch)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError) as caught:
        fetch_archive(card_of(wheel, "made/a", b"x").source, tmp_path)
    assert str(caught.value) == "made 1.0: the registry has no such file for this platform"


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = made_wheel(tmp_path / "served", "made", {"made/a": b"x"})
    serve_nothing(monkeypatch)
    with pytest.raises(HostError) as caught:
        fetch_archive(card_of(wheel, "made/a", b"x").source, tmp_path)
    assert str(caught.value) == "made 1.0: the package registry does not answer"
