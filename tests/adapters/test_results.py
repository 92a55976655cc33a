"""Result files are written whole, read back without loss, and refused with the exact reason."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.adapters.results import Results, load_result, load_results, save_result
from edge.errors import ConfigError, HostError
from edge.records.host import HostFacts, HostState
from edge.records.measurement import Measurement, ModelRef, RuntimeRef, SessionConfig
from edge.records.model import ModelInfo
from edge.records.verdict import Verdict
from edge.records.workload import Workload

STATE = HostState(
    clock_hz=None, governor=None, temperature_celsius=None, load_1min=None,
    memory_available_bytes=None,
)  # fmt: skip
MEASUREMENT = Measurement(
    provenance="measured", started_unix_ns=1, edgekit_version="0.1.0", target=None,
    model=ModelRef(name="net.onnx", format="onnx", sha256="ab" * 32, file_bytes=1),
    config=SessionConfig(backend="onnxruntime", threads=1),
    runtime=RuntimeRef(distribution="onnxruntime", version="1", providers=(), threads=1),
    host=HostFacts(
        machine="x86_64", system="Linux", libc=None, python="3.11", cpu_model=None,
        cpu_features=(), cores_online=1, cores_allowed=1, cpu_quota=None, memory_bytes=None,
        memory_available_bytes=None, memory_limit_bytes=None, board=None,
    ),
    before=STATE, after=STATE, import_ns=1, load_ns=1, first_inference_ns=1, warmup_ns=(),
    latencies_ns=(1, 2), peak_memory_bytes=None, memory_before_load_bytes=None, flaws=(),
)  # fmt: skip
MODEL = ModelInfo(
    name="net.onnx", format="onnx", sha256="ab" * 32, file_bytes=1, external_files=(),
    producer="", ir_version=8, opsets=(), operator_versions=(), inputs=(), outputs=(),
    parameters=0, weights_bytes=0, peak_activation_bytes=None, precision="fp32",
    looks_like="nothing", custom_operators=(), operators=(), risks=(),
)  # fmt: skip
VERDICT = Verdict(
    answer="nothing-fits", chosen=None, reason="none", model="net.onnx", model_sha256="ab" * 32,
    workload=Workload(), candidates=(), crossovers=(), plotted_targets=(), cost_points=(),
    assumptions=(), next_command=None, edgekit_version="0.1.0",
)  # fmt: skip


def test_every_kind_comes_back_without_loss(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    names = [save_result(r, folder, "net").name for r in (MODEL, MEASUREMENT, VERDICT)]
    assert names == ["net.model.json", "net.measurement.json", "net.verdict.json"]
    assert load_results(folder) == Results(
        models=(MODEL,), measurements=(MEASUREMENT,), verdicts=(VERDICT,)
    )
    assert load_result(Verdict, folder / "net.verdict.json") == VERDICT


def test_a_folder_is_read_in_the_order_of_the_names_and_the_rest_is_left_alone(
    tmp_path: Path,
) -> None:
    for stem, reason in (("b", "second"), ("a", "first")):
        changed = {**_document(VERDICT), "reason": reason}
        (tmp_path / f"{stem}.verdict.json").write_text(json.dumps(changed), encoding="utf-8")
    (tmp_path / "notes.json").write_text("{", encoding="utf-8")
    (tmp_path / "report.html").write_text("", encoding="utf-8")
    assert [v.reason for v in load_results(tmp_path).verdicts] == ["first", "second"]


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    one = save_result(VERDICT, tmp_path / "a", "x")
    other = save_result(MODEL, tmp_path / "b", "x")
    found = load_results(one, tmp_path / "a", other)
    assert found == Results(models=(MODEL,), measurements=(), verdicts=(VERDICT,))


def _document(record: Verdict) -> dict[str, object]:
    from edge.records.codec import to_dict

    return to_dict(record)


def _spoilt(change: Callable[[dict[str, object]], object]) -> str:
    document = _document(VERDICT)
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            "", "{}: not JSON: Expecting value: line 1 column 1 (char 0)", id="empty"
        ),
        pytest.param(
            '{"a": 1', "{}: not JSON: Expecting ',' delimiter: line 1 column 8 (char 7)", id="cut"
        ),
        pytest.param("[]", "{}: expected a table, got a list", id="a list"),
        pytest.param("{}", "{}: schema_version: missing key", id="no version"),
        pytest.param(
            _spoilt(lambda d: d.update(schema_version="2.0")),
            "{}: schema_version: version 2.0 is newer than this edgekit reads (1.0)",
            id="newer major version",
        ),
        pytest.param(
            _spoilt(lambda d: d.update(answer="maybe")),
            "{}: answer: must be one of edge, cloud-cpu, cloud-gpu, undecided, nothing-fits, "
            "got 'maybe'",
            id="no such answer",
        ),
        pytest.param(
            _spoilt(lambda d: d.update(chosen="rpi4")),
            "{}: chosen target rpi4 does not fit",
            id="an impossible verdict",
        ),
        pytest.param(
            _spoilt(lambda d: d.update(workload={**d["workload"], "hours_per_day": math.nan})),  # type: ignore[dict-item]
            "{}: workload.hours_per_day: not a finite number",
            id="NaN",
        ),
        pytest.param(
            _spoilt(lambda d: d.update(candidates=[{"low_ns": 2**63}])),
            "{}: candidates[0].low_ns: larger than 64 bits",
            id="a number that no clock gives",
        ),
        pytest.param(
            '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", None, id="nested without end"
        ),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, content: str, message: str | None) -> None:
    path = tmp_path / "x.verdict.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_results(tmp_path)
    if message is not None:
        assert str(caught.value) == message.format(path)


def test_a_place_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no result files there") as empty:
        load_results(tmp_path)
    assert empty.value.hint == "edgekit probe and edgekit advise write them with --output"
    missing = tmp_path / "missing"
    with pytest.raises(ConfigError, match=r"missing: no such file or folder$"):
        load_results(missing)
    other = tmp_path / "x.json"
    other.write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"x\.json: not a result file$") as wrong:
        load_results(other)
    assert wrong.value.hint == "result files are *.model.json, *.measurement.json, *.verdict.json"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(HostError, match=r"taken/results: not a directory$"):
        save_result(VERDICT, tmp_path / "taken" / "results", "x")


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    (tmp_path / "x.verdict.json").mkdir()
    with pytest.raises(HostError, match=r"x\.verdict\.json: is a directory$"):
        save_result(VERDICT, tmp_path, "x")
    assert [p.name for p in tmp_path.iterdir()] == ["x.verdict.json"]
