"""What an input is, and frames that are offered at a rate."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.device.sources import check_rate, kind_of, open_source, serve_frames
from edge.errors import UsageError
from edge.records.tensor import TensorSpec

NS = 1_000_000_000
GREY = TensorSpec("x", "float32", (1, 1, 8, 8))


class Clock:
    """A clock that only sleeping, working and looking at it move."""

    def __init__(self) -> None:
        self.now = 5 * NS
        self.slept: list[float] = []

    def read(self) -> int:
        self.now += 1000
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.now += int(seconds * NS)


def served(fps: float, seconds: float, durations: list[int]) -> tuple[list[int], int, int]:
    """Serve with a program that takes each of `durations` in turn; return the frames taken."""
    clock, taken = Clock(), list[int]()

    def work(frame: int, arrived: int) -> int:
        assert clock.now >= arrived
        taken.append(frame)
        clock.now += durations[len(taken) % len(durations)]
        return clock.now

    offered, dropped = serve_frames(work, fps, seconds, clock.read, clock.sleep)
    return taken, offered, dropped


def test_a_program_that_keeps_up_takes_every_frame() -> None:
    assert served(10, 1, [NS // 20]) == (list(range(10)), 10, 0)


def test_the_newest_is_taken_and_those_before_it_are_dropped() -> None:
    # A frame each 100 ms, 250 ms of work: at 250 ms frame 2 is the newest, at 500 ms frame 5.
    assert served(10, 1, [NS // 4]) == ([0, 2, 5, 7, 9], 10, 5)


def test_a_program_that_is_slower_than_the_whole_schedule_ends() -> None:
    assert served(1000, 1, [3 * NS]) == ([0, 999], 1000, 998)


def test_it_sleeps_until_just_before_an_arrival() -> None:
    clock = Clock()

    def work(_frame: int, _arrived: int) -> int:
        return clock.now

    assert serve_frames(work, 10, 0.2, clock.read, clock.sleep) == (2, 0)
    assert clock.slept == [pytest.approx(0.0995, abs=1e-4)]


@given(
    st.floats(0.5, 1000),
    st.floats(0.01, 2),
    st.lists(st.integers(1, NS), min_size=1, max_size=5),
)
def test_every_frame_is_taken_or_dropped(fps: float, seconds: float, durations: list[int]) -> None:
    taken, offered, dropped = served(fps, seconds, durations)
    assert len(taken) + dropped == offered == max(1, int(seconds * fps))
    assert taken == sorted(set(taken))
    assert taken[-1] == offered - 1


def test_kinds(tmp_path: Path) -> None:
    for name in ("a.JPG", "a.mp4", "a.wav", "a.txt", "a.npz"):
        (tmp_path / name).touch()
    found = [kind_of(str(path)) for path in sorted(tmp_path.iterdir())]
    assert found == ["picture", "video", "samples", "text", "sound"]
    assert kind_of(str(tmp_path)) == "folder"
    assert (kind_of("camera:0"), kind_of("test:640x480")) == ("camera", "test")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("camera:x", "camera:x: no such source"),
        ("test:640", "test:640: no such source"),
        ("test:0x5", "test:0x5: frames have at least 1 and at most 2^26 pixels"),
        ("test:99999x99999", "test:99999x99999: frames have at least 1 and at most 2^26 pixels"),
        ("/no/such.png", "/no/such.png: no such file"),
    ],
)
def test_what_is_no_source(name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind_of(name)
    assert str(caught.value) == message


def test_files_that_are_not_read(tmp_path: Path) -> None:
    for name, message, hint in (
        ("a.mp3", "of sound files only WAV is read", "ffmpeg -i FILE"),
        ("a.xyz", "its kind is not known", "it reads folders of pictures, and .jpg .jpeg"),
    ):
        (tmp_path / name).touch()
        with pytest.raises(UsageError) as caught:
            kind_of(str(tmp_path / name))
        assert caught.value.what == message
        assert (caught.value.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("kind", "fps", "seconds", "message"),
    [
        ("picture", 5.0, 1.0, "a rate is of a source of frames: a camera, a video file or"),
        ("video", 0.0, 1.0, "the rate must be above 0 and at most 1000 a second, got 0"),
        ("video", 2000.0, 1.0, "the rate must be above 0 and at most 1000 a second, got 2000"),
        ("video", 5.0, 0.0, "0 s are none, or more than 200000 frames"),
        ("camera", None, 1e9, "1e+09 s are none, or more than 200000 frames"),
        (
            "camera",
            float("nan"),
            1.0,
            "the rate must be above 0 and at most 1000 a second, got nan",
        ),
        ("camera", 5.0, float("nan"), "nan s are none, or more than 200000 frames"),
    ],
)
def test_rates_that_there_are_not(
    kind: str, fps: float | None, seconds: float, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        check_rate(kind, fps, seconds)
    assert str(caught.value).startswith(message)


def test_made_frames_have_the_size_and_move() -> None:
    source = open_source("test:40x30", [GREY], {})
    frames = [source.first(index) for index in range(3)]
    assert {frame.shape for frame in frames} == {(30, 40, 3)}
    assert (frames[0] != frames[1]).any()
    assert [name for name, _step in source.steps] == ["resize", "normalise"]


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(UsageError) as caught:
        open_source("camera:97", [GREY], {})
    assert str(caught.value) == "camera:97: no frame came"
    assert caught.value.hint == "is a camera of this number there, and free?"


def test_a_picture_is_one_input() -> None:
    with pytest.raises(UsageError) as caught:
        open_source("test:4x4", [GREY, GREY], {})
    assert str(caught.value) == "test:4x4: the model has 2 inputs, a picture is one"


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_source(str(tmp_path), [GREY], {})
    assert caught.value.what == "no pictures there"
