"""What holds a board's processor back, and its power mode. Device slice: Python 3.8.

From /sys, /dev and /etc alone: neither vcgencmd nor tegrastats nor jtop is needed. Sources:
the bits are those of `vcgencmd get_throttled` (Raspberry Pi documentation, "os.adoc"); the file is
of raspberrypi/linux pull request 2397, the mailbox of raspberrypi/linux
drivers/char/broadcom/vcio.c with the tag of include/soc/bcm2835/raspberrypi-firmware.h; the alarm
of Documentation/hwmon/raspberrypi-hwmon.rst; cooling devices of
Documentation/ABI/testing/sysfs-class-thermal; the counters of arch/x86's therm_throt.c; a Jetson's
modes of NVIDIA's "Jetson Linux Developer Guide", nvpmodel.
"""

import array
import os
import re
import struct
from typing import List, NamedTuple, Optional, Tuple

from edge.device.tree import KeptOpen, names_in, number_of, text_of

# Bits 0 to 3 are now, 16 to 19 since the machine was started.
_PI_BITS = ("under-voltage", "clock capped", "throttled", "soft temperature limit")
_PI_SINCE = 16
_PI_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
_PI_MAILBOX = "dev/vcio"
_GET_THROTTLED = 0x00030046
_ANSWERED = 0x80000000
# _IOWR(100, 0, char *), include/uapi/asm-generic/ioctl.h: the size is that of a pointer.
_MAILBOX_CALL = (3 << 30) | (struct.calcsize("P") << 16) | (100 << 8)
_HWMON = "sys/class/hwmon"
_THERMAL = "sys/class/thermal"
_CPU = "sys/devices/system/cpu"


class Held(NamedTuple):
    """What holds the processor back now, and what did since the start; None: it does not tell."""

    now: Optional[Tuple[str, ...]]
    before: Optional[Tuple[str, ...]]


class Throttling:
    """Reads again and again whether the processor is held back; close it in the end."""

    def __init__(self, root: str = "/") -> None:
        """Open what there is under the root."""
        self._file: Optional[KeptOpen] = _existing(root, _PI_FILE)
        self._mailbox = None if self._file is not None else _mailbox(root)
        alarms = [
            folder + "/in0_lcrit_alarm"
            for folder in names_in(root, _HWMON, r"hwmon\d+")
            if text_of(root, folder + "/name") == "rpi_volt"
        ]
        self._alarms = [KeptOpen(root, path) for path in alarms]
        self._cooling = [
            (kind, KeptOpen(root, folder + "/cur_state"))
            for folder in names_in(root, _THERMAL, r"cooling_device\d+")
            for kind in [text_of(root, folder + "/type") or ""]
            if _cools_the_processor(kind)
        ]

    def read(self) -> Held:
        """Return what holds the processor back."""
        now: List[str] = []
        told = False
        bits = self._bits()
        if bits is not None:
            told = True
            now += _named(bits)
        else:
            levels = [alarm.number() for alarm in self._alarms]
            told = any(level is not None for level in levels)
            # The driver asks the firmware every 2 s, and says what was in between.
            now += _PI_BITS[:1] if any(levels) else ()
        for kind, file in self._cooling:
            state = file.number()
            told = told or state is not None
            # A processor that is not slowed down says 0, and intel_powerclamp -1.
            if state is not None and state > 0:
                now.append("cooling by " + kind)
        before = None if bits is None else _named(bits >> _PI_SINCE)
        return Held(tuple(dict.fromkeys(now)) if told else None, before)

    def close(self) -> None:
        """Close the files."""
        for file in [self._file, *self._alarms, *(file for _, file in self._cooling)]:
            if file is not None:
                file.close()
        if self._mailbox is not None:
            os.close(self._mailbox)
            self._mailbox = None

    def _bits(self) -> Optional[int]:
        if self._file is not None:
            try:
                return int(self._file.text() or "", 16)
            except ValueError:
                return None
        return None if self._mailbox is None else _asked(self._mailbox)


def read_throttling(root: str = "/") -> Held:
    """Return what holds the processor back at this moment."""
    throttling = Throttling(root)
    try:
        return throttling.read()
    finally:
        throttling.close()


def throttle_events(root: str = "/") -> Optional[int]:
    """Return how often x86 cores were throttled for heat since the start, all cores together."""
    counters = [
        number_of(text_of(root, folder + "/thermal_throttle/core_throttle_count"))
        for folder in names_in(root, _CPU, r"cpu\d+")
    ]
    known = [int(count) for count in counters if count is not None]
    return sum(known) if known else None


def power_mode(root: str = "/") -> Optional[str]:
    """Return a Jetson's power mode by its name, or the platform profile of a PC's firmware.

    nvpmodel keeps the number of the mode in `pmode:0000`, and the names of all modes in lines such
    as `< POWER_MODEL ID=0 NAME=MAXN >`.
    """
    status = re.search(r"pmode:(\d+)", text_of(root, "var/lib/nvpmodel/status") or "")
    if status is None:
        return text_of(root, "sys/firmware/acpi/platform_profile")
    number = int(status.group(1))
    for line in (text_of(root, "etc/nvpmodel.conf") or "").splitlines():
        named = re.match(r"\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+?)\s*>", line)
        if named is not None and int(named.group(1)) == number:
            return named.group(2)
    return "mode {}".format(number)


def _existing(root: str, path: str) -> Optional[KeptOpen]:
    file = KeptOpen(root, path)
    return file if file.text() is not None else None


def _mailbox(root: str) -> Optional[int]:
    """Open the firmware's mailbox; it is for root and the group video."""
    try:
        return os.open(os.path.join(root, _PI_MAILBOX), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None


def _asked(mailbox: int) -> Optional[int]:
    """Ask the firmware; the value sent is the bits that it shall forget: none."""
    import fcntl

    # Size, request, tag, room for the value, its size in the request, the value, end of the tags.
    message = array.array("I", [28, 0, _GET_THROTTLED, 4, 4, 0, 0])
    try:
        fcntl.ioctl(mailbox, _MAILBOX_CALL, message)
    except OSError:
        return None
    return message[5] if message[1] == _ANSWERED else None


def _named(bits: int) -> Tuple[str, ...]:
    return tuple(name for place, name in enumerate(_PI_BITS) if bits >> place & 1)


def _cools_the_processor(kind: str) -> bool:
    """Tell by its type whether a cooling device slows the processor down.

    thermal-cpufreq-0 and cpufreq-cpu0 (cpufreq_cooling.c), Processor (ACPI), intel_powerclamp, and
    a Jetson's cpu-balanced (L4T 4.9) and cpu-throttle-alert (5.x); a fan is none.
    """
    known = kind.lower()
    return known in ("processor", "intel_powerclamp") or ("cpu" in known and "fan" not in known)
