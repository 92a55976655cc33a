"""Writes a systemd unit that runs an installed bundle. Device slice: Python 3.8.

https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html and systemd.exec.html.
"""

import os
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from edge.device.durable import write_whole
from edge.device.place import Place
from edge.errors import HostError, UsageError, printable

# What the runtime does not need, nobody who breaks into it gets. MemoryDenyWriteExecute is not
# among it: runtimes compile kernels while they run.
_HARDENING = (
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "ProtectSystem=strict",
    "ProtectHome=read-only",
    "PrivateDevices=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "UMask=0027",
)
_NO_NETWORK = ("PrivateNetwork=yes", "RestrictAddressFamilies=AF_UNIX")


@dataclass(frozen=True)
class Service:
    """How systemd runs one of a bundle's commands; `writes` are its options that name a file."""

    kind: str
    reads: Tuple[str, ...]
    writes: Tuple[str, ...]
    settings: Tuple[str, ...]


# By the command's word; a command that stays, such as a server, is another row.
SERVICES: Dict[str, Service] = {
    "run": Service("oneshot", ("--inputs",), ("--outputs",), _NO_NETWORK),
}


def checked_words(words: Sequence[str]) -> List[str]:
    """Return the command of a unit, `run` by default, with the files' paths made absolute.

    Raises:
        UsageError: no unit can be written for it.
    """
    command = list(words) or ["run"]
    service = SERVICES.get(command[0])
    if service is None:
        what = "no unit can be written for {}".format(printable(command[0]))
        raise UsageError(what, hint="after --: {}".format(", ".join(SERVICES)))
    for index, word in enumerate(command):
        option, equals, value = word.partition("=")
        if option in service.reads + service.writes:
            if equals:
                command[index] = option + "=" + os.path.abspath(value)
            elif index + 1 < len(command):
                command[index + 1] = os.path.abspath(command[index + 1])
    return command


def unit_text(name: str, model: str, launcher: str, root: str, command: Sequence[str]) -> str:
    """Return the unit; `command` is of `checked_words`."""
    service = SERVICES[command[0]]
    lines = [
        "# Written by edgekit.",
        "[Unit]",
        "Description={}".format(_escaped("{}: {} {}".format(name, command[0], model))),
        "",
        "[Service]",
        "Type={}".format(service.kind),
        "ExecStart={}".format(" ".join(_argument(word) for word in (launcher, *command))),
        "Environment={}".format(_quoted("EDGEKIT_HOME=" + root)),
    ]
    user = _user()
    if user is not None:
        lines.append("User={}".format(user))
    folders = sorted({os.path.dirname(path) for path in _values(command, service.writes)})
    lines += [*_HARDENING, *service.settings]
    if not any(_is_temporary(path) for path in _values(command, service.reads + service.writes)):
        lines.append("PrivateTmp=yes")
    lines += ["ReadWritePaths={}".format(_quoted(folder)) for folder in folders]
    lines += ["", "[Install]", "WantedBy=multi-user.target", ""]
    return "\n".join(lines)


def _values(command: Sequence[str], options: Tuple[str, ...]) -> List[str]:
    found = []
    for index, word in enumerate(command):
        option, equals, value = word.partition("=")
        if option in options and (equals or index + 1 < len(command)):
            found.append(value if equals else command[index + 1])
    return found


def _is_temporary(path: str) -> bool:
    return path.startswith(("/tmp/", "/var/tmp/"))  # noqa: S108 - it is looked at, not written


def _user() -> Optional[str]:
    """Return who has to run it: it lies in that user's home, and root needs no line."""
    if os.geteuid() == 0:
        return None
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _argument(word: str) -> str:
    """Write a word of a command; only there is a variable's name replaced."""
    return _quoted(word.replace("$", "$$"))


def _quoted(word: str) -> str:
    """Write a word so that systemd reads it as it is (systemd.syntax(7), systemd.service(5))."""
    if not word.isprintable():
        raise UsageError("a unit cannot hold this: {}".format(printable(repr(word))))
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    is_safe = plain and all(c.isalnum() or c in "/._+=-:,@%$" for c in plain)
    return plain if is_safe else '"{}"'.format(plain)


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%%")


def write_unit(place: Place, folder: Optional[str], name: str, text: str) -> str:
    """Write NAME.service to the folder, ROOT/systemd by default, and return its path.

    Raises:
        HostError: it cannot be written.
    """
    where = os.path.abspath(folder or place.units)
    path = os.path.join(where, name + ".service")
    try:
        os.makedirs(where, exist_ok=True)
        write_whole(path, text.encode("utf-8"))
    except OSError as error:
        hint = "choose another folder with --systemd-folder"
        what = (error.strerror or str(error)).lower()
        raise HostError(what, where=path, hint=hint) from error
    return path
