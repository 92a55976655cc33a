"""Runs a command on a place of its own, kills it at chosen operations, and looks at what is left.

Started as a program of its own, without threads, so that each command is a fork of it. An
operation is a change of the file system: a file opened for writing, each half of what is written
to it, an fsync, a rename, a removal. They are counted over the command and its children together,
so that a point is exact and the same each time; the process dies just before that operation.
"""

import builtins
import io
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import small_bundle

from edge.device import durable, install, installed, tool
from edge.device.bundle import open_bundle
from edge.device.durable import PART
from edge.device.install import install as install_bundle
from edge.device.parts import file_digest, read_listing
from edge.device.place import Place
from edge.device.versions import Version, current_version, previous_version

NAME = "digits-host"
_CHANGES = ("mkdir", "rename", "remove", "rmdir", "symlink", "link", "chmod", "truncate")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Counts the operations of a process and its children, and kills the process at one of them."""

    def __init__(self) -> None:
        self._count = mmap.mmap(-1, 8)

    @property
    def taken(self) -> int:
        return int.from_bytes(self._count[:8], "little")

    def watch(self, last: int) -> None:
        """Count from now on, in this process; it dies before operation number `last`."""
        self._last, self._victim = last, os.getpid()
        self._count[:8] = bytes(8)
        self._patch()
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        opens = event == "open" and arguments[2] & _WRITING
        if opens or (event.startswith("os.") and event[3:] in _CHANGES):
            self.step()

    def step(self) -> None:
        taken = self.taken + 1
        self._count[:8] = taken.to_bytes(8, "little")
        if taken == self._last:
            os.kill(self._victim, signal.SIGKILL)
            signal.pause()

    def _patch(self) -> None:
        steps, plain_open = self, builtins.open

        class InHalves(io.FileIO):
            def write(self, data: Any) -> int:
                block = memoryview(data).cast("B")
                steps.step()
                done = super().write(block[: len(block) // 2])
                steps.step()
                return done + super().write(block[done:])

        def counted_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if set(mode) & set("wx") and not isinstance(file, int):
                binary = io.BufferedWriter(InHalves(file, mode.replace("b", "")))
                return binary if "b" in mode else io.TextIOWrapper(binary, **options)
            return plain_open(file, mode, *rest, **options)

        builtins.open = counted_open
        # A killed process does not take with it what the kernel has: nothing has to reach the disk.
        os.fsync = lambda _descriptor: steps.step()  # type: ignore[assignment]
        for module in (durable, install, tool):
            module.flush_file_system = lambda _folder: steps.step()  # type: ignore[attr-defined]


def without_a_runtime() -> None:
    """Let the model be prepared and tested at once: that does not change what is on the disk."""

    def make_ready(folder: str, _manifest: Any, _site: str) -> None:
        Path(folder, "ready").mkdir()
        for path in ("ready/model", "ready.json"):
            Path(folder, path).write_text("ready", encoding="utf-8")

    install.make_ready = make_ready  # type: ignore[assignment]
    install.self_test = lambda _manifest, _parts: 2  # type: ignore[assignment]


def write_bundles(folder: Path, *, small_code: bool) -> None:
    """Write three versions of one bundle: 0, 1 and 2."""
    if small_code:
        code = {f"edge/{name}.py": b"VALUE = 1\n" for name in ("__init__", "one", "two")}
        small_bundle.slice_files = lambda: code  # type: ignore[assignment]
    modules = {f"tiny/m{n}.py": b"ANSWER = %d\n" % n for n in range(12 if small_code else 1)}
    for number in range(3):
        wheel = small_bundle.tiny_wheel({**modules, "tiny/__init__.py": b"V = %d\n" % number})
        path = folder / f"{number}.pyz"
        small_bundle.write_small(path, wheel=wheel, sequence=number)


def commands(folder: Path, root: Path) -> dict[str, Callable[[], object]]:
    """Return what can be killed, by its name."""
    place = Place(str(root))
    chosen = Namespace(json=False)

    def install_number(number: int) -> None:
        with open_bundle(str(folder / f"{number}.pyz")) as bundle:
            install_bundle(bundle, place)

    return {
        "install 0": lambda: install_number(0),
        "install 1": lambda: install_number(1),
        "install 2": lambda: install_number(2),
        "rollback": lambda: installed.rollback(place, NAME, chosen),
        "uninstall": lambda: installed.uninstall(place, NAME, chosen),
    }


def forked(command: Callable[[], object], steps: Steps, last: int) -> int:
    """Run the command in a copy of this process that dies at `last`; return its wait status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            sys.stdout = io.StringIO()
            steps.watch(last)
            command()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def look(root: Path, digests: dict[str, str], *, start: bool) -> dict[str, Any]:
    """Say what is installed, by its number, and what is wrong with it."""
    place = Place(str(root))
    versions = {"current": current_version(place, NAME), "previous": previous_version(place, NAME)}
    wrong = [text for version in versions.values() if version for text in faults(version)]
    launcher = Path(place.program(NAME))
    if launcher.exists():
        text = launcher.read_text(encoding="utf-8")
        if not (os.access(launcher, os.X_OK) and text.endswith("os._exit(status)\n")):
            wrong.append("the launcher is not whole")
        if start and versions["current"]:
            done = subprocess.run([launcher, "info"], capture_output=True, text=True, check=False)
            if done.returncode != 0 or versions["current"].digest not in done.stdout:
                wrong.append(f"info: {done.returncode}: {done.stderr}")
    names = {which: version and digests[version.digest] for which, version in versions.items()}
    return {**names, "launcher": launcher.exists(), "wrong": wrong}


