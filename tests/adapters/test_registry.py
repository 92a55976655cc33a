"""The registries' clients: exact pins, and an error that says which kind of trouble it is."""

import base64
import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from edge.adapters import registry
from edge.adapters.registry import (
    NotInRegistry,
    PackagePin,
    npm_pack,
    pip_download,
    pip_resolve,
    pip_versions,
    sha256_of,
)
from edge.errors import BundleError, HostError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel, which is all that pip may look at."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    files = {
        "tiny.py": b"",
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items())
    with zipfile.ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)
        wheel.writestr("tiny-1.0.dist-info/RECORD", record)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def test_the_pinned_file_comes(shelf: Path, tmp_path: Path) -> None:
    wheel = shelf / "tiny-1.0-py3-none-any.whl"
    pip_download([PackagePin(name="tiny", version="1.0", sha256=sha256_of(wheel))], tmp_path)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_another_digest_is_refused(shelf: Path, tmp_path: Path) -> None:
    got = tmp_path / "got"
    with pytest.raises(BundleError) as caught:
        pip_download([PackagePin(name="tiny", version="1.0", sha256="0" * 64)], got)
    assert str(caught.value) == "tiny 1.0: its digest is not the pinned one"
    assert caught.value.hint is not None
    assert not got.exists() or list(got.iterdir()) == []


def test_a_version_that_does_not_exist(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        pip_download([PackagePin(name="tiny", version="2.0", sha256="0" * 64)], tmp_path)
    assert str(caught.value) == "tiny 2.0: the registry has no such file for this platform"


def test_resolving(shelf: Path) -> None:
    (entry,) = pip_resolve(["tiny"])
    assert entry["metadata"]["name"] == "tiny"
    assert entry["metadata"]["version"] == "1.0"


def test_which_versions_there_are(shelf: Path) -> None:
    wheel = shelf / "tiny-1.0-py3-none-any.whl"
    shutil.copy(wheel, shelf / "tiny-1.10-py3-none-any.whl")
    shutil.copy(wheel, shelf / "tiny-1.9-cp38-cp38-manylinux2014_aarch64.whl")
    assert pip_versions("tiny") == ("1.10", "1.0")
    board = ["--python-version=3.8", "--platform=manylinux2014_aarch64"]
    assert pip_versions("tiny", board) == ("1.10", "1.9", "1.0")
    assert pip_versions("unheard-of") == ()


def test_what_is_not_there_is_named(shelf: Path) -> None:
    with pytest.raises(NotInRegistry) as caught:
        pip_resolve(["tiny", "unheard-of>=2"])
    assert caught.value.requirement == "unheard-of>=2"


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(HostError) as caught:
        pip_download([PackagePin(name="tiny", version="1.0", sha256="0" * 64)], tmp_path)
    assert str(caught.value) == "tiny 1.0: the package registry does not answer"
    assert caught.value.hint == "check the network and the package index that pip is configured for"


def test_no_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HostError, match="x: npm is not installed"):
        npm_pack(PackagePin(name="x", version="1", sha256="0" * 64), tmp_path)


def test_a_client_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_CLIENT_TIMEOUT_S", 0.2)
    with pytest.raises(HostError, match=r"it: no answer within 0\.2 s"):
        registry._run([sys.executable, "-c", "import time; time.sleep(60)"], "it")


def test_the_clients_own_words_are_kept() -> None:
    code = "import sys; sys.stderr.write('ERROR: odd\\x1b thing\\nmore\\n'); sys.exit(3)"
    with pytest.raises(HostError) as caught:
        registry._run([sys.executable, "-c", code], "it")
    assert str(caught.value) == "it: the package client failed: ERROR: odd\\x1b thing"
