"""Estimates against hand computation, and how they widen for what was not calibrated."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_advice import calibration, info, operator, support, target

from edge.reasoning.roofline import estimate, runs_on_gpu
from edge.records.estimate import Estimate
from edge.records.model import ModelInfo
from edge.records.target import Target, TargetRuntime

MS = 1_000_000


def of(model: ModelInfo, on: Target, **options: Any) -> Estimate:
    return estimate(model, on, support(on)[0], **options)


def test_the_interval_is_the_work_over_the_rates() -> None:
    found = of(info(macs=100_000_000), target())
    # 100 M MACs at 8, 4 and 2 GMAC/s; no overheads in this calibration.
    assert (found.low_ns, found.typical_ns, found.high_ns) == (12.5 * MS, 25 * MS, 50 * MS)
    assert found.calibrated
    assert found.bound == "compute"
    assert found.basis == "16 published rows (ncnn)"
    assert (found.threads, found.runtime) == (4, "onnxruntime 1.32.0")


def test_the_overheads_enter_the_upper_end_more_than_the_typical() -> None:
    costly = calibration(2, 4, 8, per_operator_ns=1e6, per_query_ns=4e6)
    found = of(info(macs=8_000_000, operators=8), target(calibrations=(costly,)))
    # Compute takes 1, 2 and 4 ms; eight operators cost 8 ms, a query up to 4.
    assert found.high_ns == pytest.approx(4 * MS + 1.5 * 8 * MS + 4 * MS)
    assert found.typical_ns == pytest.approx(2 * MS + 8 * MS + 1 * MS)
    assert found.low_ns == pytest.approx(1 * MS + 0.04 * MS)
    assert found.bound == "overhead"
    batched = of(info(macs=8_000_000, operators=8), target(calibrations=(costly,)), batch=4)
    assert batched.high_ns == pytest.approx(4 * MS + (1.5 * 8 * MS + 4 * MS) / 4)


def test_weights_that_no_cache_holds_are_streamed() -> None:
    heavy = info(macs=1_000_000, weights_bytes=800_000_000)
    found = of(heavy, target())
    # 800 MB at 8 GB/s, and at three times that for a floor.
    assert found.typical_ns == 100 * MS
    assert found.low_ns == pytest.approx(100 * MS / 3)
    assert found.high_ns == 100 * MS
    assert found.bound == "memory"


@pytest.mark.parametrize(
    ("model", "on", "reason"),
    [
        (info(macs=None), target(), "the shapes are not all known"),
        (info(macs=0), target(), "the model has no multiply-accumulates"),
        (info(), target(calibrations=()), "no published fp32 figures"),
        (info(precision="int8"), target(), "no published int8 figures"),
    ],
)
def test_without_a_calibration_there_is_only_a_floor(
    model: ModelInfo, on: Target, reason: str
) -> None:
    found = of(model, on)
    assert not found.calibrated
    assert (found.typical_ns, found.high_ns) == (None, None)
    assert reason in found.basis


def test_the_floor_is_the_peak_with_winograd_for_convolutions_alone() -> None:
    bare = target(calibrations=())
    # Four cores of 1 GHz with 8 FLOPs a cycle: 16 GMAC/s.
    assert of(info(macs=36_000_000), bare).low_ns == MS
    products = info(operators=1, macs=16_000_000)
    products = dataclasses.replace(products, operators=(operator("matmul", 16_000_000),))
    assert of(products, bare).low_ns == MS


def test_no_estimate_is_below_the_floor() -> None:
    boastful = target(calibrations=(calibration(2, 400, 4000),))
    assert of(info(macs=36_000_000), boastful).low_ns == MS


def model_of(kind: str, **changes: Any) -> ModelInfo:
    return dataclasses.replace(info(**changes), operators=(operator(kind, 100_000_000),))


@pytest.mark.parametrize(
    ("model", "slower", "reason"),
    [
        (model_of("matmul"), 2.0, "mostly matrix products"),
        (model_of("recurrent"), 4.0, "recurrent layers"),
        (model_of("depthwise"), 1.5, "mostly depthwise convolutions"),
        (model_of("dense", precision="fp16"), 4.0, "fp16 computed in fp32"),
        (model_of("dense", precision="fp16", format="tflite"), 1.3, "fp16 computed in fp32"),
        (model_of("dense", precision="int8"), 2.0, "int8 in onnxruntime"),
    ],
)
def test_what_is_unlike_the_rows_widens_the_interval(
    model: ModelInfo, slower: float, reason: str
) -> None:
    int8 = calibration(2, 4, 8, precision="int8")
    on = target(calibrations=(calibration(2, 4, 8), int8))
    found = of(model, on)
    assert found.high_ns == pytest.approx(50 * MS * slower)
    assert found.basis.endswith(f"widened: {reason}")


def test_int8_that_is_quantised_at_run_time_may_be_ten_times_slower() -> None:
    model = info(precision="int8", operators=2)
    dynamic = (*model.operators, operator("elementwise", 0, op_type="DynamicQuantizeLinear"))
    on = target(calibrations=(calibration(2, 4, 8, precision="int8"),))
    found = of(dataclasses.replace(model, operators=dynamic), on)
    assert found.high_ns == 500 * MS


def test_int8_in_the_old_tflite_on_x86_64() -> None:
    runtime = TargetRuntime(backend="tflite", distribution="tflite-runtime", version="2.14.0")
    on = target(
        "cloud",
        "cloud-cpu",
        runtimes=(runtime,),
        calibrations=(calibration(2, 4, 8, precision="int8"),),
    )
    assert of(info(precision="int8", format="tflite"), on).high_ns == 1000 * MS


def test_mixed_precision_takes_both_ends() -> None:
    both = (calibration(2, 4, 8), calibration(10, 20, 40, precision="int8"))
    found = of(info(precision="mixed", format="tflite"), target(calibrations=both))
    assert (found.low_ns, found.high_ns) == (pytest.approx(2.5 * MS), 50 * MS)


def test_a_gpu_is_used_by_its_runtime_alone() -> None:
    gpu = target("gpu", "cloud-gpu", calibrations=(calibration(200, 2000, 4000),))
    assert runs_on_gpu(gpu, support(gpu)[0])
    found = of(info(), gpu)
    assert (found.low_ns, found.high_ns, found.threads) == (25_000, 500_000, 1)
    cpu = TargetRuntime(backend="tflite", distribution="ai-edge-litert", version="2.3.0")
    beside = dataclasses.replace(gpu, runtimes=(cpu,))
    assert not runs_on_gpu(beside, support(beside)[0])
    # What a GPU reaches says nothing of the processor beside it.
    assert not of(info(), beside).calibrated


def test_memory_is_between_the_weights_and_twice_of_them() -> None:
    found = of(info(weights_bytes=100 << 20, peak_activation_bytes=20 << 20), target())
    assert found.memory_low_bytes == (100 + 32) << 20
    assert found.memory_bytes == (2 * 100 + 30 + 130) << 20
    unknown = of(info(peak_activation_bytes=None), target())
    assert unknown.memory_bytes is None


def test_a_relative_is_named() -> None:
    on = target(calibrations=(calibration(2, 4, 8, relative="rpi4"),))
    assert of(info(), on).basis == "16 published rows of rpi4, scaled (ncnn)"


def test_loops_count_as_often_as_they_run() -> None:
    model = info(operators=1, macs=1_000_000)
    loop = dataclasses.replace(model, operators=(operator(macs=1_000_000, calls=100),))
    assert of(loop, target()).high_ns == 50 * MS


@given(st.integers(1, 10**12), st.floats(0.01, 100), st.floats(1, 10), st.floats(1, 10))
def test_the_interval_is_in_order_and_more_work_takes_longer(
    macs: int, low: float, typical: float, high: float
) -> None:
    rates = calibration(low, low * typical, low * typical * high)
    on = target(calibrations=(rates,))
    found, more = (of(info(macs=m, operators=1), on) for m in (macs, 2 * macs))
    assert found.high_ns is not None
    assert more.high_ns is not None
    assert found.low_ns <= (found.typical_ns or 0) <= found.high_ns
    assert more.low_ns >= found.low_ns
    assert more.high_ns >= found.high_ns


def test_a_board_of_the_real_targets_is_calibrated_for_a_small_network() -> None:
    from edge.adapters.targets import load_target

    board = load_target("rpi4")
    found = of(info(macs=1_000_000), board)
    # A million MACs on a Raspberry Pi 4: not below 10 µs, not above 10 ms, whatever the rows say.
    assert found.calibrated
    assert 10_000 < found.low_ns < (found.high_ns or 0) < 10 * MS


@pytest.mark.parametrize("calibrations", [(), target().calibrations])
def test_what_is_never_called_costs_nothing(calibrations: tuple[Any, ...]) -> None:
    on = target(calibrations=calibrations)
    plain = info(macs=36_000_000)
    branch = dataclasses.replace(operator("matmul", 900_000_000), calls=0)
    with_branch = dataclasses.replace(plain, operators=(*plain.operators, branch))
    assert of(with_branch, on) == of(plain, on)
