import importlib
from importlib import metadata
from pathlib import Path

import pytest

from edge.device.distributions import installed_version


def test_it_is_what_python_itself_says() -> None:
    assert installed_version("onnxruntime", "onnxruntime") == metadata.version("onnxruntime")
    assert installed_version("numpy", "numpy") == metadata.version("numpy")


@pytest.mark.parametrize(
    ("folder", "version"),
    [
        ("own_pack-1.2.3.dist-info", "1.2.3"),
        ("Own.Pack-1.2.dist-info", "1.2"),
        ("own_pack-1.2-py3.11.egg-info", "1.2"),
        ("own_pack_more-9.dist-info", None),
        ("own_pack.dist-info", None),
    ],
)
def test_the_folder_of_its_metadata_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, version: str | None
) -> None:
    (tmp_path / "own_module").mkdir()
    (tmp_path / "own_module" / "__init__.py").touch()
    (tmp_path / folder).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert installed_version("own-pack", "own_module") == version


def test_a_module_that_is_not_there_has_none() -> None:
    assert installed_version("nothing", "no_such_module") is None
