"""What a pickle names, listed by a machine that makes nothing of it.

The opcodes are followed as Python's own unpickler follows them, but a name is never looked up: it
becomes a blank, which takes whatever a pickle does to it. pickletools.genops would do for a plain
pickle; joblib writes arrays between the opcodes, and where one ends only following them tells.
"""

import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, ClassVar, Final

from edge.errors import ModelError, printable
from edge.importers.kinds import plain_pickle

_ARRAY: Final = ("joblib.numpy_pickle", "NumpyArrayWrapper")
_OLD_ARRAYS: Final = (
    ("joblib.numpy_pickle", "NDArrayWrapper"),
    (
        "joblib.numpy_pickle",
        "ZNDArrayWrapper",
    ),
)
_DTYPE: Final = ("numpy", "dtype")
_DTYPE_CODE: Final = re.compile(r"[<>|=]?([a-zA-Z])(\d+)")
_VERSION_KEY: Final = "_sklearn_version"
# What NumPy calls a character: four bytes.
_UNICODE_BYTES: Final = 4
_LONGEST_ARRAY_BYTES: Final = 1 << 40


def list_names(request: Mapping[str, Any]) -> dict[str, Any]:
    """Tell what the pickle `path` would import, without importing any of it.

    `request`: path, folder (for an uncompressed copy). The answer: plain (the file to unpickle),
    names ([module, name], sorted), top (of the object itself), wrote (versions of scikit-learn
    that estimators in it were saved with).

    Raises:
        ModelError: it is damaged, or uses what no estimator needs.
        HostError: a compression whose library is not installed.
    """
    path = Path(request["path"])
    plain = plain_pickle(path, Path(request["folder"]))
    with plain.open("rb") as file:
        machine = _Machine(file)
        try:
            top = machine.load()
        except ModelError as error:
            raise ModelError(error.what, where=path, hint=error.hint) from error
        except Exception as error:
            # A damaged pickle fails in any way that Python can.
            what = f"a damaged pickle: {printable(str(error) or type(error).__name__, 200)}"
            raise ModelError(what, where=path, hint="was it copied completely?") from error
    return {
        "plain": str(plain),
        "names": sorted(machine.names),
        "top": list(_name_of(top) or ()),
        "wrote": sorted(machine.wrote),
    }


class _Blank:
    """Stands for whatever a pickle names or makes; doing things to it does nothing."""

    def __init__(self, name: tuple[str, str], arguments: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None

    def __call__(self, *arguments: Any) -> "_Blank":
        return _Blank(self.name, arguments)

    def __setitem__(self, _key: Any, _value: Any) -> None:
        """Forget an entry."""

    def append(self, _value: Any) -> None:
        """Forget an entry."""

    def extend(self, _values: Any) -> None:
        """Forget entries."""

    def update(self, _values: Any) -> None:
        """Forget entries."""

    def add(self, _value: Any) -> None:
        """Forget an entry."""


# Python's machine that is written in Python, which joblib's is made from, too: the only one whose
# opcodes can be replaced. What is known of its types is that of the other one.
_Pythons: Any = pickle._Unpickler  # noqa: SLF001 - see above


class _Machine(_Pythons):  # type: ignore[misc]
    """An unpickler whose every name is a blank."""

    dispatch: ClassVar = dict(_Pythons.dispatch)

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self._stream = file
        self.names: set[tuple[str, str]] = set()
        self.wrote: set[str] = set()

    def find_class(self, module: str, name: str) -> _Blank:
        """Note a name."""
        self.names.add((module, name))
        return _Blank((module, name))

    def persistent_load(self, _pid: Any) -> Any:
        """Refuse what is elsewhere."""
        raise ModelError(
            "it refers to objects outside of the file",
            hint="a PyTorch file? export it to ONNX",
        )

    def get_extension(self, _code: int) -> None:
        """Refuse what is registered in one process only."""
        raise ModelError("it uses the registry of extensions, which no estimator does")

    def load_make(self) -> None:
        """Make an object: a blank, whatever the arguments."""
        arguments = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _Blank):
            raise ModelError("it calls what cannot be called")
        if made.name == ("copyreg", "_reconstructor") and arguments:
            made = arguments[0]
        self.stack[-1] = made(*arguments) if isinstance(made, _Blank) else made

    def load_make_with_keys(self) -> None:
        """Make an object with keywords."""
        self.stack.pop()
        self.load_make()

    def load_state(self) -> None:
        """Give an object its state; what comes after joblib's arrays is skipped."""
        state = self.stack.pop()
        made = self.stack[-1]
        if not isinstance(made, _Blank):
            return
        made.state = state
        if isinstance(state, dict):
            version = state.get(_VERSION_KEY)
            if isinstance(version, str):
                self.wrote.add(version)
        if made.name == _ARRAY:
            self._skip_array(state if isinstance(state, dict) else {})
        elif made.name in _OLD_ARRAYS:
            raise ModelError(
                "written by joblib older than 0.10", hint="load it there and save it anew"
            )

    dispatch[pickle.REDUCE[0]] = load_make
    dispatch[pickle.NEWOBJ[0]] = load_make
    dispatch[pickle.NEWOBJ_EX[0]] = load_make_with_keys
    dispatch[pickle.BUILD[0]] = load_state

    def _instantiate(self, klass: Any, args: Any) -> None:
        """Make an object of the opcodes INST and OBJ."""
        self.append(_Blank(klass.name, tuple(args)) if isinstance(klass, _Blank) else None)

    def _skip_array(self, state: Mapping[Any, Any]) -> None:
        """Go to behind an array that joblib wrote (joblib.numpy_pickle, read_array)."""
        dtype, shape = state.get("dtype"), state.get("shape")
        code = _dtype_code(dtype)
        sizes = shape if isinstance(shape, tuple) else None
        if code is None or sizes is None or not all(isinstance(n, int) and n >= 0 for n in sizes):
            raise ModelError("an array that edgekit cannot make out")
        if code[0] == "O":
            nested = _Machine(self._stream)
            nested.load()
            self.names |= nested.names
            self.wrote |= nested.wrote
            return
        if state.get("numpy_array_alignment_bytes") is not None:
            self._skip(self._stream.read(1)[0])
        count = code[1] * (_UNICODE_BYTES if code[0] == "U" else 1)
        for size in sizes:
            count *= size
        self._skip(count)

    def _skip(self, count: int) -> None:
        if count > _LONGEST_ARRAY_BYTES:
            raise ModelError("an array that is larger than any file")
        here = self._stream.tell()
        end = self._stream.seek(0, io.SEEK_END)
        if here + count > end:
            raise EOFError("cut short in an array")
        self._stream.seek(here + count)


def _dtype_code(dtype: Any) -> tuple[str, int] | None:
    """Return a type's letter and its size in bytes (characters of U)."""
    if not isinstance(dtype, _Blank) or dtype.name != _DTYPE or not dtype.arguments:
        return None
    found = _DTYPE_CODE.fullmatch(str(dtype.arguments[0]))
    return None if found is None else (found[1], int(found[2]))


def _name_of(made: Any) -> tuple[str, str] | None:
    return made.name if isinstance(made, _Blank) else None
