"""What a program's queries are made of: files, a camera, frames at a rate. Device slice: Python 3.8.

Looking at what an input is needs neither numpy nor OpenCV: a command does it before a child starts.
"""

import os
import re
from dataclasses import dataclass
from typing import Any, Callable, Final, List, Mapping, Optional, Sequence, Tuple

from edge.errors import UsageError
from edge.records.tensor import TensorSpec

PICTURES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm")
VIDEOS: Final = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")
_KINDS: Final = {
    **dict.fromkeys(PICTURES, "picture"),
    **dict.fromkeys(VIDEOS, "video"),
    ".wav": "sound",
    ".txt": "text",
    ".npz": "samples",
}
_SOUNDS: Final = (".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac")
# What has frames, and so may have a rate.
FRAMES: Final = ("camera", "test", "video")
_MOST_PICTURES = 1000
_MOST_PIXELS = 1 << 26
_MOST_FRAMES = 200_000
_TEST_FRAMES = 8
_DEFAULT_FPS = 30.0
_NS = 1_000_000_000
# A sleeping process is woken late; that is not to count as the program's time.
_SPIN_NS = 500_000
_CAMERA = re.compile(r"camera:(\d{1,3})")
_TEST = re.compile(r"test:(\d{1,5})x(\d{1,5})")

Step = Tuple[str, Callable[[Any], Any]]


def kind_of(name: str) -> str:
    """Return what an input is: picture, folder, video, sound, text, samples, camera or test.

    Raises:
        UsageError: there is no such file, or it is nothing that is read.
    """
    if _CAMERA.fullmatch(name):
        return "camera"
    size = _TEST.fullmatch(name)
    if size is not None:
        if not 0 < int(size.group(1)) * int(size.group(2)) <= _MOST_PIXELS:
            raise UsageError("frames have at least 1 and at most 2^26 pixels", where=name)
        return "test"
    if name.startswith(("camera:", "test:")):
        raise UsageError("no such source", where=name, hint="camera:0, or test:640x480")
    if os.path.isdir(name):
        return "folder"
    if not os.path.exists(name):
        raise UsageError("no such file", where=name)
    suffix = os.path.splitext(name)[1].lower()
    if suffix in _SOUNDS:
        what = "of sound files only WAV is read"
        raise UsageError(what, where=name, hint="ffmpeg -i FILE -c:a pcm_s16le sound.wav makes one")
    if suffix not in _KINDS:
        hint = "it reads folders of pictures, and " + " ".join(_KINDS)
        raise UsageError("its kind is not known", where=name, hint=hint)
    return _KINDS[suffix]


def check_rate(kind: str, fps: Optional[float], seconds: float) -> None:
    """Refuse a rate that is none, or of what has no frames.

    Raises:
        UsageError: so it is.
    """
    if fps is not None and kind not in FRAMES:
        what = "a rate is of a source of frames: a camera, a video file or test:WIDTHxHEIGHT"
        raise UsageError(what)
    if fps is not None and not 0 < fps <= 1000:
        raise UsageError("the rate must be above 0 and at most 1000 a second, got {:g}".format(fps))
    if not 0 < seconds < float("inf") or (fps or _DEFAULT_FPS) * seconds > _MOST_FRAMES:
        raise UsageError("{:g} s are none, or more than {} frames".format(seconds, _MOST_FRAMES))


@dataclass(frozen=True)
class Source:
    """A stream of queries: `first(i)` is untimed and gives what the first of `steps` takes.

    The last step gives the model's inputs. `count` is the number of different queries, None where
    they go on; `fps` is the rate that the source itself has.
    """

    kind: str
    first: Callable[[int], Any]
    steps: List[Step]
    count: Optional[int] = None
    fps: Optional[float] = None


