"""Pictures made into samples of a model; decoding happens in the limited child."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge.device.parent import Limits, run_child
from edge.device.pictures import PictureForm, picture_shape
from edge.device.sources import PICTURES
from edge.errors import UsageError
from edge.records.tensor import TensorSpec

_MOST_PICTURES: Final = 1000


def picture_files(place: Path) -> tuple[Path, ...]:
    """Return the picture itself, or the pictures of a folder in the order of their names.

    Raises:
        UsageError: there is none.
    """
    if place.is_file():
        return (place,)
    found = tuple(sorted(p for p in place.glob("*") if p.suffix.lower() in PICTURES))
    if not found:
        raise UsageError("no pictures there", where=place, hint="it reads " + " ".join(PICTURES))
    return found[:_MOST_PICTURES]


def write_picture_samples(
    pictures: tuple[Path, ...],
    spec: TensorSpec,
    out: Path,
    *,
    scale: float | None = None,
    offset: float | None = None,
) -> None:
    """Write the .npz of samples for the input `spec` that the pictures make.

    Each is read as RGB (grey for one channel), resized to the input's height and width, scaled as
    value * scale + offset (integer inputs take the pixels as they are) and laid out as the
    input's shape asks: 1,C,H,W or 1,H,W,C.

    Raises:
        UsageError: the input takes no picture, or a file is none.
        RuntimeFailure: decoding failed in its child.
    """
    request = {
        "pictures": [str(path) for path in pictures],
        "name": spec.name,
        "dtype": spec.dtype,
        "shape": list(picture_shape(spec)),
        "scale": scale,
        "offset": offset,
        "out": str(out),
    }
    run_child("edge.adapters.images:decode", request, limits=Limits(), what=str(pictures[0]))


def decode(request: Mapping[str, Any]) -> int:
    """Read, resize and lay out the pictures; the child's task. Returns how many."""
    import numpy as np

    from edge.device.feeds import write_arrays

    spec = TensorSpec(request["name"], request["dtype"], tuple(request["shape"]))
    form = PictureForm(spec, request)
    samples = [form.normalise(form.resize(form.decode(p))) for p in request["pictures"]]
    write_arrays(request["out"], {"input." + spec.name: np.stack(samples)})
    return len(samples)
