"""numpy without its parts: what is loaded, and that all of it works."""

import subprocess
import sys

import pytest

LOADED = "print([n for n in ('core', 'random', 'ma', 'fft') if loaded('numpy.' + n)])"
PROGRAM = """
import sys
from edge.device.lazily import import_lazily
finders = list(sys.meta_path)
import_lazily("numpy")
assert sys.meta_path == finders

def loaded(name):
    return type(sys.modules.get(name)).__name__ == "module"

"""


def printed(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", PROGRAM + code], text=True)


def test_only_what_everybody_needs_is_loaded() -> None:
    assert printed(LOADED) == "['core']\n"


def test_a_runtime_does_not_need_the_rest() -> None:
    assert printed("import onnxruntime\n" + LOADED) == "['core']\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import numpy; print(numpy.random.RandomState(0).randint(9))", "5"),
        ("import numpy; print(numpy.ma.array([1, 2]).sum())", "3"),
        ("import numpy.random.mtrand as m; print(m.RandomState(0).randint(9))", "5"),
        ("from numpy.fft import fft; print(fft([1, 2])[0].real)", "3.0"),
        ("from numpy import polynomial; print(polynomial.Polynomial([1, 2])(2))", "5.0"),
        ("import numpy.ctypeslib as c; print(c.as_ctypes_type('int32').__name__)", "c_int"),
    ],
)
def test_whoever_uses_a_part_loads_it(code: str, expected: str) -> None:
    assert printed(code) == expected + "\n"


def test_what_cannot_be_imported_fails_as_ever() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        printed("import_lazily('no_such_module')")