def open_source(
    name: str,
    specs: Sequence[TensorSpec],
    form: Mapping[str, Any],
    *,
    fps: Optional[float] = None,
    threads: int = 1,
) -> Source:
    """Open what `name` names for a model with the inputs `specs`, of known shapes; in the child.

    Raises:
        UsageError: it cannot be read, or the model takes no such thing.
        RuntimeFailure: OpenCV is missing.
    """
    kind = kind_of(name)
    if kind == "samples":
        return _samples(name, specs)
    if kind == "sound":
        from edge.device.sounds import SoundForm

        return Source(kind, lambda _index: None, SoundForm(name, specs, form).steps())
    if kind == "text":
        from edge.device.tokens import TextForm

        texts = TextForm(name, specs, form)
        lines = texts.texts
        return Source(
            kind, lambda i: lines[i % len(lines)], [("tokenise", texts.tokenise)], len(lines)
        )
    return _pictures(name, kind, specs, form, fps=fps, threads=threads)


def _samples(name: str, specs: Sequence[TensorSpec]) -> Source:
    from edge.device.feeds import read_samples

    arrays = read_samples(name, specs, {})
    count = len(next(iter(arrays.values())))
    return Source(
        "samples", lambda i: {key: a[i % count, ...] for key, a in arrays.items()}, [], count
    )


def _pictures(
    name: str,
    kind: str,
    specs: Sequence[TensorSpec],
    form: Mapping[str, Any],
    *,
    fps: Optional[float],
    threads: int,
) -> Source:
    from edge.device.pictures import PictureForm, Video, limit_threads

    if len(specs) != 1:
        what = "the model has {} inputs, a picture is one".format(len(specs))
        raise UsageError(what, where=name, hint="give an .npz with an array for each input")
    limit_threads(threads)
    picture = PictureForm(specs[0], form)
    key = specs[0].name
    ends: List[Step] = [
        ("resize", picture.resize),
        ("normalise", lambda pixels: {key: picture.normalise(pixels)}),
    ]
    if kind in ("picture", "folder"):
        paths = [name] if kind == "picture" else _folder(name)
        steps: List[Step] = [("decode", picture.decode), *ends]
        return Source(kind, lambda i: paths[i % len(paths)], steps, len(paths))
    if kind == "test":
        frames = _test_frames(name)
        return Source(kind, lambda i: frames[i % len(frames)], ends, len(frames), _DEFAULT_FPS)
    camera = _CAMERA.fullmatch(name)
    video = Video(name, None if camera is None else int(camera.group(1)), fps)
    step: Step = ("decode", lambda _value: video.next_frame())
    return Source(kind, lambda _index: None, [step, *ends], None, video.fps() or _DEFAULT_FPS)


def _folder(name: str) -> List[str]:
    names = sorted(n for n in os.listdir(name) if os.path.splitext(n)[1].lower() in PICTURES)
    if not names:
        raise UsageError("no pictures there", where=name, hint="it reads " + " ".join(PICTURES))
    return [os.path.join(name, n) for n in names[:_MOST_PICTURES]]


def _test_frames(name: str) -> List[Any]:
    """Make frames with something in them: a slope in each direction, which wanders."""
    import numpy as np

    size = _TEST.fullmatch(name)
    assert size is not None
    width, height = int(size.group(1)), int(size.group(2))
    down, right = np.arange(height)[:, None], np.arange(width)[None, :]
    return [
        np.stack(
            [(down + n) % 256 + 0 * right, right % 256 + 0 * down, (down + right) % 256], 2
        ).astype(np.uint8)
        for n in range(_TEST_FRAMES)
    ]


def serve_frames(
    work: Callable[[int, int], int],
    fps: float,
    seconds: float,
    clock: Callable[[], int],
    sleep: Callable[[float], None],
) -> Tuple[int, int]:
    """Offer frames at a rate to a program that takes the newest; return (offered, dropped).

    Frame k arrives k / fps after the start. Whenever the program is free it takes the newest frame
    that has arrived, and those before it that it has not taken are dropped; if there is none it
    waits for the next. `work(k, arrived)` is the program: it returns the clock at its end.
    """
    offered = max(1, int(seconds * fps))
    start = now = clock()
    taken, dropped = -1, 0
    while taken < offered - 1:
        newest = min(offered - 1, int((now - start) * fps / _NS))
        frame = max(newest, taken + 1)
        arrived = start + int(frame * _NS / fps)
        while now < arrived:
            if arrived - now > _SPIN_NS:
                sleep((arrived - now - _SPIN_NS) / _NS)
            now = clock()
        dropped += frame - taken - 1
        taken = frame
        now = work(frame, arrived)
    return offered, dropped
