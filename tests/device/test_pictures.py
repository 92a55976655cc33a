"""Pictures become the input: geometry, channels, numbers."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.device.pictures import PictureForm, Video
from edge.errors import RuntimeFailure, UsageError
from edge.records.tensor import TensorSpec

RGB = TensorSpec("x", "float32", (1, 3, 8, 8))
PIXELS = TensorSpec("x", "uint8", (1, 8, 8, 3))


def form(spec: TensorSpec, **told: object) -> PictureForm:
    return PictureForm(spec, told)


def plain(height: int, width: int, value: int = 200) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [
        (8, 16, (2, 6), (0, 8)),
        (16, 8, (0, 8), (2, 6)),
        (8, 8, (0, 8), (0, 8)),
        (3, 4, (1, 7), (0, 8)),
        # 8 * 7/31 is 1.8: two rows, three above and three below.
        (7, 31, (3, 5), (0, 8)),
        # 8 * 5/8 is 5 rows: one above, two below.
        (5, 8, (1, 6), (0, 8)),
        (1, 1000, (3, 4), (0, 8)),
    ],
)
def test_letterbox(
    height: int, width: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    got = form(PIXELS, resize="letterbox").resize(plain(height, width))
    expected = np.full((8, 8, 3), 114, np.uint8)
    expected[slice(*rows), slice(*columns)] = 200
    assert (got == expected).all()


@pytest.mark.parametrize(("height", "width"), [(8, 24), (24, 8), (16, 48), (5, 7), (999, 1)])
def test_a_crop_is_the_middle(height: int, width: int) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    picture[top : top + side, left : left + side] = 200
    got = form(PIXELS, resize="crop").resize(picture)
    assert got.shape == (8, 8, 3)
    assert (got == 200).all()


def test_stretch() -> None:
    picture = np.repeat(np.array([[[0, 0, 0], [250, 250, 250]]], np.uint8), 8, axis=1)
    got = form(PIXELS).resize(picture)
    assert got.shape == (8, 8, 3)
    assert (got[:, :4] == 0).all()
    assert (got[:, 4:] == 250).all()


def test_order_and_layout() -> None:
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 0] = 255
    for order, channel in (("RGB", 2), ("BGR", 0)):
        got = form(RGB, order=order).normalise(blue)
        assert got.shape == (1, 3, 8, 8)
        assert [got[0, c].mean() for c in range(3)] == [float(c == channel) for c in range(3)]
        assert form(PIXELS, order=order).normalise(blue)[0, 0, 0, channel] == 255


def test_a_number_for_each_channel() -> None:
    got = form(RGB, scale=[1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0]).normalise(plain(8, 8, 10))
    assert got[0, :, 0, 0].tolist() == [10.0, 21.0, 32.0]
    with pytest.raises(UsageError) as caught:
        form(RGB, scale=[1.0, 2.0])
    assert str(caught.value) == "a scale or offset is 1 number or 3"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_type_is_the_models(dtype: str) -> None:
    got = form(TensorSpec("x", dtype, (1, 8, 8, 3))).normalise(plain(8, 8, 255))
    assert got.dtype == np.dtype(dtype)
    assert got.max() == 1.0
    assert got.flags.c_contiguous


def test_a_frame_becomes_grey() -> None:
    frame = plain(8, 8, 0)
    frame[..., 2] = 255
    got = form(TensorSpec("x", "uint8", (1, 8, 8, 1))).normalise(frame)
    # Rec. 601: red weighs 0.299.
    assert (got == 76).all()


def test_pictures_of_every_sort(tmp_path: Path) -> None:
    """Odd sizes, grey, with alpha, 16 bits: all are decoded to 8-bit colour, or grey."""
    made = {
        "odd.png": plain(13, 7),
        "grey.png": plain(9, 9)[..., 0],
        "alpha.png": np.dstack([plain(9, 9), np.zeros((9, 9), np.uint8)]),
        "deep.png": plain(9, 9).astype(np.uint16) * 257,
        "tiny.bmp": plain(1, 1),
    }
    for name, pixels in made.items():
        path = tmp_path / name
        assert cv2.imwrite(str(path), pixels)
        for spec in (PIXELS, TensorSpec("x", "uint8", (1, 1, 8, 8))):
            prepared = form(spec)
            got = prepared.normalise(prepared.resize(prepared.decode(str(path))))
            assert got.shape == spec.shape, name
            assert (got == 200).all(), name


def test_damaged_pictures(tmp_path: Path) -> None:
    whole = cv2.imencode(".png", np.arange(3000, dtype=np.uint8).reshape(25, 40, 3))[1].tobytes()
    path = tmp_path / "x.png"
    for data in (b"", b"\x89PNG", whole[:20], b"\0" * 100):
        path.write_bytes(data)
        with pytest.raises(UsageError) as caught:
            form(RGB).decode(str(path))
        assert str(caught.value) == f"{path}: not a picture that OpenCV can read"


def test_a_picture_that_says_it_is_huge(tmp_path: Path) -> None:
    path = tmp_path / "x.pgm"
    path.write_bytes(b"P5\n60000 60000\n255\n")
    with pytest.raises(UsageError) as caught:
        form(RGB).decode(str(path))
    assert str(caught.value).startswith(f"{path}: OpenCV refuses it: ")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"resize": "squash"}, "resize must be one of stretch, letterbox, crop, got squash"),
        ({"order": "GBR"}, "order must be one of RGB, BGR, got GBR"),
    ],
)
def test_forms_that_there_are_not(told: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        form(RGB, **told)
    assert str(caught.value) == message


def test_a_video_begins_again_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 12, (32, 24))
    for value in (50, 100, 150):
        writer.write(plain(24, 32, value))
    writer.release()
    video = Video(str(path))
    assert video.fps() == pytest.approx(12)
    # Opening it has read the first frame, to know that there is one.
    seen = [round(float(video.next_frame().mean()) / 50) for _ in range(7)]
    assert seen == [2, 3, 1, 2, 3, 1, 2]


def test_damaged_videos(tmp_path: Path) -> None:
    path = tmp_path / "v.avi"
    for data in (b"", b"RIFF\0\0\0\0AVI ", b"\0" * 5000):
        path.write_bytes(data)
        with pytest.raises(UsageError) as caught:
            Video(str(path))
        assert str(caught.value) == f"{path}: not a video that OpenCV can read"


def test_without_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(RuntimeFailure) as caught:
        form(RGB).decode("x.png")
    assert str(caught.value).startswith("pictures and videos need OpenCV: ")
    assert caught.value.hint == (
        "apt install python3-opencv (or pip install opencv-python-headless); "
        "an .npz of ready inputs needs none"
    )
