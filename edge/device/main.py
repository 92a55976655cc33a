"""What a bundle does when its file is started. Device slice: Python 3.8."""

import os
import sys
from typing import List, Optional

from edge.device.arguments import bundle_arguments
from edge.device.bundle import open_bundle
from edge.device.ending import exit_code, know_python
from edge.device.parent import fork_children
from edge.device.place import place_of


def main(path: str, digest: Optional[str] = None, arguments: Optional[List[str]] = None) -> int:
    """Run a command on the bundle at `path` and return the exit code.

    `digest` is that of the whole file if its bytes were just checked to have it.
    """
    given = sys.argv[1:] if arguments is None else arguments
    chosen = bundle_arguments(os.path.basename(path), given)
    know_python()
    fork_children()

    def command() -> int:
        place = place_of(getattr(chosen, "root", None))
        if chosen.command == "list":
            from edge.device.installed import list_installed

            return list_installed(place, chosen)
        with open_bundle(path, digest) as bundle:
            if chosen.command in ("rollback", "uninstall"):
                from edge.device import installed

                name = chosen.name or bundle.manifest.name
                changes = {"rollback": installed.rollback, "uninstall": installed.uninstall}
                return changes[chosen.command](place, name, chosen)
            from edge.device import filed

            if chosen.command == "trust":
                return filed.trust_in(place, chosen, bundle)
            commands = {
                "verify": filed.verify,
                "info": filed.info,
                "run": filed.use,
                "probe": filed.use,
                "count": filed.use,
                "install": filed.install_file,
            }
            return commands[chosen.command](bundle, place, chosen)

    return exit_code(command, debug=chosen.debug)
