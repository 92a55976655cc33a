"""Pictures and videos as a model's input, by OpenCV, in the limited child. Device slice: Python 3.8.

OpenCV is imported when something is decoded: a bundle does not carry it.
"""

from typing import TYPE_CHECKING, Any, Final, Mapping, Optional, Tuple

from edge.errors import RuntimeFailure, UsageError, printable
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array

# Pixels of 0 to 255 become 0 to 1 where nothing says how the model was trained.
SCALE: Final = 1 / 255
RESIZES: Final = ("stretch", "letterbox", "crop")
ORDERS: Final = ("RGB", "BGR")
# The grey of the bars, as Ultralytics' YOLO models were trained with (utils/augmentations.py).
_BARS = 114


def import_opencv() -> Any:
    """Return the module cv2.

    Raises:
        RuntimeFailure: it is not to be had here.
    """
    try:
        import cv2
    except (ImportError, AttributeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise RuntimeFailure(
            "pictures and videos need OpenCV: {}".format(printable(lines[0], 200)),
            hint="apt install python3-opencv (or pip install opencv-python-headless); "
            "an .npz of ready inputs needs none",
        ) from error
    return cv2


def picture_shape(spec: TensorSpec) -> Tuple[int, ...]:
    """Return the shape of an input that takes one picture.

    Raises:
        UsageError: it does not.
    """
    shape = spec.shape or ()
    sizes = tuple(d if isinstance(d, int) else 1 for d in shape[:1])
    sizes += tuple(d for d in shape[1:] if isinstance(d, int))
    fits = len(shape) == 4 and len(sizes) == 4 and sizes[0] == 1 and min(sizes) > 0
    if not fits or _channel_axis(sizes) is None:
        what = "the input {} takes no picture".format(printable(spec))
        raise UsageError(what, hint="needed: 1,C,H,W or 1,H,W,C with 1 or 3 channels; use an .npz")
    return sizes


def _channel_axis(shape: Tuple[int, ...]) -> Optional[int]:
    return next((axis for axis in (1, 3) if shape[axis] in (1, 3)), None)


def check_form(form: Mapping[str, Any]) -> None:
    """Refuse a way of preparing pictures that there is not.

    Raises:
        UsageError: `resize` or `order` is none of those.
    """
    for key, known in (("resize", RESIZES), ("order", ORDERS)):
        if form.get(key) not in (None, *known):
            what = "{} must be one of {}, got {}".format(key, ", ".join(known), form[key])
            raise UsageError(printable(what))


class PictureForm:
    """How pictures become one input: `decode`, then `resize`, then `normalise`."""

    def __init__(self, spec: TensorSpec, form: Mapping[str, Any]) -> None:
        """Keep what the input's shape and `form` {scale, offset, resize, order} ask for.

        A scale or an offset is a number, or one for each channel.

        Raises:
            UsageError: the input takes no picture, or the form is none.
        """
        import numpy as np

        check_form(form)
        shape = picture_shape(spec)
        axis = _channel_axis(shape)
        self.channels = shape[axis or 0]
        self._first = axis == 1
        self.height, self.width = shape[2:] if self._first else shape[1:3]
        self._dtype = np.dtype(spec.dtype)
        self._resize = form.get("resize") or "stretch"
        self._swap = self.channels == 3 and (form.get("order") or "RGB") == "RGB"
        # In the float that the model takes: that is what a program would compute in.
        counts = np.float64 if self._dtype == np.float64 else np.float32
        scale, offset = form.get("scale"), form.get("offset")
        self._scale = self._each(SCALE if scale is None else scale, counts)
        self._offset = self._each(0.0 if offset is None else offset, counts)

    def _each(self, value: Any, dtype: Any) -> "Array":
        import numpy as np

        values = np.asarray(value, dtype)
        if values.shape not in ((), (self.channels,)):
            raise UsageError("a scale or offset is 1 number or {}".format(self.channels))
        return values

    def decode(self, path: str) -> "Array":
        """Read a picture as OpenCV does: blue, green, red, or grey for an input of one channel.

        Raises:
            UsageError: it is no picture.
        """
        cv2 = import_opencv()
        how = cv2.IMREAD_GRAYSCALE if self.channels == 1 else cv2.IMREAD_COLOR
        try:
            pixels: Optional[Array] = cv2.imread(path, how)
        except cv2.error as error:
            # A picture of more than 2^30 pixels, or than there is memory for.
            reason = str(error).strip().splitlines()[0]
            raise UsageError(printable("OpenCV refuses it: " + reason, 200), where=path) from error
        if pixels is None:
            raise UsageError("not a picture that OpenCV can read", where=path)
        return pixels

    def resize(self, pixels: "Array") -> "Array":
        """Bring a picture to the input's height and width.

        stretch: each side for itself. letterbox: as large as fits, in the middle, with bars of
        grey. crop: the largest part in the middle that has the input's proportions.
        """
        import numpy as np

        if self._resize == "stretch":
            return self.scaled(pixels, self.height, self.width)
        height, width = pixels.shape[:2]
        ratios = self.height / height, self.width / width
        if self._resize == "crop":
            ratio = max(ratios)
            rows = min(height, max(1, int(self.height / ratio + 0.5)))
            columns = min(width, max(1, int(self.width / ratio + 0.5)))
            top, left = (height - rows) // 2, (width - columns) // 2
            part = pixels[top : top + rows, left : left + columns]
            return self.scaled(part, self.height, self.width)
        ratio = min(ratios)
        rows, columns = (max(1, int(side * ratio + 0.5)) for side in (height, width))
        top, left = (self.height - rows) // 2, (self.width - columns) // 2
        whole = np.full((self.height, self.width, *pixels.shape[2:]), _BARS, pixels.dtype)
        whole[top : top + rows, left : left + columns] = self.scaled(pixels, rows, columns)
        return whole

    def scaled(self, pixels: "Array", height: int, width: int) -> "Array":
        """Return the whole picture at another size: means of areas where it becomes smaller."""
        cv2 = import_opencv()
        smaller = pixels.shape[0] * pixels.shape[1] > height * width
        how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        resized: Array = cv2.resize(pixels, (width, height), interpolation=how)
        return resized

    def normalise(self, pixels: "Array") -> "Array":
        """Return the input: channels in order, value * scale + offset, type and layout.

        An integer input takes the pixels as they are.
        """
        import numpy as np

        pixels = pixels.reshape(self.height, self.width, -1)
        if self.channels == 1 and pixels.shape[2] == 3:
            # A frame of a video; a picture was decoded as grey.
            cv2 = import_opencv()
            pixels = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_BGR2GRAY)[..., None]
        if self._swap:
            pixels = pixels[..., ::-1]
        if self._dtype.kind == "f":
            pixels = pixels * self._scale
            pixels += self._offset
        elif self._dtype == np.int8:
            # An int8 input of a quantised picture network is the pixel less its zero point, 128.
            pixels = pixels.astype(np.int16) - 128
        if self._first:
            pixels = pixels.transpose(2, 0, 1)
        return np.ascontiguousarray(pixels[None], self._dtype)


