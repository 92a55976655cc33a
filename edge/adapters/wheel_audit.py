"""What a wheel's compiled files really need, read once and remembered by the wheel's digest."""

import re
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.adapters.elf import SystemNeeds, all_needs, elf_needs
from edge.adapters.files import read_json, write_json
from edge.adapters.numpy_abi import NumpyNeeds, all_numpy_needs, numpy_needs
from edge.adapters.store import cache_folder
from edge.errors import BundleError, ConfigError
from edge.records.codec import from_dict, to_dict
from edge.records.target import WheelPin

_SHARED_OBJECT: Final = re.compile(r".*\.so(\.[0-9.]+)?$")
_LARGEST_FILE_BYTES: Final = 1 << 30
_NUMPY: Final = "numpy"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelAudit:
    """What all compiled files of a wheel need together, of the system and of numpy."""

    system: SystemNeeds
    numpy: NumpyNeeds


def wheel_audit(path: Path) -> WheelAudit:
    """Return what a wheel's compiled files need; its archive is read once for both.

    Raises:
        BundleError: it is no wheel, or a compiled file in it is damaged.
    """
    system, numpy = [], []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if _SHARED_OBJECT.match(info.filename) and info.file_size <= _LARGEST_FILE_BYTES:
                    data = archive.read(info)
                    system.append(elf_needs(data))
                    numpy.append(numpy_needs(data))
    except (zipfile.BadZipFile, struct.error, ValueError, IndexError) as error:
        raise BundleError(f"a damaged wheel: {error}", where=path.name) from error
    return WheelAudit(system=all_needs(system), numpy=all_numpy_needs(numpy))


def audited(pin: WheelPin, path: Path) -> WheelAudit:
    """Return what a wheel needs; reading 50 MB of compressed code once is enough.

    Raises:
        BundleError: it is no wheel, or a compiled file in it is damaged.
    """
    remembered = cache_folder("audits") / f"{pin.sha256}.json"
    try:
        return from_dict(WheelAudit, read_json(remembered), remembered)
    except ConfigError:
        # Not there, or of an older edgekit.
        audit = wheel_audit(path)
        if pin.name == _NUMPY:
            # Its own modules are made with it.
            audit = WheelAudit(system=audit.system, numpy=NumpyNeeds())
        write_json(remembered, to_dict(audit))
        return audit
