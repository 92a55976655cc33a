"""Structured pruning: channels and units that matter least are cut out, and the graph shrinks.

Options: ratio (the part of the multiply-accumulates to remove, 0.3), score ("l1", the magnitude of
weights; "activation", what a channel brings on calibration data; with data the default is that),
round_to (channel counts stay multiples of it where they are cut, 8), least (channels that stay at
the least, 8), most_part (the part of a layer's channels that may go, 0.5), reconstruct (fit the
next layers' weights to calibration data by least squares, true with data), samples (how many of
the calibration data to use, 64).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edge.errors import ModelError
from edge.passes._activations import folded, open_session, run, samples_of, shapes_of
from edge.passes._channel_choice import (
    blocks_of,
    choose,
    losses_by_activation,
    losses_by_magnitude,
    statistics_of,
    weigh,
)
from edge.passes._channel_cut import cut, silenced
from edge.passes._channels import Array, Channels, find_channels
from edge.passes._graph import constants, write_graph
from edge.passes._reconstruction import Fitted, reconstruct

if TYPE_CHECKING:
    import onnx

    from edge.passes._activations import Feeds

REQUIRES: Final = ()
EXTRA: Final = None
# Different kernels sum up in another order; a wrong cut is off by far more.
_SAME: Final = 1e-3


def apply(request: Mapping[str, Any]) -> dict[str, Any]:
    """Cut channels out of the model.

    Raises:
        ModelError: nothing can be cut, or the cut graph does not compute what it should.
    """
    options = request["options"]
    ratio = float(options.get("ratio", 0.3))
    round_to = max(1, int(options.get("round_to", 8)))
    data, threads = request["calibration"], int(request["threads"])
    score = str(options.get("score", "activation" if data else "l1"))
    again = _true(options.get("reconstruct", data is not None))
    if data is None and (again or score == "activation"):
        raise ModelError("it needs calibration data to score by activation or to reconstruct")
    if not 0.0 < ratio < 1.0 or score not in ("l1", "activation"):
        raise ModelError(f"pruning takes no ratio {ratio:g} and score {score}")

    path = Path(request["model"])
    model = folded(path, Path(request["folder"]))
    most = int(options.get("samples", 64))
    samples = samples_of(path, data, request["shapes"], most)
    found = find_channels(model, shapes_of(model, samples[0], threads), constants(model))
    known = statistics_of(found, samples, threads) if data else {}
    by_activation = score == "activation"
    losses = losses_by_activation(found, known) if by_activation else losses_by_magnitude(found)
    blocks = blocks_of(found, losses)
    if known:
        weigh(found, blocks, known, samples, threads)
    gone = choose(
        found,
        blocks,
        ratio=ratio,
        round_to=round_to,
        least=int(options.get("least", 8)),
        most_part=float(options.get("most_part", 0.5)),
        even=not known,
    )
    if not gone.any():
        raise ModelError(f"no channels can be cut out: {_kept(found)}", where=path)
    quiet = silenced(found, gone, {node: each.mean for node, each in known.items()})
    fitted = reconstruct(found, quiet, gone, samples, threads) if again else Fitted()
    less = cut(found, quiet, gone)
    _check(quiet, less, samples[0], threads)
    notes = _notes(found, gone, ratio)
    notes.append(_how(score, len(samples) if data else 0, fitted))
    return {"file": write_graph(less, Path(request["folder"]), "pruned.onnx"), "notes": notes}


def _true(value: object) -> bool:
    return str(value).lower() in ("true", "1", "yes")


def _check(quiet: "onnx.ModelProto", less: "onnx.ModelProto", feeds: "Feeds", threads: int) -> None:
    """Make sure that without the channels comes what comes where nobody hears them."""
    wanted = run(open_session(quiet, threads), feeds)
    got = run(open_session(less, threads), feeds)
    for one, other in zip(wanted, got, strict=True):
        if one.shape != other.shape:
            raise ModelError("cutting channels changed the shape of an output")
        if one.dtype.kind == "f" and one.size:
            largest = max(float(np.abs(one).max()), 1e-6)
            if not float(np.abs(one - other).max()) <= _SAME * largest:
                raise ModelError("the graph without the channels computes something else")


def _notes(found: Channels, gone: Array, ratio: float) -> list[str]:
    before = sum(layer.macs for layer in found.layers)
    after = sum(layer.macs_without(gone) for layer in found.layers)
    roots = found.ties.roots()
    removed, all_of_them = len(np.unique(roots[gone])), len(np.unique(roots))
    first = (
        f"{removed} of {all_of_them} channels are cut out: {before / 1e6:.4g} M "
        f"multiply-accumulates become {after / 1e6:.4g} M (-{100 * (1 - after / before):.0f} %)"
    )
    notes = [first]
    if after > before * (1.0 - ratio) * 1.02:
        notes.append(f"{100 * ratio:.0f} % were asked for: more cannot be cut within the limits")
    notes.append(_kept(found))
    return notes


def _kept(found: Channels) -> str:
    roots, kept = found.ties.roots(), found.ties.kept()
    count = len(np.unique(roots[kept]))
    where = ", ".join(f"{name} ({n})" for name, n in found.barriers.most_common(6))
    return f"{count} channels stay whole because of what reads them: {where or 'nothing'}"


def _how(score: str, samples: int, fitted: Fitted) -> str:
    if not samples:
        return "chosen by the magnitude of weights alone: no calibration data was given"
    by = "what they bring to the next layers" if score == "activation" else "magnitude"
    text = f"chosen by {by}, and by what their loss does to the outputs of {samples} samples"
    if not fitted.stayed:
        return f"{text}; their means went into biases"
    stayed = 100 * float(np.median(fitted.stayed))
    return (
        f"{text}; the weights of {fitted.layers} layers were fitted to make up for it, "
        f"which leaves {stayed:.0f} % of the error (median, samples held out)"
    )
