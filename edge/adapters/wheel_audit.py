"""What a wheel's compiled files really need, read once and remembered by the wheel's digest."""

import struct
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.elf import SystemNeeds, all_needs, elf_needs
from edge.adapters.files import read_json, write_json
from edge.adapters.numpy_abi import NumpyNeeds, all_numpy_needs, numpy_needs
from edge.adapters.store import cache_folder
from edge.adapters.wheel_set import WheelSet, open_wheels
from edge.errors import BundleError, ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.target import WheelPin

_NUMPY: Final = "numpy"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelAudit:
    """What all compiled files of a wheel need together, of the system and of numpy."""

    system: SystemNeeds
    numpy: NumpyNeeds


def wheel_audit(wheels: WheelSet, wheel: str) -> WheelAudit:
    """Return what the compiled files of one of the wheels need.

    Raises:
        BundleError: one of them is damaged.
    """
    system, numpy = [], []
    try:
        for data in wheels.compiled(wheel):
            system.append(elf_needs(data))
            numpy.append(numpy_needs(data))
    except (struct.error, ValueError, IndexError) as error:
        raise BundleError(f"a damaged wheel: {error}", where=wheel) from error
    return WheelAudit(system=all_needs(system), numpy=all_numpy_needs(numpy))


def audited(pin: WheelPin, path: Path, opened: Callable[[], WheelSet] | None = None) -> WheelAudit:
    """Return what a wheel needs; reading 50 MB of compressed code once is enough.

    `opened` gives a set of wheels that this one is in, where somebody reads it anyway.

    Raises:
        BundleError: it is no wheel, or a compiled file in it is damaged.
    """
    remembered = cache_folder("audits") / f"{pin.sha256}.json"
    try:
        return from_dict(WheelAudit, read_json(remembered), remembered)
    except ConfigError:
        # Not there, or of an older edgekit.
        with open_wheels([path]) if opened is None else nullcontext(opened()) as wheels:
            audit = wheel_audit(wheels, path.name)
        if pin.name == _NUMPY:
            # Its own modules are made with it.
            audit = WheelAudit(system=audit.system, numpy=NumpyNeeds())
        write_json(remembered, to_dict(audit))
        return audit
