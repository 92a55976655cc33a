"""What every test gets: a cache of its own, so that no test depends on what was fetched before."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

# No test depends on how fast the machine is, nor on what an earlier run happened to find.
settings.register_profile("edgekit", deadline=None, database=None)
settings.load_profile("edgekit")

# A shell that starts the tests in the background lets them ignore SIGINT, and every program that
# they start would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs the extras, unless the environment is one that has them all."""
    if os.environ.get("EDGEKIT_EXTRAS"):
        return
    reason = "needs the extras: set EDGEKIT_EXTRAS where they are installed"
    for item in items:
        if item.get_closest_marker("extras") is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("EDGEKIT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the tests that download, so that a wheel is downloaded once a run."""
    return tmp_path_factory.mktemp("shared-cache")
