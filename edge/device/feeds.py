"""Inputs for a model: made from a seed, or read from a user's .npz. Device slice: Python 3.8."""

import functools
import io
import operator
import zipfile
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from edge.backends.protocol import Array
from edge.errors import RuntimeFailure, UsageError, printable
from edge.records.tensor import TensorSpec

Shapes = Mapping[str, Sequence[int]]

# The first day that a zip can name: the same arrays give the same bytes.
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_SEED = "seed"
_SEEDED = "seeded."
# They are made as float64 first; numpy has other words for what no address can reach.
_MOST_ELEMENTS = (1 << 62) // 8


def concrete_inputs(specs: Sequence[TensorSpec], shapes: Shapes) -> Tuple[TensorSpec, ...]:
    """Return the inputs with every free dimension filled in.

    `shapes` (the option --shape) comes first; a dimension that has the name of one given there
    takes the same size; a free first axis is the batch, and 1.

    Raises:
        UsageError: `shapes` names no input, does not fit it, or a dimension stays free.
    """
    _check_shapes(specs, shapes)
    sizes: Dict[str, int] = {}
    for spec in specs:
        if spec.name in shapes:
            named = zip(spec.shape or (), shapes[spec.name])
            sizes.update((size, given) for size, given in named if isinstance(size, str))
    return tuple(_concrete(spec, shapes.get(spec.name), sizes) for spec in specs)


def _check_shapes(specs: Sequence[TensorSpec], shapes: Shapes) -> None:
    unknown = sorted(set(shapes) - {spec.name for spec in specs})
    if unknown:
        raise UsageError(
            "--shape {}: the model has no such input".format(printable(unknown[0])),
            hint="its inputs: {}".format(printable(", ".join(spec.name for spec in specs))),
        )
    for spec in specs:
        given = shapes.get(spec.name)
        if given is not None and spec.shape is not None and not _agree(spec.shape, given):
            text = ",".join(str(size) for size in given)
            name = printable(spec.name)
            raise UsageError(
                "--shape {}={} does not fit the input {}".format(name, text, printable(spec))
            )


def _agree(wanted: Sequence[object], got: Sequence[int]) -> bool:
    """Tell whether a shape fits one that may have free dimensions."""
    same = len(wanted) == len(got)
    return same and all(not isinstance(w, int) or w == g for w, g in zip(wanted, got))


def _concrete(
    spec: TensorSpec, given: Optional[Sequence[int]], sizes: Mapping[str, int]
) -> TensorSpec:
    if given is not None:
        return TensorSpec(spec.name, spec.dtype, tuple(int(size) for size in given))
    if spec.shape is None:
        raise UsageError(
            "input {} has an unknown shape".format(printable(spec.name)),
            hint="give it: --shape {}=1,3,224,224".format(printable(spec.name)),
        )
    shape: List[int] = []
    for axis, size in enumerate(spec.shape):
        if isinstance(size, int):
            shape.append(size)
        elif size in sizes:
            shape.append(sizes[str(size)])
        elif axis == 0:
            shape.append(1)
        else:
            example = ",".join(str(d if isinstance(d, int) else 1) for d in spec.shape)
            raise UsageError(
                "input {} has free dimensions".format(printable(spec)),
                hint="give its shape, such as --shape {}={}".format(printable(spec.name), example),
            )
    return TensorSpec(spec.name, spec.dtype, tuple(shape))


def seeded_samples(specs: Sequence[TensorSpec], count: int, seed: int) -> Dict[str, Array]:
    """Make `count` samples for concrete inputs, the same for the same seed everywhere.

    Floats lie in [0, 1), 8-bit integers (images) in their whole range; wider integers are 0 or 1,
    which every table of embeddings and every mask can take.

    Raises:
        RuntimeFailure: an input is larger than any memory.
    """
    generator = np.random.RandomState(seed)
    samples: Dict[str, Array] = {}
    for spec in specs:
        shape = (count, *(int(size or 0) for size in spec.shape or ()))
        if functools.reduce(operator.mul, (size or 1 for size in shape)) > _MOST_ELEMENTS:
            raise RuntimeFailure("input {} is larger than any memory".format(printable(spec)))
        dtype = np.dtype(spec.dtype)
        if dtype.kind == "f":
            values: Any = generator.random_sample(shape)
        elif dtype.itemsize == 1 and dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values = generator.randint(limits.min, limits.max + 1, shape)
        else:
            values = generator.randint(0, 2, shape)
        samples[spec.name] = np.asarray(values).astype(dtype)
    return samples


def seeded_arrays(specs: Sequence[TensorSpec], count: int, seed: int) -> Dict[str, Array]:
    """Return what stands for `seeded_samples` in a file: they are made again when it is read.

    `seed` holds the seed and the number of samples, `seeded.NAME` has the type and the shape of an
    input, and no samples. Random numbers cannot be compressed, and pictures of them are large.
    """
    arrays: Dict[str, Array] = {_SEED: np.array([seed, count], np.int64)}
    for spec in specs:
        shape = tuple(int(size or 0) for size in spec.shape or ())
        arrays[_SEEDED + spec.name] = np.empty((0, *shape), spec.dtype)
    return arrays


