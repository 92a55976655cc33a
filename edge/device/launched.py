"""What ROOT/bin/NAME does: the commands on one installed bundle. Device slice: Python 3.8.

A launcher outlives the version that it was written with: `main` keeps its parameters.
"""

import os
import sys
from typing import TYPE_CHECKING

from edge.device.forked import fork_ahead

if TYPE_CHECKING:
    import argparse

    from edge.device.place import Place
    from edge.device.versions import Version


def main(root: str, folder: str) -> int:
    """Run the command line on the version in `folder`, installed in `root`; return the exit code."""
    carried = os.path.join(folder, "site")
    if sys.flags.no_site and not os.path.isdir(os.path.join(carried, "numpy")):
        # The system's own packages are part of this bundle.
        import site

        site.main()
    if sys.argv[1:2] == ["run"]:
        # What takes longest starts first: the child imports numpy while we find out what to do.
        fork_ahead([carried], ["numpy"])
    from edge.device.arguments import launcher_arguments
    from edge.device.ending import exit_code, know_python
    from edge.device.parent import fork_children
    from edge.device.place import Place
    from edge.device.versions import version_in

    name = os.path.basename(os.path.dirname(os.path.dirname(folder)))
    chosen = launcher_arguments(os.path.basename(sys.argv[0]), sys.argv[1:])
    know_python()
    fork_children()
    version = version_in(name, folder)
    return exit_code(lambda: _command(Place(root), version, chosen), debug=chosen.debug)


def _command(place: "Place", version: "Version", chosen: "argparse.Namespace") -> int:
    if chosen.command in ("run", "probe"):
        # What is used most starts fastest: nothing is hashed, and of the folder only what is used
        # is read. It became whole in one step, and `verify` looks for what went bad since.
        from edge.device import running
        from edge.device.parts import parts_in

        running.require_sound_options(chosen)
        command = {"run": running.run, "probe": running.probe}[chosen.command]
        return command(version.manifest(), parts_in(version.folder), chosen)
    from edge.device import installed

    if chosen.command in ("verify", "info"):
        return {"verify": installed.verify, "info": installed.info}[chosen.command](version, chosen)
    if chosen.command == "list":
        return installed.list_installed(place, chosen)
    changes = {"rollback": installed.rollback, "uninstall": installed.uninstall}
    return changes[chosen.command](place, version.name, chosen)
