"""What ROOT/bin/edgekit does: trusted code that reads bundles as data. Device slice: Python 3.8.

Nothing of a bundle runs before it was accepted: a key that is trusted here has signed it.
Its launcher may be older than this file: `main` keeps its parameters.
"""

import argparse
import os
import sys

from edge.device.arguments import tool_arguments
from edge.device.ending import exit_code, know_python
from edge.device.parent import fork_children
from edge.device.place import TOOL, Place, plain_name
from edge.device.versions import require_current


def main(root: str, folder: str) -> int:  # noqa: ARG001 - every launcher passes it
    """Run the command line on what is installed in `root` and return the exit code."""
    chosen = tool_arguments(TOOL, sys.argv[1:])
    know_python()
    fork_children()
    return exit_code(lambda: _command(Place(root), chosen), debug=chosen.debug)


def _command(place: Place, chosen: argparse.Namespace) -> int:
    if chosen.command == "run":
        require_current(place, plain_name(chosen.name))
        program = place.program(chosen.name)
        os.execv(program, [program, "run", *chosen.rest])  # noqa: S606 - it is ours
    if chosen.command in ("list", "rollback", "uninstall"):
        from edge.device import installed

        if chosen.command == "list":
            return installed.list_installed(place, chosen)
        changes = {"rollback": installed.rollback, "uninstall": installed.uninstall}
        return changes[chosen.command](place, chosen.name, chosen)
    from edge.device import filed
    from edge.device.bundle import open_bundle

    if chosen.command == "trust":
        return filed.trust_in(place, chosen)
    with open_bundle(chosen.file) as bundle:
        commands = {"install": filed.install_file, "verify": filed.verify}
        return commands[chosen.command](bundle, place, chosen)