def _with_seeded(arrays: Dict[str, Array]) -> Dict[str, Array]:
    """Return the arrays of a file with `input.NAME` in place of what stands for it.

    Raises:
        ValueError: it is not as `seeded_arrays` makes it.
    """
    stands = {name: array for name, array in arrays.items() if name.startswith(_SEEDED)}
    if not stands:
        return arrays
    seed, count = (int(value) for value in arrays.get(_SEED, np.empty(0)).ravel())
    specs = [
        TensorSpec(name[len(_SEEDED) :], array.dtype.name, tuple(array.shape[1:]))
        for name, array in stands.items()
    ]
    inputs = {"input." + name: a for name, a in seeded_samples(specs, count, seed).items()}
    others = {name: a for name, a in arrays.items() if name not in stands and name != _SEED}
    return {**inputs, **others}


def read_samples(path: str, specs: Sequence[TensorSpec], shapes: Shapes) -> Dict[str, Array]:
    """Read a user's inputs: for each input of the model an array of samples.

    Keys are NAME or input.NAME; for a model with one input the one array that fits will do. An
    array has the input's shape and one leading axis more, the sample, which may also stand in the
    place of a batch of 1.

    Raises:
        UsageError: the file or an array does not fit.
    """
    _check_shapes(specs, shapes)
    return fit_samples(read_arrays(path), specs, shapes, path)


def fit_samples(
    arrays: Mapping[str, Array], specs: Sequence[TensorSpec], shapes: Shapes, path: str
) -> Dict[str, Array]:
    """Return for each input the array that is its samples, the sample axis in front.

    Raises:
        UsageError: an array does not fit; `path` is where they are from.
    """
    samples: Dict[str, Array] = {}
    for spec in specs:
        array = arrays.get("input." + spec.name, arrays.get(spec.name))
        if array is None and len(specs) == 1:
            array = _only_fitting(arrays, spec)
        if array is None:
            keys = printable(", ".join(arrays) or "none")
            what = "no array for the input {}".format(printable(spec))
            raise UsageError(what, where=path, hint="its arrays: {}".format(keys))
        if array.dtype.name != spec.dtype:
            what = "the array for {} is {}".format(printable(spec), array.dtype.name)
            raise UsageError(what, where=path)
        fitted = _as_samples(array, spec, shapes.get(spec.name))
        if fitted is None:
            got = "x".join(str(size) for size in array.shape) or "scalar"
            what = "the array for {} has the shape {}".format(printable(spec), got)
            hint = "needed: one leading axis for the samples, then the input's shape"
            raise UsageError(what, where=path, hint=hint)
        samples[spec.name] = fitted
    counts = {name: len(array) for name, array in samples.items()}
    if len(set(counts.values())) > 1 or 0 in counts.values():
        told = ", ".join("{} {}".format(name, count) for name, count in counts.items())
        raise UsageError("the number of samples differs or is 0: " + told, where=path)
    return samples


def _only_fitting(arrays: Mapping[str, Array], spec: TensorSpec) -> Optional[Array]:
    fitting = [
        array
        for array in arrays.values()
        if array.dtype.name == spec.dtype and _as_samples(array, spec, None) is not None
    ]
    return fitting[0] if len(fitting) == 1 else None


def _as_samples(array: Array, spec: TensorSpec, given: Optional[Sequence[int]]) -> Optional[Array]:
    """Return the array with the sample axis in front, or None where it does not fit."""
    wanted: Optional[Sequence[object]] = spec.shape if given is None else given
    if wanted is None:
        return array if array.ndim else None
    candidates = [array]
    if array.ndim and wanted and (wanted[0] == 1 or not isinstance(wanted[0], int)):
        candidates.append(array[:, None])
    candidates.append(array[None])
    return next((c for c in candidates if c.ndim and _agree(wanted, c.shape[1:])), None)


def specs_of(specs: Sequence[TensorSpec], samples: Mapping[str, Array]) -> Tuple[TensorSpec, ...]:
    """Return the specs with the shapes that the samples really have."""
    return tuple(TensorSpec(s.name, s.dtype, tuple(samples[s.name].shape[1:])) for s in specs)


def read_arrays(path: str) -> Dict[str, Array]:
    """Read the arrays of an .npz; nothing in it is ever unpickled, seeded inputs are made.

    Raises:
        UsageError: there is no such file, or it is no .npz of plain arrays.
    """
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            arrays = {name: archive[name] for name in getattr(archive, "files", ())}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise UsageError("not an .npz file of plain arrays", where=path)
        arrays = _with_seeded(arrays)
    except OSError as error:
        raise UsageError((error.strerror or "not an .npz file").lower(), where=path) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError("not an .npz file of plain arrays", where=path) from error
    if isinstance(archive, np.ndarray):
        raise UsageError("not an .npz file but a single array", where=path)
    return arrays


def write_arrays(path: str, arrays: Mapping[str, Array]) -> None:
    """Write an .npz whose bytes depend on the arrays alone.

    Raises:
        RuntimeFailure: the file cannot be written.
    """
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.save(member, array, allow_pickle=False)
                info = zipfile.ZipInfo(name + ".npy", _ZIP_DATE)
                info.external_attr = 0o644 << 16
                archive.writestr(info, member.getvalue())
    except OSError as error:
        raise RuntimeFailure("cannot write: {}".format(error.strerror), where=path) from error
