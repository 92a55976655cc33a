import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.device.feeds import (
    concrete_inputs,
    read_arrays,
    read_samples,
    seeded_arrays,
    seeded_samples,
    write_arrays,
)
from edge.errors import RuntimeFailure, UsageError
from edge.records.tensor import TensorSpec

IMAGE = TensorSpec("image", "float32", (None, 3, "height", "width"))
MASK = TensorSpec("mask", "int64", ("batch", "height"))
DIGIT = TensorSpec("digit", "float32", (1, 1, 8, 8))
UNKNOWN = TensorSpec("x", "float32", None)


def shapes_of(specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    return {spec.name: spec.shape for spec in specs}


def test_a_given_shape_fills_its_input_and_the_same_names_elsewhere() -> None:
    concrete = concrete_inputs((IMAGE, MASK, DIGIT), {"image": (2, 3, 64, 32)})
    expected = {"image": (2, 3, 64, 32), "mask": (1, 64), "digit": (1, 1, 8, 8)}
    assert shapes_of(concrete) == expected


def test_only_the_first_axis_is_one_by_itself() -> None:
    assert shapes_of(concrete_inputs((TensorSpec("x", "int8", ("n", 4)),), {})) == {"x": (1, 4)}
    with pytest.raises(UsageError) as caught:
        concrete_inputs((IMAGE,), {})
    assert str(caught.value) == "input image float32 ?x3xheightxwidth has free dimensions"
    assert caught.value.hint == "give its shape, such as --shape image=1,3,1,1"


@pytest.mark.parametrize(
    ("spec", "shapes", "message", "hint"),
    [
        (
            DIGIT,
            {"digits": (1, 1, 8, 8)},
            "--shape digits: the model has no such input",
            "its inputs: digit",
        ),
        (
            DIGIT,
            {"digit": (2, 1, 8, 8)},
            "--shape digit=2,1,8,8 does not fit the input digit float32 1x1x8x8",
            None,
        ),
        (
            IMAGE,
            {"image": (1, 3, 8)},
            "--shape image=1,3,8 does not fit the input image float32 ?x3xheightxwidth",
            None,
        ),
        (UNKNOWN, {}, "input x has an unknown shape", "give it: --shape x=1,3,224,224"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    spec: TensorSpec, shapes: dict[str, tuple[int, ...]], message: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        concrete_inputs((spec,), shapes)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_an_input_of_unknown_shape_takes_the_given_one() -> None:
    assert shapes_of(concrete_inputs((UNKNOWN,), {"x": (2, 5)})) == {"x": (2, 5)}


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        ("float16", 0, 1),
        ("float32", 0, 1),
        ("float64", 0, 1),
        ("uint8", 0, 255),
        ("int8", -128, 127),
        ("int16", 0, 1),
        ("int32", 0, 1),
        ("int64", 0, 1),
        ("bool", 0, 1),
    ],
)
def test_seeded_values_are_ones_that_models_take(dtype: str, low: float, high: float) -> None:
    samples = seeded_samples((TensorSpec("x", dtype, (50, 40)),), 3, seed=5)["x"]
    assert samples.dtype.name == dtype
    assert samples.shape == (3, 50, 40)
    values = samples.astype("float64")
    assert low <= values.min() < values.max() <= high
    assert values.max() - values.min() > 0.9 * (high - low)


def test_the_seed_decides_the_values() -> None:
    spec = (TensorSpec("x", "float32", (4,)),)
    one, same, other = (seeded_samples(spec, 2, seed)["x"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    # numpy's RandomState promises this stream for ever, so bundles can be rebuilt.
    assert one[0].tolist() == pytest.approx([0.417022, 0.720324, 0.000114, 0.302333], abs=1e-6)


def save(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.mark.parametrize(
    ("key", "shape", "spec", "expected"),
    [
        ("digit", (5, 1, 1, 8, 8), DIGIT, (5, 1, 1, 8, 8)),
        ("input.digit", (5, 1, 1, 8, 8), DIGIT, (5, 1, 1, 8, 8)),
        ("pictures", (5, 1, 8, 8), DIGIT, (5, 1, 1, 8, 8)),
        ("digit", (1, 1, 8, 8), DIGIT, (1, 1, 1, 8, 8)),
        ("x", (4, 2, 8), TensorSpec("x", "float32", (2, 8)), (4, 2, 8)),
        ("x", (2, 8), TensorSpec("x", "float32", (2, 8)), (1, 2, 8)),
        ("image", (7, 3, 9, 9), IMAGE, (7, 1, 3, 9, 9)),
        ("image", (7, 2, 3, 9, 9), IMAGE, (7, 2, 3, 9, 9)),
        ("x", (6,), TensorSpec("x", "float32", ()), (6,)),
        ("x", (), TensorSpec("x", "float32", ()), (1,)),
        ("x", (3, 4), UNKNOWN, (3, 4)),
    ],
)
def test_arrays_become_samples(
    tmp_path: Path, key: str, shape: tuple[int, ...], spec: TensorSpec, expected: tuple[int, ...]
) -> None:
    array = np.random.RandomState(0).random_sample(shape).astype("float32")
    path = save(tmp_path / "x.npz", **{key: array}, labels=np.zeros(99, "int64"))
    samples = read_samples(path, (spec,), {})
    assert list(samples) == [spec.name]
    assert samples[spec.name].shape == expected
    assert np.array_equal(samples[spec.name].ravel(), array.ravel())


@pytest.mark.parametrize(
    ("arrays", "message", "hint"),
    [
        (
            {"mask": np.zeros((1, 1, 4), "int64")},
            "no array for the input image float32 ?x3xheightxwidth",
            "its arrays: mask",
        ),
        (
            {"image": np.zeros((1, 3, 4, 4)), "mask": np.zeros((1, 1, 4), "int64")},
            "the array for image float32 ?x3xheightxwidth is float64",
            None,
        ),
        (
            {"image": np.zeros((1, 4, 4, 3), "float32"), "mask": np.zeros((1, 1, 4), "int64")},
            "the array for image float32 ?x3xheightxwidth has the shape 1x4x4x3",
            "needed: one leading axis for the samples, then the input's shape",
        ),
        (
            {
                "image": np.zeros((2, 1, 3, 4, 4), "float32"),
                "mask": np.zeros((3, 1, 4), "int64"),
            },
            "the number of samples differs or is 0: image 2, mask 3",
            None,
        ),
        (
            {
                "image": np.zeros((0, 1, 3, 4, 4), "float32"),
                "mask": np.zeros((0, 1, 4), "int64"),
            },
            "the number of samples differs or is 0: image 0, mask 0",
            None,
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str, hint: str | None
) -> None:
    path = save(tmp_path / "x.npz", **arrays)
    with pytest.raises(UsageError) as caught:
        read_samples(path, (IMAGE, MASK), {})
    assert (str(caught.value), caught.value.hint) == (f"{path}: {message}", hint)


def test_a_given_shape_binds_the_arrays_too(tmp_path: Path) -> None:
    path = save(tmp_path / "x.npz", image=np.zeros((1, 1, 3, 4, 4), "float32"))
    with pytest.raises(UsageError, match="has the shape 1x1x3x4x4"):
        read_samples(path, (IMAGE,), {"image": (1, 3, 8, 8)})
    with pytest.raises(UsageError, match="no such input"):
        read_samples(path, (IMAGE,), {"picture": (1, 3, 8, 8)})


def pickled() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([{"a": "dangerous thing"}], dtype=object))
    return stream.getvalue()


def single() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


def renamed() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", b"no array")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npz file of plain arrays"),
        (b"text", "not an .npz file of plain arrays"),
        (b"PK\x03\x04 and then nothing", "not an .npz file of plain arrays"),
        (pickled(), "not an .npz file of plain arrays"),
        (pickled()[:100], "not an .npz file of plain arrays"),
        (renamed(), "not an .npz file of plain arrays"),
        (single(), "not an .npz file but a single array"),
    ],
)
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_arrays(str(path))
    assert str(caught.value) == f"{path}: {message}"


def test_a_missing_npz_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_arrays(str(tmp_path / "x.npz"))
    assert str(caught.value) == f"{tmp_path / 'x.npz'}: no such file or directory"


def test_arrays_come_back_and_their_bytes_depend_on_them_alone(tmp_path: Path) -> None:
    arrays = {"b": np.arange(6).reshape(2, 3), "a": np.array(1.5), "c/d": np.ones((0, 2), "int8")}
    one, two = str(tmp_path / "1.npz"), str(tmp_path / "2.npz")
    write_arrays(one, arrays)
    write_arrays(two, arrays)
    assert Path(one).read_bytes() == Path(two).read_bytes()
    with zipfile.ZipFile(one) as archive:
        assert {(i.date_time, i.compress_type) for i in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), zipfile.ZIP_STORED)
        }
    back = read_arrays(one)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)


