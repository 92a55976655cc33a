"""Writes the programs in ROOT/bin. Device slice: Python 3.8."""

import os
import sys

from edge.device.durable import write_whole
from edge.device.place import Place

INTERPRETER = "interpreter"
# The kernel reads so much of a first line before Linux 5.1, and splits it at white space.
_LONGEST_SHEBANG = 127

# It has to start fast, and to fit every version that it may find: nothing but this goes into it.
# The lock keeps the version from being pruned while it runs. A rollback may lead to a version that
# was made for another Python; it says itself which one.
_TEXT = """\
# Written by edgekit. It starts what {where} leads to.
import fcntl
import os
import sys

sys.dont_write_bytecode = True
root = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def refuse(what):
    sys.stderr.write("error: {name}: " + what + "\\n")
    sys.exit({status})


while True:
    folder = os.path.realpath(os.path.join(root, {where!r}))
    try:
        used = os.open(folder, os.O_RDONLY)
    except OSError:
        refuse("not installed")
    try:
        fcntl.flock(used, fcntl.LOCK_SH)
    except OSError:
        pass
    if os.path.isdir(folder):
        break
    os.close(used)
with open(os.path.join(folder, {interpreter!r})) as file:
    version, python = file.read().splitlines()
if "{{}}.{{}}".format(*sys.version_info[:2]) != version:
    if python == sys.executable:
        refuse("it was installed with Python " + version + ": install it again")
    try:
        os.execv(python, [python, {options!r}, os.path.realpath(__file__)] + sys.argv[1:])
    except OSError as error:
        refuse(python + ": " + str(error.strerror) + ": install it again")
sys.path.insert(0, folder)
from edge.device.{module} import main

status = main(root, folder)
try:
    sys.stdout.flush()
except OSError:
    pass
# Nothing is left to do but to forget all modules one by one, which takes 4 ms.
os._exit(status)
"""
_NOT_INSTALLED = 5


def write_launcher(place: Place, name: str) -> str:
    """Write the launcher of an installed bundle and return its path."""
    where = os.path.join("bundles", name, "current")
    # Without -S every .pth file on the system runs its code at each start.
    return _write(place, name, where, "launched", "-IS")


def write_tool_launcher(place: Place, name: str) -> str:
    """Write the launcher of the resident tool and return its path."""
    return _write(place, name, os.path.join("tool", "current"), "resident", "-I")


def _write(place: Place, name: str, where: str, module: str, options: str) -> str:
    text = _TEXT.format(
        name=name,
        where=where,
        module=module,
        options=options,
        interpreter=INTERPRETER,
        status=_NOT_INSTALLED,
    )
    path = place.program(name)
    write_whole(path, os.fsencode(first_line(sys.executable, options) + text), 0o755)
    return path


def first_line(python: str, options: str) -> str:
    """Return the line (or lines) by which the kernel starts a script with that Python, isolated.

    It is the Python that installed the bundle, by its own path: `env` would take the first one on
    a PATH that a service does not have and a user may change.
    """
    line = "#!{} {}\n".format(python, options)
    if len(os.fsencode(line)) <= _LONGEST_SHEBANG and len(python.split()) == 1:
        return line
    # A shell reads a command, and Python a string: as pip's own launchers do.
    return "#!/bin/sh\n'''exec' \"{}\" {} \"$0\" \"$@\"\n' '''\n".format(python, options)


def write_interpreter(folder: str) -> None:
    """Note in a version's folder which Python it was installed with."""
    version = "{}.{}".format(*sys.version_info[:2])
    with open(os.path.join(folder, INTERPRETER), "wb") as file:
        file.write(os.fsencode("{}\n{}\n".format(version, sys.executable)))
