"""Whether a bundle may be used here: who signed it, and what this machine is. Device slice: Python 3.8."""

from typing import Tuple

from edge.device.bundle import Bundle
from edge.device.fit import Machine, misfits, missing_packages, this_machine
from edge.device.trust import read_trust, require_trusted
from edge.errors import BundleError
from edge.records.manifest import Manifest


def require_accepted(bundle: Bundle, root: str) -> None:
    """Require that the keys in `root` accept the bundle and that it fits this machine.

    Raises:
        BundleError: it is not accepted.
    """
    require_trusted(bundle, read_trust(root))
    reasons = reasons_against(bundle.manifest, this_machine())
    if reasons:
        hint = "package the model again, with the --target that this machine is"
        raise BundleError("; ".join(reasons), where=bundle.path, hint=hint)


def reasons_against(manifest: Manifest, machine: Machine) -> Tuple[str, ...]:
    """Return why the bundle cannot run on the machine; without any it fits."""
    reasons = misfits(manifest, machine)
    packages = missing_packages(manifest)
    if packages and not reasons:
        return ("it lacks {0}: sudo apt-get install {0}".format(" ".join(packages)),)
    return reasons
