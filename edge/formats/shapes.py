"""Shapes that the user gives to inputs which leave them open."""

from collections.abc import Mapping, Sequence

from edge.errors import UsageError, printable
from edge.records.tensor import Dimension, TensorSpec
from edge.units import format_shape

_LARGEST_SIZE = 1 << 40


def given_shapes(
    inputs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, TensorSpec]:
    """Return the inputs by name, with the given shapes; a named dimension is the same everywhere.

    Raises:
        UsageError: no such input, another rank, a size that the model has fixed otherwise, or two
            sizes for one named dimension.
    """
    by_name = {spec.name: spec for spec in inputs}
    named: dict[str, int] = {}
    for name, sizes in shapes.items():
        if name not in by_name:
            known = ", ".join(printable(known, 40) for known in list(by_name)[:20])
            raise UsageError("no such input", where=f"--shape {name}", hint=f"inputs: {known}")
        _fit(by_name[name], sizes, named)
    return {name: _resolved(spec, shapes.get(name), named) for name, spec in by_name.items()}


def _fit(spec: TensorSpec, sizes: tuple[int, ...], named: dict[str, int]) -> None:
    where = f"--shape {spec.name}"
    if not all(0 < size <= _LARGEST_SIZE for size in sizes):
        raise UsageError("every size must be a positive number", where=where)
    if spec.shape is None:
        return
    wanted = format_shape(spec.shape)
    if len(sizes) != len(spec.shape):
        raise UsageError(f"{len(sizes)} sizes, but the input is {wanted}", where=where)
    for size, declared in zip(sizes, spec.shape, strict=True):
        if isinstance(declared, int) and size != declared:
            raise UsageError(f"{format_shape(sizes)} does not fit {wanted}", where=where)
        if isinstance(declared, str) and named.setdefault(declared, size) != size:
            what = f"two sizes for {printable(declared, 40)!r}: {named[declared]} and {size}"
            raise UsageError(what, where=where)


def _resolved(
    spec: TensorSpec, sizes: tuple[int, ...] | None, named: Mapping[str, int]
) -> TensorSpec:
    if sizes is not None:
        return TensorSpec(spec.name, spec.dtype, sizes)
    if spec.shape is None:
        return spec
    shape: tuple[Dimension, ...] = tuple(
        named.get(size, size) if isinstance(size, str) else size for size in spec.shape
    )
    return TensorSpec(spec.name, spec.dtype, shape)
