"""Stretches of a WAV file as a model's input, in the limited child. Device slice: Python 3.8."""

import struct
import wave
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from edge.errors import UsageError, printable
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    from edge.backends.protocol import Array

# No recorder goes beyond; a damaged header may say anything.
_HIGHEST_RATE_HZ = 768_000
# What the module wave lets through of a damaged file.
_FAILURES = (wave.Error, EOFError, OSError, RuntimeError, ValueError, struct.error)


class SoundForm:
    """One stretch of a file after the other, from its beginning again at its end.

    The model's first input takes as many values as it has elements, mono, from -1 to 1. Of its
    other inputs a whole number takes the rate, and anything else (a state) is 0.
    """

    def __init__(self, path: str, specs: Sequence[TensorSpec], form: Mapping[str, Any]) -> None:
        """Open the file for inputs of known shapes; `form` {scale, offset, sample_rate_hz}.

        Without a rate the file's own is taken for the model's.

        Raises:
            UsageError: the file is no WAV of plain samples, or the model takes no sound.
        """
        import numpy as np

        spec = specs[0]
        self._shape = tuple(int(size or 0) for size in spec.shape or ())
        self._length = int(np.prod(self._shape)) if self._shape else 0
        if np.dtype(spec.dtype).kind != "f" or self._length < 2:
            what = "the input {} takes no sound".format(printable(spec))
            raise UsageError(what, hint="needed: a row of float values; use an .npz")
        self._path, self._name, self._dtype = path, spec.name, np.dtype(spec.dtype)
        self._scale, self._offset = form.get("scale"), form.get("offset")
        self._file = _opened(path)
        self._file_hz = self._file.getframerate()
        self.rate_hz = int(form.get("sample_rate_hz") or self._file_hz)
        self._frames = -(-self._length * self._file_hz // self.rate_hz)
        self._others = {s.name: self._other(s) for s in specs[1:]}
        if not len(self.decode(None)):
            raise UsageError("there is no sound in it", where=path)
        self._file.rewind()

    def _other(self, spec: TensorSpec) -> "Array":
        import numpy as np

        shape = tuple(int(size or 0) for size in spec.shape or ())
        is_rate = np.dtype(spec.dtype).kind in "iu" and int(np.prod(shape)) == 1
        return np.full(shape, self.rate_hz if is_rate else 0, spec.dtype)

    def steps(self) -> List[Tuple[str, Callable[[Any], Any]]]:
        """Return the stages from nothing to the inputs."""
        return [
            ("decode", self.decode),
            ("resample", self.resample),
            ("normalise", self.normalise),
        ]

    def decode(self, _value: object) -> "Array":
        """Read the next stretch as numbers from -1 to 1, channels mixed into one."""
        import numpy as np

        data = self._read()
        width, channels = self._file.getsampwidth(), self._file.getnchannels()
        data = data[: len(data) - len(data) % (width * channels)]
        if width == 1:
            # A WAV's 8-bit samples are unsigned, all others signed (Microsoft, RIFF MCI, 1991).
            values = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        elif width == 3:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = wide.view("<i4")[:, 0].astype(np.float32) / 2.0**31
        else:
            read = np.frombuffer(data, "<i{}".format(width))
            values = read.astype(np.float32) / np.float32(2.0 ** (8 * width - 1))
        mixed: Array = values.reshape(-1, channels).mean(axis=1, dtype=np.float32)
        return mixed

    def _read(self) -> bytes:
        try:
            data = self._file.readframes(self._frames)
            if not data:
                self._file.rewind()
                data = self._file.readframes(self._frames)
        except _FAILURES as error:
            raise _unreadable(self._path, error) from error
        return data

    def resample(self, values: "Array") -> "Array":
        """Bring the stretch to the model's rate, by linear interpolation."""
        import numpy as np

        if self.rate_hz == self._file_hz:
            return values
        count = min(self._length, -(-len(values) * self.rate_hz // self._file_hz))
        at = np.arange(count) * (self._file_hz / self.rate_hz)
        return np.interp(at, np.arange(len(values)), values).astype(np.float32)

    def normalise(self, values: "Array") -> "Dict[str, Array]":
        """Return the inputs: scaled, cut or filled up with silence, in type and shape."""
        import numpy as np

        if self._scale is not None or self._offset is not None:
            scale, offset = self._number(self._scale, 1.0), self._number(self._offset, 0.0)
            values = values * np.float32(scale) + np.float32(offset)
        whole = np.zeros(self._length, self._dtype)
        whole[: len(values)] = values[: self._length]
        return {self._name: whole.reshape(self._shape), **self._others}

    @staticmethod
    def _number(value: Optional[float], otherwise: float) -> float:
        return otherwise if value is None else float(value)


def _opened(path: str) -> wave.Wave_read:
    try:
        file = wave.open(path, "rb")  # noqa: SIM115 - it is read from until the child ends
    except _FAILURES as error:
        raise _unreadable(path, error) from error
    if not 0 < file.getframerate() <= _HIGHEST_RATE_HZ or file.getsampwidth() not in (1, 2, 3, 4):
        raise UsageError("its rate or its sample width is none of a sound", where=path)
    return file


def _unreadable(path: str, error: BaseException) -> UsageError:
    reason = printable(str(error) or "it ends too early", 200)
    return UsageError(
        "not a WAV file of plain samples: {}".format(reason),
        where=path,
        hint="ffmpeg -i FILE -c:a pcm_s16le sound.wav makes one",
    )
