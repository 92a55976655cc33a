"""A search that was interrupted goes on where it was, and keeps what it had finished."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_advice import measurement
from test_facts import HERE
from test_searching import MS, Queue

from edge.device.journal import Journal, read_journal
from edge.device.remembered import remembered, search_identity
from edge.device.searching import highest_load
from edge.errors import ConfigError, HostError
from edge.records.measurement import Measurement, SessionConfig
from edge.records.scenario import Scenario

IDENTITY = search_identity("0" * 64, SessionConfig("onnxruntime", 2), {"min_s": 5.0}, HERE)


class Interrupted(Queue):
    """A queue that measures the same every time it is asked the same, and stops after a while."""

    def __init__(self, after: int | None) -> None:
        super().__init__(queries=700)
        self.after = after

    def __call__(self, scenario: Scenario) -> Measurement:
        if self.after is not None and len(self.asked) == self.after:
            raise KeyboardInterrupt
        asked = [*self.asked, scenario]
        # As far as a run's luck goes: it is the scenario's, not that of how often it was asked.
        self.asked = []
        found = super().__call__(scenario)
        self.asked = asked
        return found


@pytest.mark.parametrize("after", [0, 1, 3])
def test_an_interrupted_search_arrives_where_it_would_have(tmp_path: Path, after: int) -> None:
    path = str(tmp_path / "x.jsonl")
    whole = Interrupted(None)
    with remembered(whole, str(tmp_path / "y.jsonl"), IDENTITY, resume=False) as asked:
        expected = highest_load(asked, 50 * MS)
    assert len(whole.asked) > after
    first, second = Interrupted(after), Interrupted(None)
    with (
        pytest.raises(KeyboardInterrupt),
        remembered(first, path, IDENTITY, resume=False) as asked,
    ):
        highest_load(asked, 50 * MS)
    with remembered(second, path, IDENTITY, resume=True) as asked:
        assert highest_load(asked, 50 * MS) == expected
    assert first.asked + second.asked == whole.asked


def test_what_was_measured_otherwise_is_measured_again(tmp_path: Path) -> None:
    path = str(tmp_path / "x.jsonl")
    one = Scenario("server", target_qps=5.0)
    queue = Interrupted(None)
    with remembered(queue, path, IDENTITY, resume=False) as asked:
        found = asked(one)
    for resume, identity, again in (
        (True, IDENTITY, 0),
        (True, {**IDENTITY, "model_sha256": "1" * 64}, 1),
        # A new search forgets; and what it forgot stays forgotten.
        (False, IDENTITY, 1),
    ):
        before = len(queue.asked)
        with remembered(queue, path, identity, resume=resume) as asked:
            assert asked(one) == found
        assert len(queue.asked) == before + again


def test_a_run_is_on_the_disk_before_it_is_used(tmp_path: Path) -> None:
    path = str(tmp_path / "x.jsonl")
    with remembered(lambda _s: measurement(), path, IDENTITY, resume=False) as asked:
        asked(Scenario())
        kept = [told["search"] for told in read_journal(path)]
        assert kept == ["start", "run"]
        with pytest.raises(HostError), remembered(asked, path, IDENTITY, resume=True):
            pass


def test_a_damaged_run_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "x.jsonl")
    with Journal.open(path) as journal:
        journal.append({"search": "run", "identity": IDENTITY})
    with (
        pytest.raises(ConfigError, match="a run of the search lacks 'asked'"),
        remembered(lambda _s: measurement(), path, IDENTITY, resume=True),
    ):
        pass


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "edge", "probe", "--find-load", "--limit-ms", "5000", "--threads",
        "1", "--min-time", "0.5", "--max-time", "2", "--min-queries", "20", "--warm-up", "1",
    ]  # fmt: skip
    journal = tmp_path / "results" / "digits-cnn-fp32.load-search.jsonl"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (journal.exists() and len(_runs(journal)) >= 1):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    finished = _runs(journal)
    assert finished
    done = subprocess.run(
        [*command, "--resume"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert _runs(journal)[: len(finished)] == finished


def _runs(path: Path) -> list[object]:
    return [told["measurement"] for told in read_journal(str(path)) if told.get("search") == "run"]
