"""Pictures as a model's input, by OpenCV; decoding happens in the limited child."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.device.parent import Limits, run_child
from edge.errors import UsageError
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm")
# Pixels of 0 to 255 become 0 to 1 where no card says how the model was trained.
_SCALE: Final = 1 / 255
_MOST_PICTURES: Final = 1000


def picture_files(place: Path) -> tuple[Path, ...]:
    """Return the picture itself, or the pictures of a folder in the order of their names.

    Raises:
        UsageError: there is none.
    """
    if place.is_file():
        return (place,)
    found = tuple(sorted(p for p in place.glob("*") if p.suffix.lower() in SUFFIXES))
    if not found:
        raise UsageError("no pictures there", where=place, hint="it reads " + " ".join(SUFFIXES))
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
        "scale": _SCALE if scale is None else scale,
        "offset": 0.0 if offset is None else offset,
        "out": str(out),
    }
    run_child("edge.adapters.images:decode", request, limits=Limits(), what=str(pictures[0]))


def picture_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Return the shape of an input that takes one picture.

    Raises:
        UsageError: it does not.
    """
    shape = spec.shape or ()
    sizes = tuple(d if isinstance(d, int) else 1 for d in shape[:1])
    sizes += tuple(d for d in shape[1:] if isinstance(d, int))
    if len(shape) != 4 or len(sizes) != 4 or _channel_axis(sizes) is None or sizes[0] != 1:
        what = f"the input {spec} takes no picture"
        raise UsageError(what, hint="needed: 1,C,H,W or 1,H,W,C with 1 or 3 channels; use an .npz")
    return sizes


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    return next((axis for axis in (1, 3) if shape[axis] in (1, 3)), None)


def decode(request: Mapping[str, Any]) -> int:
    """Read, resize and lay out the pictures; the child's task. Returns how many."""
    import numpy as np

    from edge.device.feeds import write_arrays

    shape = tuple(request["shape"])
    samples = [_sample(path, shape, request) for path in request["pictures"]]
    write_arrays(request["out"], {"input." + request["name"]: np.stack(samples)})
    return len(samples)


def _sample(path: str, shape: tuple[int, ...], request: Mapping[str, Any]) -> "Array":
    import cv2
    import numpy as np

    axis = _channel_axis(shape)
    assert axis is not None
    channels = shape[axis]
    height, width = shape[2:] if axis == 1 else shape[1:3]
    pixels = cv2.imread(path, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    if pixels is None:
        raise UsageError("not a picture that OpenCV can read", where=path)
    if channels == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    smaller = pixels.shape[0] * pixels.shape[1] > height * width
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    pixels = cv2.resize(pixels, (width, height), interpolation=how).reshape(height, width, channels)
    if axis == 1:
        pixels = pixels.transpose(2, 0, 1)
    dtype = np.dtype(request["dtype"])
    if dtype.kind == "f":
        pixels = pixels * request["scale"] + request["offset"]
    elif dtype == np.int8:
        # An int8 input of a quantised picture network is the pixel less its zero point, 128.
        pixels = pixels.astype(np.int16) - 128
    return np.ascontiguousarray(pixels[None].astype(dtype))
