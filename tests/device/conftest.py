"""A small bundle of a real model, made once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_bundle import (
    write_small,
)

from edge.device.bundle import Bundle, open_bundle


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "digits-host.pyz"
    write_small(path)
    return path


@pytest.fixture
def opened(small: Path) -> Iterator[Bundle]:
    with open_bundle(str(small)) as bundle:
        yield bundle
