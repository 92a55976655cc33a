from datetime import datetime
from pathlib import Path

import pytest

from edge.device.meter_file import read_meter_file
from edge.errors import ConfigError, HostError

S = 1_000_000_000
LOCAL = int(datetime(2026, 5, 4, 10, 0, 0).timestamp()) * S  # noqa: DTZ001 - local is meant


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("", []),
        ("time,watts\n", []),
        ("1000.5,2\n1001,3.5\n", [(1000_500_000_000, 2.0), (1001 * S, 3.5)]),
        ("# a meter\n\nTimestamp;Voltage;Power (W)\n10;230;4\n", [(10 * S, 4.0)]),
        ("voltage\tdate\tpower_w\n230\t10\t4\n", [(10 * S, 4.0)]),
        ('"time","power factor","watt"\n10,0.9,4\n', [(10 * S, 4.0)]),
        ("time,power_mw,watts\n10,4000,4\n", [(10 * S, 4.0)]),
        ("2026-05-04T10:00:00Z,4\n", [(1777888800 * S, 4.0)]),
        ("2026-05-04T12:00:00.25+02:00,4\n", [(1777888800 * S + S // 4, 4.0)]),
        ("2026-05-04 10:00:00,4\n", [(LOCAL, 4.0)]),
        # In order of time, and without the line that is being written.
        ("2,4\n1,3\n3,", [(1 * S, 3.0), (2 * S, 4.0)]),
        ("\ufefftime,watts\n1,3\n", [(1 * S, 3.0)]),
    ],
)
def test_what_meters_write(text: str, points: list[tuple[int, float]], tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(text, encoding="utf-8")
    assert read_meter_file(str(path)) == points


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("time,amperes\n1,2\n", "line 1: needs a column of the time and one of the watts, such as"),
        ("time,power_mW\n1,2\n", "line 1: needs a column of the time and one of the watts"),
        ("time,watts\n1,2\nx,3\n4,5\n", "line 3: needs a time (seconds since 1970, or ISO 8601)"),
        ("time,watts\n1,nan\n2,2\n", "line 2: needs a time"),
        ("time,watts\n1\n2,2\n", "line 2: needs a time"),
        ("time,watts\n1e400,1\n2,2\n", "line 2: needs a time"),
    ],
)
def test_what_is_no_such_file(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "meter.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_meter_file(str(path))
    assert str(caught.value).startswith(f"{path}: {what}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"no such file or directory$"):
        read_meter_file(str(tmp_path / "none.csv"))
    with pytest.raises(HostError, match=r"is a directory$"):
        read_meter_file(str(tmp_path))