def faults(version: Version) -> Iterator[str]:
    """Compare every file with what was recorded when it was installed."""
    for path, size, digest in read_listing(version.folder):
        file = Path(version.folder, path)
        if not file.is_file():
            yield f"{path} is missing"
        elif (file.stat().st_size, file_digest(str(file))) != (size, digest):
            yield f"{path} is not as it was"


def leftovers(root: Path) -> list[str]:
    """Return what nobody needs: half-written things, and versions that nothing leads to."""
    found = [str(path.relative_to(root)) for path in root.rglob("*") if path.name.endswith(PART)]
    versions = root / "bundles" / NAME / "versions"
    count = len(list(versions.iterdir())) if versions.exists() else 0
    pairs = len(list((root / "bundles" / NAME).glob("pair-*")))
    return [*found, *(["versions"] if count > 2 else []), *(["pairs"] if pairs > 1 else [])]


def main(folder: Path, task: dict[str, Any]) -> None:
    """Prepare a place, kill the task's command at `points` operations, and print what was found."""
    write_bundles(folder, small_code=not task["real"])
    if not task["real"]:
        without_a_runtime()
    digests = {}
    for number in range(3):
        with open_bundle(str(folder / f"{number}.pyz")) as bundle:
            digests[bundle.digest] = str(number)
    template, root = folder / "template", folder / "root"
    steps = Steps()
    for name in task["before"]:
        assert forked(commands(folder, template)[name], steps, 0) == 0, name
    template.mkdir(exist_ok=True)

    def restore() -> Callable[[], object]:
        shutil.rmtree(root, ignore_errors=True)
        # No command writes into a file that is there, or a later point would show it.
        shutil.copytree(template, root, symlinks=True, copy_function=os.link)
        return commands(folder, root)[task["command"]]

    assert forked(restore(), steps, 0) == 0
    total = steps.taken
    wanted = min(task["points"], total)
    points = sorted({1 + (total - 1) * n // max(1, wanted - 1) for n in range(wanted)})
    rows = []
    for point in points:
        status = forked(restore(), steps, point)
        row = {"point": point, "killed": os.WIFSIGNALED(status)}
        row.update(look(root, digests, start=task["real"]))
        again = forked(commands(folder, root)[task["again"]], steps, 0)
        after = look(root, digests, start=task["real"])
        rows.append({**row, "again": again, "after": after, "leftovers": leftovers(root)})
    json.dump({"total": total, "rows": rows}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
