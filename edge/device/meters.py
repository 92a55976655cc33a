"""The power meters that a machine has: a Jetson's rails and RAPL. Device slice: Python 3.8.

Sources: rails of the INA3221, Documentation/hwmon/ina3221.rst (L4T 5.x and 6.x) and, for L4T 4.9's
iio driver, NVIDIA's "Jetson Linux Developer Guide", "Software-based power consumption modeling";
RAPL, Documentation/power/powercap/powercap.rst.
"""

import os
import re
from typing import List, Optional, Tuple, Union

from edge.device.tree import KeptOpen, names_in, number_of, text_of

# The rails that all of the module's or the board's power goes through.
_ALL = ("VDD_IN", "POM_5V_IN")
_OLD_DRIVER = "sys/bus/i2c/drivers/ina3221x"
_HWMON = "sys/class/hwmon"
_POWERCAP = "sys/class/powercap"
_MICRO = 1_000_000


class Rails:
    """A Jetson's power, from the rail that carries all of it, else from the sum of all rails."""

    def __init__(self, root: str = "/") -> None:
        """Open the files of the rails that there are."""
        found = [*_old_rails(root), *_new_rails(root)]
        chosen = [rail for rail in found if rail[0] in _ALL][:1] or found
        self._files = [[KeptOpen(root, path) for path in paths] for _, paths in chosen]
        self.source = "rails " + " + ".join(name for name, _ in chosen) if chosen else None

    def watts(self) -> Optional[float]:
        """Return the power now, None where a rail does not tell."""
        total = 0.0
        for files in self._files:
            values = [file.number() for file in files]
            if values[0] is None or values[-1] is None:
                return None
            # Milliwatts, or millivolts times milliamperes.
            total += values[0] / 1000 if len(values) == 1 else values[0] * values[-1] / _MICRO
        return total if self._files else None

    def close(self) -> None:
        """Close the files."""
        for files in self._files:
            for file in files:
                file.close()


class Rapl:
    """The energy of the processor's packages, without the memory's; it counts and wraps around."""

    def __init__(self, root: str = "/") -> None:
        """Open the counters that there are; newer kernels let only root read them."""
        zones = [
            (name, folder)
            for folder in names_in(root, _POWERCAP, r"intel-rapl:\d+")
            for name in [text_of(root, folder + "/name") or ""]
            if name.startswith("package")
        ]
        self.source = "RAPL " + " + ".join(name for name, _ in zones) if zones else None
        self._files = [KeptOpen(root, folder + "/energy_uj") for _, folder in zones]
        tops = [number_of(text_of(root, folder + "/max_energy_range_uj")) for _, folder in zones]
        self._tops = [int(top or 0) for top in tops]
        self._last: List[Optional[int]] = [None for _ in zones]
        self._joules = 0.0

    def joules(self) -> Optional[float]:
        """Return the energy since the first reading, None where a counter cannot be read.

        Between two readings a counter may wrap around once (package-0's takes a minute or more).
        """
        told = [file.number() for file in self._files]
        if not told or any(value is None for value in told):
            return None
        for place, value in enumerate(told):
            now, last = int(value or 0), self._last[place]
            if last is not None:
                step = now - last
                self._joules += (step if step >= 0 else step + self._tops[place]) / _MICRO
            self._last[place] = now
        return self._joules

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()


Meter = Union[Rails, Rapl]


def meter_of(root: str = "/") -> Tuple[Optional[Meter], Optional[str]]:
    """Return the machine's power meter, or None and the reason why there is none."""
    rails = Rails(root)
    if rails.watts() is not None:
        return rails, None
    rails.close()
    rapl = Rapl(root)
    if rapl.joules() is not None:
        return rapl, None
    rapl.close()
    if rapl.source is not None:
        who = "" if os.geteuid() == 0 else ": since Linux 5.10 only root may"
        return None, "{} is there, but its energy_uj cannot be read{}".format(rapl.source, who)
    if rails.source is not None:
        return None, "{} are there, but they cannot be read".format(rails.source)
    where = "no power meter: neither INA3221 rails (/{}, /{}) nor RAPL (/{}/intel-rapl:*)"
    return None, where.format(_OLD_DRIVER, _HWMON, _POWERCAP)


_Rail = Tuple[str, List[str]]


def _old_rails(root: str) -> List[_Rail]:
    rails = []
    for chip in names_in(root, _OLD_DRIVER, r"\d+-[0-9a-f]{4}"):
        for device in names_in(root, chip, r"iio:device\d+"):
            for path in names_in(root, device, r"rail_name_\d+"):
                number = re.sub(r".*_", "", path)
                name = text_of(root, path) or "rail " + number
                rails.append((name, [device + "/in_power" + number + "_input"]))
    return rails


def _new_rails(root: str) -> List[_Rail]:
    rails = []
    for chip in names_in(root, _HWMON, r"hwmon\d+"):
        if text_of(root, chip + "/name") != "ina3221":
            continue
        # The seventh input is the sum of the shunts' voltages and no rail.
        for path in names_in(root, chip, r"in[123]_label"):
            number = re.sub(r".*in(\d)_label", r"\1", path)
            name = text_of(root, path) or "rail " + number
            files = ["{}/in{}_input", "{}/curr{}_input"]
            # A channel that nothing is connected to is called NC.
            if name != "NC":
                rails.append((name, [file.format(chip, number) for file in files]))
    return rails
