"""A thousand malformed models, through what `inspect` and `probe` do with a model.

Each ends in one clear error of edgekit's, or is measured; no crash of ours, no hang, and no more
memory than a child is allowed. Crashes of a runtime are findings about the model, decoded.
"""

import hashlib
import os
import re
import resource
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import malformed_models
import pytest
from malformed_models import COUNT, Malformed

from edge.device import probe as device_probe
from edge.device.parent import Limits
from edge.device.probe import ProbeOptions
from edge.errors import EdgekitError, printable
from edge.records.measurement import Measurement
from edge.records.model import ModelInfo
from edge.workflows import inspect as inspection
from edge.workflows.inspect import inspect_model
from edge.workflows.probe import probe_model
from edge.workflows.probe_request import ProbeRequest

# Set it to measure every model that inspect accepts; otherwise a sixth of them.
_ALL = "EDGEKIT_ALL_MALFORMED"
# Real models are described within a second, and measured as briefly as here within two.
_INSPECT_S, _PROBE_S = 60.0, 10.0
# What a child of inspect is allowed, and what all these answers may take here.
_INSPECT_BYTES, _SOME_BYTES = 1536 << 20, 100 << 20
_REQUEST = ProbeRequest(
    options=ProbeOptions(min_s=0.0, max_s=0.3, min_queries=1, warmup_queries=0), threads=1
)
# A reference to the model itself is one to a plain file beside it.
_RIGHT = ["location 'm.onnx'", "size 0"]


@dataclass(frozen=True)
class End:
    """How one case ended: an error, or what was found."""

    case: Malformed
    error: EdgekitError | None
    info: ModelInfo | None = None
    measurement: Measurement | None = None

    @property
    def kind(self) -> str:
        return type(self.error).__name__ if self.error else "accepted"


def ended(case: Malformed) -> End:
    """Inspect the case; whatever is no error of edgekit's is left to fail the test."""
    try:
        return End(case, None, info=inspect_model(case.path))
    except EdgekitError as error:
        return End(case, error)


def probed(end: End) -> End:
    assert end.info is not None
    try:
        made = probe_model(end.case.path, end.info, _REQUEST)
        return End(end.case, None, info=end.info, measurement=made)
    except EdgekitError as error:
        return End(end.case, error, info=end.info)


def in_pairs(work: Callable[[Any], End], cases: Iterable[Any]) -> list[End]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, cases))


def resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def children_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> list[End]:
    cases = malformed_models.write_all(tmp_path_factory.mktemp("malformed"))
    assert len(cases) == COUNT
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inspection, "Limits", partial(Limits, wall_s=_INSPECT_S))
        before, peak = resident_bytes(), children_peak_bytes()
        ends = in_pairs(ended, cases)
        assert resident_bytes() - before < _SOME_BYTES
        assert children_peak_bytes() <= max(peak, _INSPECT_BYTES)
    return ends


def unclear(end: End) -> Iterator[str]:
    """Say what a user could not make sense of in an error."""
    error = end.error
    assert error is not None
    for text in (str(error), error.hint or ""):
        if not text.isprintable() or len(text) > 1500:
            yield "odd characters, or too long"
        if "Traceback" in text or re.search(r"last words: \w*(Error|Exception)\b", text):
            yield "Python's own words"
    names = (printable(end.case.path, 500), printable(end.case.path.name), "w.bin")
    if not str(error).startswith(names):
        yield "no file"
    if type(error) is EdgekitError:
        yield "no family"


def test_each_is_described_or_refused(inspected: list[End]) -> None:
    assert {end.kind for end in inspected} == {"accepted", "ModelError"}
    refused = [end for end in inspected if end.error is not None]
    assert {end.case.name: list(unclear(end)) for end in refused if list(unclear(end))} == {}
    counts = Counter((end.case.kind, end.kind) for end in inspected)
    # What leads outside or is no file is never a model; two references are right after all.
    always = ("path", "lookalike", "cut off", "inserted", "bytes gone")
    assert [kind for kind in always if counts[kind, "accepted"]] == []
    accepted = [e.case.name for e in inspected if e.case.kind == "external" and e.error is None]
    assert [name.partition(": ")[2] for name in accepted] == _RIGHT
    assert counts["flipped", "accepted"] > 20
    assert counts["flipped", "ModelError"] > 20


def test_what_is_described_is_this_file(inspected: list[End]) -> None:
    for end in inspected:
        if end.info is not None:
            content = end.case.path.read_bytes()
            assert end.info.sha256 == hashlib.sha256(content).hexdigest()
            with_data = len(content) + sum(
                (end.case.path.parent / name).stat().st_size for name in end.info.external_files
            )
            assert end.info.file_bytes == with_data
            sizes = (end.info.parameters, end.info.weights_bytes, end.info.peak_activation_bytes)
            assert min(size or 0 for size in sizes) >= 0, end.case.name


def test_each_that_is_accepted_runs_or_fails_clearly(
    inspected: list[End], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_probe, "_START_UP_S", _PROBE_S)
    accepted = [end for end in inspected if end.info is not None]
    before = resident_bytes()
    ends = in_pairs(probed, accepted[:: 1 if os.environ.get(_ALL) else 6])
    assert resident_bytes() - before < _SOME_BYTES
    failed = [end for end in ends if end.error is not None]
    # Free dimensions are the caller's to fill in.
    assert {end.kind for end in ends} - {"UsageError"} == {"accepted", "RuntimeFailure"}
    assert {end.case.name: list(unclear(end)) for end in failed if list(unclear(end))} == {}
    for end in ends:
        if end.measurement is not None and end.info is not None:
            assert end.measurement.model.sha256 == end.info.sha256
            assert len(end.measurement.latencies_ns) >= 1
    # Only what claims to be endless, or larger than most memories, may take up all its time.
    hanging = [e.case.name for e in failed if "no answer within" in str(e.error)]
    assert [name for name in hanging if not re.search(r"\d{10}|tflite, .* of \d", name)] == []
