"""Between which values a model's tensors lie, on given samples.

One session gives the smallest and largest of every tensor, and, where the method cuts off what is
rare, a second one their histograms: neither keeps more than one sample's tensors.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.errors import ModelError, UsageError, printable
from edge.passes._int8_prepare import quiet_session, runtime_failures
from edge.passes._kept_range import BINS, Spread

if TYPE_CHECKING:
    import numpy as np
    import onnx


# Of a larger tensor every nth value is counted: the shape of a distribution needs no more.
_MOST_COUNTED: Final = 1 << 16
_MOST_BYTES_AT_ONCE: Final = 256 << 20


def samples_of(path: Path, model: "onnx.ModelProto") -> "list[dict[str, np.ndarray[Any, Any]]]":
    """Return the feeds that a calibration file holds, one a sample.

    Raises:
        UsageError: the file is damaged, or does not fit the model's inputs.
    """
    from edge.device.feeds import read_arrays

    arrays = read_arrays(str(path))
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights]
    missing = [name for name in names if f"input.{name}" not in arrays]
    if missing:
        raise UsageError(f"no array for the input {printable(missing[0])}", where=path)
    counts = {len(arrays[f"input.{name}"]) for name in names}
    if len(counts) != 1 or 0 in counts:
        raise UsageError("the number of samples differs or is 0", where=path)
    return [{n: arrays[f"input.{n}"][i] for n in names} for i in range(counts.pop())]


def calibrate(
    model: "onnx.ModelProto",
    feeds: "Sequence[Mapping[str, np.ndarray[Any, Any]]]",
    names: Sequence[str],
    *,
    histograms: bool,
    threads: int,
) -> dict[str, Spread]:
    """Return the spread of the tensors `names` over all samples.

    Raises:
        ModelError: the model does not run on a sample, or gives what is no finite number.
    """
    import numpy as np

    kinds = ("ReduceMin", "ReduceMax", "Size") if histograms else ("ReduceMin", "ReduceMax")
    session, outputs = _with_reductions(model, names, kinds, threads)
    low = np.full(len(names), np.inf)
    high = np.full(len(names), -np.inf)
    sizes = np.zeros(len(names), np.int64)
    for found in _runs(session, outputs, feeds):
        # A tensor with no element has no value.
        values = [float(v) if np.size(v) else 0.0 for v in found]
        low = np.minimum(low, values[0 :: len(kinds)])
        high = np.maximum(high, values[1 :: len(kinds)])
        if histograms:
            sizes = np.maximum(sizes, np.array(values[2::3], np.int64))
    for name, least, most in zip(names, low, high, strict=True):
        if not (np.isfinite(least) and np.isfinite(most)):
            what = f"{printable(name)} is not finite on the calibration data"
            raise ModelError(what, hint="other data, or a model without infinite masks")
    limits = {n: (float(a), float(b)) for n, a, b in zip(names, low, high, strict=True)}
    if not histograms:
        return {n: Spread(low=a, high=b) for n, (a, b) in limits.items()}
    counts: dict[str, Any] = {}
    for group in _groups(names, sizes):
        counts.update(_histograms(model, feeds, {n: limits[n] for n in group}, threads))
    return {n: Spread(low=a, high=b, counts=counts[n]) for n, (a, b) in limits.items()}


def _histograms(
    model: "onnx.ModelProto",
    feeds: Any,
    limits: Mapping[str, tuple[float, float]],
    threads: int,
) -> dict[str, Any]:
    import numpy as np

    names = list(limits)
    session, _ = _with_reductions(model, names, (), threads)
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for turn, found in enumerate(_runs(session, names, feeds)):
        for name, array in zip(names, found, strict=True):
            low, high = limits[name]
            if high <= low:
                continue
            counts[name] += histogram(array, low, high, turn)
    return counts


def histogram(array: Any, low: float, high: float, turn: int = 0) -> Any:
    """Count an array's values in equal bins of [low, high], every nth of them where it is large.

    `turn` moves where the counting begins, so that samples tell of different places.
    """
    import numpy as np

    values = array.reshape(-1)
    if values.size > _MOST_COUNTED:
        # An odd step meets all places of the rows and planes, which have even sizes.
        step = -(-values.size // _MOST_COUNTED) | 1
        values = values[turn % step :: step]
    places = ((values - np.float32(low)) * np.float32(BINS / (high - low))).astype(np.int32)
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)


def _groups(names: Sequence[str], sizes: Any) -> Iterator[list[str]]:
    """Split the tensors so that those of one group fit into memory together."""
    group: list[str] = []
    held = 0
    for name, size in zip(names, sizes, strict=True):
        if group and held + 4 * int(size) > _MOST_BYTES_AT_ONCE:
            yield group
            group, held = [], 0
        group.append(name)
        held += 4 * int(size)
    if group:
        yield group


def _with_reductions(
    model: "onnx.ModelProto", names: Sequence[str], kinds: Sequence[str], threads: int
) -> tuple[Any, list[str]]:
    """Open the model with the reductions of the tensors, or with none the tensors, as outputs."""
    import onnx
    from onnx import TensorProto, helper

    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    del graph.output[:]
    outputs: list[str] = []
    for number, name in enumerate(names):
        if not kinds:
            graph.output.append(onnx.ValueInfoProto(name=name))
            graph.output[-1].type.tensor_type.elem_type = TensorProto.FLOAT
        for kind in kinds:
            out = f"reduced {number} {kind}"
            more: dict[str, Any] = {} if kind == "Size" else {"keepdims": 0}
            graph.node.append(helper.make_node(kind, [name], [out], **more))
            element = TensorProto.INT64 if kind == "Size" else TensorProto.FLOAT
            graph.output.append(helper.make_tensor_value_info(out, element, []))
            outputs.append(out)
    made = helper.make_model(graph, opset_imports=model.opset_import)
    made.ir_version = model.ir_version
    return quiet_session(made, threads), outputs


def _runs(session: Any, outputs: Sequence[str], feeds: Any) -> Iterator[Any]:
    for number, feed in enumerate(feeds):
        try:
            yield session.run(list(outputs), dict(feed))
        except runtime_failures() as error:
            reason = printable((str(error).strip().splitlines() or ["no reason"])[0], 300)
            raise ModelError(f"the model fails on sample {number + 1}: {reason}") from error


def _cache_file(key: str, *, histograms: bool) -> str:
    return f"{'histograms' if histograms else 'limits'}-{key}.npz"


def cached_spreads(folder: Path | None, key: str, *, histograms: bool) -> dict[str, Spread] | None:
    """Read what `store_spreads` left, None where there is nothing that can be used."""
    import zipfile

    import numpy as np

    if folder is None:
        return None
    try:
        with np.load(
            folder / _cache_file(key, histograms=histograms), allow_pickle=False
        ) as arrays:
            names = json.loads(str(arrays["names"]))
            limits, counts = arrays["limits"], arrays["counts"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if len(names) != len(limits):
        return None
    return {
        name: Spread(low=float(a), high=float(b), counts=counts[i] if len(counts) else None)
        for i, (name, (a, b)) in enumerate(zip(names, limits, strict=True))
    }


def store_spreads(
    folder: Path | None, key: str, spreads: Mapping[str, Spread], *, histograms: bool
) -> None:
    """Leave the spreads for the next variant of the same model and data; a full disk is no harm."""
    import numpy as np

    if folder is None:
        return
    whole = [s.counts for s in spreads.values() if s.counts is not None]
    part = folder / f".{key}.part.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(
            part,
            names=np.array(json.dumps(list(spreads))),
            limits=np.array([(s.low, s.high) for s in spreads.values()], np.float64).reshape(-1, 2),
            counts=np.array(whole if len(whole) == len(spreads) else [], np.int64),
        )
        part.replace(folder / _cache_file(key, histograms=histograms))
    except OSError:
        part.unlink(missing_ok=True)


def spreads_key(model: "onnx.ModelProto", calibration: Path, samples: int) -> str:
    """Return a name for spreads: the same prepared model, data and number of samples."""
    digest = hashlib.sha256(model.SerializeToString(deterministic=True))
    digest.update(hashlib.sha256(calibration.read_bytes()).digest())
    return f"{digest.hexdigest()[:32]}-{samples}"
