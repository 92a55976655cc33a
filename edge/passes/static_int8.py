"""Static int8: weights and activations in 8 bits, ranges from calibration data, as ONNX Q/DQ.

Options (all may be left out):

- method: "minmax", "entropy" or "percentile" (the default; `percentile` says which, 99.99)
- per_channel: a scale for each output channel of the weights (true)
- activations: "uint8" or "int8"; symmetric: their zero points in the middle (false)
- reduce_range: weights of 7 bits, for processors whose int8 sums overflow (false)
- nodes_in_float: names of nodes that stay in float
- keep_float: "none" or "measured"; float_budget: how much may stay in float then, below 1 a part of
  the multiply-accumulates (0.1), else a number of layers
- samples: how many of the calibration's samples to use at most (all)

`request["cache"]`, a folder, keeps the ranges for the next variant of the same model and data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from edge.errors import ModelError, UsageError, printable

if TYPE_CHECKING:
    from edge.passes._int8_index import GraphIndex
    from edge.passes._int8_plan import Int8Plan
    from edge.passes._int8_scales import Int8Form
    from edge.passes._kept_range import Method, Spread
    from edge.passes._sensitivity import FloatLayers

REQUIRES = ("onnx", "onnxruntime")
EXTRA = None

_FILE: Final = "static-int8.onnx"
_CHOICES: Final = {
    "method": ("minmax", "entropy", "percentile"),
    "activations": ("uint8", "int8"),
    "keep_float": ("none", "measured"),
}
_FLAGS: Final = ("per_channel", "symmetric", "reduce_range")
_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    method: "Method" = "percentile"
    percentile: float = 99.99
    per_channel: bool = True
    activations: str = "uint8"
    symmetric: bool = False
    reduce_range: bool = False
    nodes_in_float: tuple[str, ...] = ()
    keep_float: str = "none"
    float_budget: float = 0.1
    samples: int | None = None


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write static-int8.onnx.

    Raises:
        UsageError: an option or the calibration data are wrong.
        ModelError: the model has nothing that computes in int8, or cannot be quantised.
    """
    from edge.passes._calibration import samples_of
    from edge.passes._graph import write_graph
    from edge.passes._int8_gates import gated
    from edge.passes._int8_index import index_graph
    from edge.passes._int8_plan import plan_int8
    from edge.passes._int8_prepare import prepare
    from edge.passes._int8_scales import Int8Form
    from edge.passes._int8_write import write_int8
    from edge.passes._kept_range import ranges_of
    from edge.passes._sensitivity import choose_float

    options = _options(request["options"])
    if request["calibration"] is None:
        raise ModelError("static int8 needs calibration data", hint="give it: --calibration DATA")
    calibration = Path(request["calibration"])
    model = prepare(Path(request["model"]))
    index = index_graph(model)
    feeds = samples_of(calibration, model)
    feeds = feeds[:: max(1, len(feeds) // (options.samples or len(feeds)))][: options.samples]
    always = _known(options.nodes_in_float, index)
    plan = plan_int8(index, always)
    if not plan.layers:
        raise ModelError("the model has no Conv, Gemm or MatMul with constant weights")
    spreads, reused = _spreads(request, options, index, feeds)
    ranges = ranges_of(spreads, options.method, options.percentile)
    for name, least in gated(index).items():
        if name in ranges:
            ranges[name] = (max(ranges[name][0], least), max(ranges[name][1], 0.0))
    form = Int8Form(
        activations=options.activations,
        symmetric=options.symmetric,
        per_channel=options.per_channel,
        reduce_range=options.reduce_range,
    )
    chosen = None
    if options.keep_float == "measured":
        chosen = choose_float(
            index,
            ranges,
            form,
            feeds,
            always=always,
            budget=options.float_budget,
            threads=request["threads"],
        )
    in_float = (*always, *(chosen.names if chosen else ()))
    final = plan_int8(index, in_float, ranges)
    if not final.layers:
        raise ModelError("all layers would stay in float")
    name = write_graph(write_int8(index, final, ranges, form), Path(request["folder"]), _FILE)
    notes = _notes(options, form, index, final, len(feeds), reused=reused)
    return {"file": name, "notes": notes + _float_notes(chosen, always)}


def _options(given: Mapping[str, Any]) -> _Options:
    known = _Options.__dataclass_fields__
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"static_int8 has no option {printable(unknown[0])}")
    for key, choices in _CHOICES.items():
        if key in given and given[key] not in choices:
            got = printable(given[key])
            raise UsageError(f"{key} must be one of {', '.join(choices)}, got {got}")
    for key in _FLAGS:
        if not isinstance(given.get(key, False), bool):
            raise UsageError(f"{key} must be true or false, got {printable(given[key])}")
    _check_number(given, "percentile", 50, 100)
    _check_number(given, "float_budget", 0, 1e6)
    _check_number(given, "samples", 1, 1e9)
    values = dict(given)
    values["nodes_in_float"] = tuple(given.get("nodes_in_float", ()))
    return _Options(**values)


def _check_number(given: Mapping[str, Any], key: str, least: float, most: float) -> None:
    value = given.get(key)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        what = f"{key} must be a number from {least:g} to {most:g}, got {printable(value)}"
        raise UsageError(what)


def _known(names: tuple[str, ...], index: "GraphIndex") -> tuple[str, ...]:
    there = {node.name for node in index.nodes}
    for name in names:
        if name not in there:
            raise UsageError(f"nodes_in_float: no node has the name {printable(name)}")
    return names


def _spreads(
    request: Mapping[str, Any], options: _Options, index: "GraphIndex", feeds: Any
) -> "tuple[dict[str, Spread], bool]":
    """Calibrate, or read what another variant of this model and data left; say which."""
    from edge.passes._calibration import (
        cached_spreads,
        calibrate,
        spreads_key,
        store_spreads,
    )
    from edge.passes._int8_plan import calibrated_names, plan_int8

    histograms = options.method != "minmax"
    folder = None if request.get("cache") is None else Path(request["cache"])
    calibration = Path(request["calibration"])
    # All tensors that any choice of layers may need, so that every variant can use them.
    names = calibrated_names(index, plan_int8(index, ()))
    key = spreads_key(index.model, calibration, len(feeds))
    for kind in (True,) if histograms else (True, False):
        found = cached_spreads(folder, key, histograms=kind)
        if found is not None and set(names) <= set(found):
            return found, True
    spreads = calibrate(
        index.model, feeds, names, histograms=histograms, threads=request["threads"]
    )
    store_spreads(folder, key, spreads, histograms=histograms)
    return spreads, False


def _notes(
    options: _Options,
    form: "Int8Form",
    index: "GraphIndex",
    plan: "Int8Plan",
    samples: int,
    *,
    reused: bool,
) -> list[str]:
    from edge.passes._int8_plan import plan_int8

    method = options.method
    if method == "percentile":
        method = cast("Method", f"percentile {options.percentile:g}")
    again = ", read again" if reused else ""
    many = "1 sample" if samples == 1 else f"{samples} samples"
    layers = len(plan_int8(index, ()).layers)
    each = "for each channel" if form.per_channel else "for each tensor"
    bits = ", weights of 7 bits" if form.reduce_range else ""
    return [
        f"ranges by {method} of {many}{again}",
        (
            f"{len(plan.layers)} of {layers} layers with weights compute in 8-bit integers"
            f" ({form.activations} activations, a weight scale {each}{bits})"
        ),
    ]


def _float_notes(chosen: "FloatLayers | None", always: tuple[str, ...]) -> list[str]:
    notes = [f"left in float as told: {_listed(always)}"] if always else []
    if chosen is None:
        return notes
    if not chosen.names:
        return [*notes, "no layer left in float: none lowers the error of the outputs enough"]
    return [
        *notes,
        (
            f"left in float as measured: {_listed(chosen.names)}"
            f" ({chosen.macs_part:.1%} of the multiply-accumulates); the error of the outputs falls"
            f" from {chosen.before:.2g} to {chosen.after:.2g}"
        ),
    ]


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(printable(name) for name in names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
