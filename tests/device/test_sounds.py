"""Stretches of a WAV file become the input."""

import struct
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge.device.sounds import SoundForm
from edge.errors import UsageError
from edge.records.tensor import TensorSpec

ROW = TensorSpec("x", "float32", (1, 8))


def write_wav(
    path: Path, data: bytes, *, rate: int = 8000, channels: int = 1, width: int = 2
) -> str:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return str(path)


def shorts(values: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(values)}h", *values)


def fed(sound: SoundForm) -> dict[str, np.ndarray]:
    value: object = None
    for _name, step in sound.steps():
        value = step(value)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("width", "data"),
    [
        (1, bytes([128, 192, 0])),
        (2, shorts([0, 16384, -32768])),
        (3, bytes([0, 0, 0, 0, 0, 0x40, 0, 0, 0x80])),
        (4, struct.pack("<3i", 0, 1 << 30, -(1 << 31))),
    ],
)
def test_every_width_is_minus_1_to_1(tmp_path: Path, width: int, data: bytes) -> None:
    path = write_wav(tmp_path / "s.wav", data, width=width)
    got = fed(SoundForm(path, [ROW], {}))["x"]
    assert got.tolist() == [[0.0, 0.5, -1.0, 0, 0, 0, 0, 0]]
    assert got.dtype == np.float32


def test_channels_are_mixed(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "s.wav", shorts([16384, 0, -16384, 16384]), channels=2)
    assert fed(SoundForm(path, [ROW], {}))["x"][0, :3].tolist() == [0.25, 0.0, 0.0]


def test_stretches_in_turn_and_from_the_beginning_again(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "s.wav", shorts([n * 256 for n in range(1, 21)]))
    sound = SoundForm(path, [ROW], {"scale": 128.0})
    firsts = [fed(sound)["x"][0, 0] for _ in range(4)]
    assert firsts == [1.0, 9.0, 17.0, 1.0]


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        # Between the last sample of a stretch and the next there is nothing to go by: it is held.
        (16000, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]),
        (8000, [0, 1, 2, 3, 4, 5, 6, 7]),
        (4000, [0, 2, 4, 6, 8, 10, 12, 14]),
        (12000, [0, 2 / 3, 4 / 3, 2, 8 / 3, 10 / 3, 4, 14 / 3]),
    ],
)
def test_a_slope_stays_a_slope_at_another_rate(
    tmp_path: Path, rate: int, expected: list[float]
) -> None:
    path = write_wav(tmp_path / "s.wav", shorts([n * 256 for n in range(40)]))
    sound = SoundForm(path, [ROW], {"sample_rate_hz": rate, "scale": 128.0})
    assert fed(sound)["x"][0] == pytest.approx(np.array(expected))


def test_other_inputs_are_the_rate_or_nothing(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "s.wav", shorts([1] * 30))
    others = [TensorSpec("state", "float32", (2, 1, 4)), TensorSpec("sr", "int64", ())]
    got = fed(SoundForm(path, [ROW, *others], {"sample_rate_hz": 16000}))
    assert got["sr"].tolist() == 16000
    assert got["state"].shape == (2, 1, 4)
    assert not got["state"].any()


def test_a_model_that_takes_no_sound(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "s.wav", shorts([1]))
    with pytest.raises(UsageError) as caught:
        SoundForm(path, [TensorSpec("x", "int8", (1, 3, 40))], {})
    assert str(caught.value) == "the input x int8 1x3x40 takes no sound"


@pytest.mark.parametrize("length", [0, 4, 11, 30, 43, 44])
def test_a_file_that_ends_too_early(tmp_path: Path, length: int) -> None:
    path = Path(write_wav(tmp_path / "s.wav", shorts([1] * 10)))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UsageError) as caught:
        SoundForm(str(path), [ROW], {})
    assert caught.value.where == str(path)


def test_a_truncated_file_plays_what_is_left(tmp_path: Path) -> None:
    path = Path(write_wav(tmp_path / "s.wav", shorts([256] * 20)))
    path.write_bytes(path.read_bytes()[:-25])
    sound = SoundForm(str(path), [ROW], {})
    counts = [int((fed(sound)["x"] != 0).sum()) for _ in range(2)]
    assert counts == [7, 7]


@pytest.mark.parametrize(
    ("at", "field", "message"),
    [
        (20, struct.pack("<H", 3), "not a WAV file of plain samples: unknown format: 3"),
        (24, struct.pack("<I", 0), "its rate or its sample width is none of a sound"),
        (24, struct.pack("<I", 2**32 - 1), "its rate or its sample width is none of a sound"),
        (34, struct.pack("<H", 64), "its rate or its sample width is none of a sound"),
        (0, b"RIFX", "not a WAV file of plain samples: file does not start with RIFF id"),
    ],
)
def test_a_damaged_head(tmp_path: Path, at: int, field: bytes, message: str) -> None:
    path = Path(write_wav(tmp_path / "s.wav", shorts([1] * 100)))
    data = bytearray(path.read_bytes())
    data[at : at + len(field)] = field
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        SoundForm(str(path), [ROW], {})
    assert str(caught.value) == f"{path}: {message}"
