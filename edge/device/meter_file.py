"""Reads what an external power meter wrote: times and watts as CSV. Device slice: Python 3.8."""

import math
import re
from typing import List, Sequence, Tuple

from edge.errors import ConfigError, HostError

# A meter that writes a thousand lines a second does so for half an hour.
_MOST_BYTES = 64 << 20
_TIMES = re.compile(r"time|date|^t$", re.IGNORECASE)
_WATTS = re.compile(r"watt|power|^w$|\[w\]|\(w\)|_w$", re.IGNORECASE)
_OTHER_UNITS = re.compile(r"mw|milli|kw|kilo|factor|va\b|hours?|wh\b", re.IGNORECASE)

Point = Tuple[int, float]


def read_meter_file(path: str) -> List[Point]:
    """Return a meter's readings in order of time: ns since 1970, and watts.

    The columns are those whose names speak of time and of watts or power, else the first two. A
    time is seconds since 1970, or ISO 8601, local where it names no zone. A last line that cannot
    be read is still being written, and left out.

    Raises:
        HostError: the file cannot be read.
        ConfigError: it is not such a file; the line is named.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise HostError((error.strerror or str(error)).lower(), where=path) from error
    if len(data) > _MOST_BYTES:
        raise ConfigError("larger than {} MiB".format(_MOST_BYTES >> 20), where=path)
    lines = data.decode("utf-8-sig", "replace").splitlines()
    rows = [
        (number, _cells(line))
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    ]
    time_at, watts_at = 0, 1
    if rows and not _is_reading(rows[0][1]):
        time_at, watts_at = _columns(rows[0][1], path)
        del rows[0]
    points = []
    for number, cells in rows:
        try:
            points.append((_unix_ns(cells[time_at]), _watts(cells[watts_at])))
        except (ValueError, IndexError, OverflowError) as error:
            if number == len(lines):
                break
            what = "line {}: needs a time (seconds since 1970, or ISO 8601) and watts"
            raise ConfigError(what.format(number), where=path) from error
    return sorted(points)


def _cells(line: str) -> List[str]:
    mark = next((mark for mark in ";\t" if mark in line), ",")
    return [cell.strip().strip('"') for cell in line.split(mark)]


def _is_reading(cells: Sequence[str]) -> bool:
    try:
        _unix_ns(cells[0])
        _watts(cells[1])
    except (ValueError, IndexError, OverflowError):
        return False
    return True


def _columns(names: Sequence[str], path: str) -> Tuple[int, int]:
    times = [place for place, name in enumerate(names) if _TIMES.search(name)]
    watts = [
        place
        for place, name in enumerate(names)
        if _WATTS.search(name) and not _OTHER_UNITS.search(name) and place not in times
    ]
    if not times or not watts:
        what = "line 1: needs a column of the time and one of the watts, such as time,watts"
        raise ConfigError(what, where=path)
    return times[0], watts[0]


def _unix_ns(text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        from datetime import datetime

        # Python 3.8 knows neither Z nor other fractions than of 3 or 6 digits.
        plain = re.sub(r"\.(\d+)", lambda found: "." + found.group(1)[:6].ljust(6, "0"), text)
        seconds = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", plain)).timestamp()
    # A time of day as a float is good to a microsecond.
    return round(seconds * 1_000_000) * 1000


def _watts(text: str) -> float:
    watts = float(text)
    if not math.isfinite(watts):
        raise ValueError(text)
    return watts