def test_an_npz_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "nowhere" / "x.npz")
    with pytest.raises(RuntimeFailure) as caught:
        write_arrays(path, {})
    assert str(caught.value) == f"{path}: cannot write: No such file or directory"


def test_seeded_inputs_are_made_again_when_they_are_read(tmp_path: Path) -> None:
    specs = (
        TensorSpec("image", "float32", (1, 3, 224, 224)),
        TensorSpec("mask", "int64", (1, 7)),
        TensorSpec("scale", "float64", ()),
    )
    path = tmp_path / "seeded.npz"
    outputs = {"output.y": np.arange(4.0)}
    write_arrays(str(path), {**seeded_arrays(specs, 4, 9), **outputs})
    assert path.stat().st_size < 2_000
    arrays = read_arrays(str(path))
    made = seeded_samples(specs, 4, 9)
    assert list(arrays) == ["input.image", "input.mask", "input.scale", "output.y"]
    for name, wanted in made.items():
        assert arrays[f"input.{name}"].dtype == wanted.dtype
        np.testing.assert_array_equal(arrays[f"input.{name}"], wanted)
    # The numbers themselves, since another numpy has to make the same on a device.
    assert [round(float(x), 6) for x in made["image"].ravel()[:3]] == [0.010374, 0.501875, 0.495773]


@pytest.mark.parametrize("seed", [np.array([-1, 4]), np.array([1, 2, 3]), np.array("x"), None])
def test_what_stands_for_seeded_inputs_has_to_be_whole(tmp_path: Path, seed: Any) -> None:
    arrays = {"seeded.x": np.empty((0, 4), np.float32)}
    path = tmp_path / "odd.npz"
    write_arrays(str(path), arrays if seed is None else {**arrays, "seed": seed})
    with pytest.raises(UsageError, match=r"not an \.npz file of plain arrays"):
        read_arrays(str(path))


@pytest.mark.parametrize("shape", [(1 << 62,), (1 << 31, 1 << 31, 4), (0, 1 << 62)])
def test_an_input_that_no_memory_holds_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(RuntimeFailure, match=r"^input x float32 \S+ is larger than any memory$"):
        seeded_samples((TensorSpec("x", "float32", shape),), 1, 0)
