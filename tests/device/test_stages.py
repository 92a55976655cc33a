"""What a program does for a query, each stage timed apart, on real runtimes and real input."""

import random
import wave
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edge.adapters.data import data_folder
from edge.backends import load_backend
from edge.device import stages
from edge.device.parent import memory_limit
from edge.device.postprocess import choose, function_of
from edge.device.stages import END_TO_END, run_stages, stage_request
from edge.errors import EdgekitError, RuntimeFailure, UsageError
from edge.records.measurement import Frames, SessionConfig

DIGITS = data_folder("models") / "digits-cnn"
GREY = {"scale": 1 / 255, "offset": 0.0}
PICTURE_STAGES = ["decode", "resize", "normalise", "inference", "postprocess"]


def request(source: object, backend: str = "onnxruntime", **more: Any) -> dict[str, Any]:
    model = DIGITS / f"digits-cnn-fp32.{load_backend(backend).format}"
    told = {"min_queries": 12, "min_s": 0.0, "warmup_queries": 2, "preprocessing": GREY, **more}
    return stage_request(str(model), SessionConfig(backend, 1), str(source), shapes={}, **told)


def run(told: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], Frames | None]:
    got, frames = run_stages(told, memory_bytes=memory_limit(30_000), what="digits")
    return {stage.name: stage.latencies_ns for stage in got}, frames


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 12 samples of the default model as a folder of pictures."""
    folder = tmp_path_factory.mktemp("digits")
    with np.load(DIGITS / "samples.npz") as samples:
        for index, image in enumerate(samples["images"][:12]):
            grey = (image.reshape(8, 8) * 255).round().astype(np.uint8)
            # Each pixel as 5 by 5: the mean over an area gives it back.
            large = np.kron(grey, np.ones((5, 5), np.uint8))
            assert cv2.imwrite(str(folder / f"{index:02}.png"), large)
    return folder


@pytest.fixture(scope="module")
def video(digits: Path) -> Path:
    path = digits.parent / "digits.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (40, 40))
    for picture in sorted(digits.iterdir()):
        writer.write(cv2.imread(str(picture)))
    writer.release()
    return path


def classes_of_samples(backend: str) -> list[int]:
    model = DIGITS / f"digits-cnn-fp32.{load_backend(backend).format}"
    session = load_backend(backend).open(str(model), SessionConfig(backend, 1))
    with np.load(DIGITS / "samples.npz") as samples:
        feeds = samples["images"][:12].reshape(12, 1, 1, 8, 8).astype(np.float32)
    return [int(session.run({session.inputs[0].name: f})[0].argmax()) for f in feeds]


@pytest.mark.parametrize("backend", ["onnxruntime", "tflite"])
def test_pictures_are_seen_as_the_samples_are(digits: Path, backend: str) -> None:
    told = request(digits, backend)
    answer = stages.measure_stages({**told, "config": {"backend": backend, "threads": 1}})
    expected = classes_of_samples(backend)
    assert answer["inputs"] == {
        "kind": "folder",
        "count": 12,
        "postprocess": "top1",
        "results": expected,
    }
    assert len(set(expected)) > 5
    assert answer["frames"] is None


def test_an_npz_gives_the_same_classes_without_decoding(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with np.load(DIGITS / "samples.npz") as samples:
        np.savez(path, input=samples["images"][:12].reshape(12, 1, 1, 8, 8).astype(np.float32))
    answer = stages.measure_stages(request(path))
    assert answer["inputs"]["results"] == classes_of_samples("onnxruntime")
    assert list(answer["stages"]) == ["inference", "postprocess"]


def test_the_stages_add_up(digits: Path) -> None:
    got, frames = run(request(digits))
    assert list(got) == [*PICTURE_STAGES, END_TO_END]
    assert {len(times) for times in got.values()} == {12}
    whole = got.pop(END_TO_END)
    assert tuple(sum(parts) for parts in zip(*got.values(), strict=True)) == whole
    assert min(min(times) for times in got.values()) >= 0
    assert frames is None


def test_a_video_goes_on_after_its_end(video: Path) -> None:
    answer = stages.measure_stages(request(video, min_queries=30, warmup_queries=11))
    # Opening reads one frame, the check another, and the warm-ups leave off before the end.
    results = answer["inputs"]["results"]
    assert len(results) == 30
    assert results[:12] == results[12:24]


def test_frames_far_faster_than_they_can_be_served() -> None:
    told = request("test:1280x960", fps=1000, seconds=0.5)
    got, frames = run(told)
    assert frames is not None
    served = len(got[END_TO_END])
    assert frames == Frames("test:1280x960", 1000.0, 500, 500 - served)
    assert 0 < served < 500
    assert list(got) == ["wait", *PICTURE_STAGES[1:], END_TO_END]
    whole = got.pop(END_TO_END)
    assert tuple(sum(parts) for parts in zip(*got.values(), strict=True)) == whole


def test_a_video_at_a_rate(video: Path) -> None:
    got, frames = run(request(video, fps=50, seconds=0.4))
    assert frames is not None
    assert (frames.source, frames.per_s, frames.offered) == (str(video), 50.0, 20)
    assert len(got[END_TO_END]) + frames.dropped == 20


def test_a_latency_counts_from_the_scheduled_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100]

    def later(value: int) -> int:
        now[0] += 7
        return value + 1

    monkeypatch.setattr(stages, "time", SimpleNamespace(perf_counter_ns=lambda: now[0]))
    program = stages._Program([("a", later), ("b", later)])
    assert program.run(1, 90) == (3, 114)
    assert program.told() == {"wait": [10], "a": [7], "b": [7]}
    assert program.end_to_end.tolist() == [24]


def test_test_frames_need_a_rate() -> None:
    with pytest.raises(UsageError) as caught:
        request("test:4x4")
    assert str(caught.value) == "test:4x4: test frames need a rate"
    assert caught.value.hint == "--fps 30"


def test_damaged_files_are_clear_errors(tmp_path: Path, digits: Path, video: Path) -> None:
    """Each is an error that names the file: no crash, no hang, nothing else."""
    sound = tmp_path / "whole.wav"
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(400))
    generator = random.Random(4)
    for path in (digits / "00.png", video, sound):
        whole, errors = path.read_bytes(), list[str]()
        for attempt in range(40):
            damaged = bytearray(whole[: generator.randrange(len(whole))])
            for _ in range(attempt % 7):
                if damaged:
                    damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            bad = tmp_path / f"bad{path.suffix}"
            bad.write_bytes(damaged)
            try:
                stages.measure_stages(request(bad, min_queries=3, warmup_queries=0))
            except EdgekitError as error:
                errors.append(str(error))
        # What is left of some can still be read.
        assert len(errors) >= 10
        assert [error for error in errors if str(bad) not in error] == []


def test_a_damaged_picture_through_the_child(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_text("no picture", encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        run(request(path))
    assert str(caught.value) == f"{path}: not a picture that OpenCV can read"


def test_a_model_that_is_none(tmp_path: Path, digits: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"x")
    with pytest.raises(RuntimeFailure, match="cannot load the model"):
        run({**request(digits), "model": str(model)})


def floats(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([floats(1, 10)], "top1"),
        ([floats(1, 1000, 1, 1)], "top1"),
        ([floats(1, 1)], "none"),
        ([floats(1, 84, 8400)], "boxes"),
        ([floats(1, 25200, 85)], "boxes"),
        ([floats(1, 40, 6625)], "none"),
        ([floats(1, 128, 384)], "none"),
        ([floats(1, 896, 16), floats(1, 896, 1)], "boxes"),
        ([floats(1, 10, 4), floats(1, 10), floats(1, 10), floats(1)], "boxes"),
        ([floats(1, 172, 88), floats(1, 172, 264)], "none"),
        ([floats(1, 256, 256, 1)], "none"),
        ([np.zeros((1,), np.int64), floats(1, 10)], "none"),
        ([], "none"),
    ],
)
def test_what_the_shapes_suggest(outputs: list[np.ndarray], expected: str) -> None:
    assert choose(None, outputs) == expected


def test_what_was_asked_for() -> None:
    assert choose("none", [floats(1, 10)]) == "none"
    with pytest.raises(UsageError) as caught:
        choose("boxes", [floats(1, 10)])
    assert str(caught.value) == "the model's outputs are no boxes with scores"
    with pytest.raises(UsageError) as caught:
        choose("masks", [floats(1, 10)])
    assert str(caught.value) == "postprocess must be one of top1, boxes, none"


def test_boxes_that_overlap_are_one() -> None:
    yolo = floats(1, 6, 21)
    # Two of nearly the same place, one elsewhere, and one with a low score.
    for column, values in enumerate(
        [
            (50, 50, 20, 20, 0.9, 0),
            (51, 50, 20, 20, 0, 0.8),
            (9, 9, 4, 4, 0.7, 0),
            (5, 5, 9, 9, 0.4, 0),
        ]
    ):
        yolo[0, :, column] = values
    assert function_of("boxes")([yolo]) == 2
    corners, scores = floats(1, 3, 4), floats(1, 3)
    corners[0] = [(0, 0, 1, 1), (0, 0, 1, 0.9), (0.5, 0.5, 1.5, 1.5)]
    scores[0] = (0.9, 0.8, 0.7)
    assert function_of("boxes")([corners, scores]) == 2
    assert function_of("boxes")([corners, 0 * scores]) == 0