class Video:
    """The frames of a video file, from its beginning again at its end, or those of a camera."""

    def __init__(
        self, name: str, camera: Optional[int] = None, fps: Optional[float] = None
    ) -> None:
        """Open it; a camera is asked for `fps` frames a second and for no more than one in store.

        Raises:
            UsageError: no frame of it can be read.
        """
        self._cv2 = import_opencv()
        self._name, self._camera = name, camera
        self._capture = self._cv2.VideoCapture(name if camera is None else camera)
        if camera is not None and self._capture.isOpened():
            self._capture.set(self._cv2.CAP_PROP_BUFFERSIZE, 1)
            if fps is not None:
                self._capture.set(self._cv2.CAP_PROP_FPS, fps)
        self.next_frame()

    def fps(self) -> Optional[float]:
        """Return the frames a second that it says it has, or None."""
        told = float(self._capture.get(self._cv2.CAP_PROP_FPS))
        return told if 0 < told <= 1000 else None

    def next_frame(self) -> "Array":
        """Return the next frame; blue, green, red.

        Raises:
            UsageError: there is none.
        """
        came, frame = self._capture.read()
        if not came and self._camera is None:
            self._capture.release()
            self._capture = self._cv2.VideoCapture(self._name)
            came, frame = self._capture.read()
        if not came:
            what = "not a video that OpenCV can read" if self._camera is None else "no frame came"
            hint = None if self._camera is None else "is a camera of this number there, and free?"
            raise UsageError(what, where=self._name, hint=hint)
        read: Array = frame
        return read


def limit_threads(threads: int) -> None:
    """Let OpenCV use no more threads than an inference may."""
    import_opencv().setNumThreads(threads)
