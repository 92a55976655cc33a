"""What runs a bundle's commands in place of a target: qemu's user mode, or this machine itself."""

from pathlib import Path
from typing import Protocol

from edge.records.emulation import Ran


class Runner(Protocol):
    """Runs a Python program to its end, as the target would.

    The program gets HOME and LC_ALL of our environment and nothing else, no standard input, and the
    root folder as its working directory.
    """

    def run(
        self, program: Path, *arguments: str, home: Path, wall_s: float, counted: Path | None = None
    ) -> Ran:
        """Run a program with the target's Python; it is killed after `wall_s`, with what it started.

        With `counted` its instructions are counted into that file, by edge.adapters.counter; a
        runner that cannot count ignores it.

        Raises:
            HostError: it cannot be started.
        """
        ...
