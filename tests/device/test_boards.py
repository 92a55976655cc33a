import fcntl
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.device import boards
from edge.device.boards import Throttling, power_mode, read_throttling, throttle_events

if TYPE_CHECKING:
    import array

BITS = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n", encoding="utf-8")
    return str(root)


@pytest.mark.parametrize(
    ("text", "now", "before"),
    [
        ("0", (), ()),
        ("50005", ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ("0x50000", (), ("under-voltage", "throttled")),
        ("80008", ("soft temperature limit",), ("soft temperature limit",)),
        ("20002", ("clock capped",), ("clock capped",)),
        ("much", None, None),
    ],
)
def test_a_raspberry_pi_tells_by_its_bits(
    text: str, now: tuple[str, ...] | None, before: tuple[str, ...] | None, tmp_path: Path
) -> None:
    assert read_throttling(write(tmp_path, {BITS: text})) == (now, before)


def test_the_mailbox_is_asked_where_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def ioctl(_: int, call: int, message: "array.array[int]") -> int:
        asked.append((call, message.tolist()))
        message[1], message[4], message[5] = 0x80000000, 0x80000004, 0x50001
        return 0

    root = write(tmp_path, {"dev/vcio": ""})
    # Not a mailbox: the kernel refuses the call.
    assert read_throttling(root) == (None, None)
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert read_throttling(root) == (("under-voltage",), ("under-voltage", "throttled"))
    pointer = struct.calcsize("P")
    # The value 0: no bit shall be forgotten.
    message = [28, 0, 0x30046, 4, 4, 0, 0]
    assert asked == [(0xC0006400 | pointer << 16, message)]


def test_a_mailbox_that_does_not_answer_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    assert read_throttling(write(tmp_path, {"dev/vcio": ""})) == (None, None)


@pytest.mark.parametrize(
    ("kind", "state", "now"),
    [
        ("thermal-cpufreq-0", "0", ()),
        ("thermal-cpufreq-0", "2", ("cooling by thermal-cpufreq-0",)),
        ("cpufreq-cpu4", "1", ("cooling by cpufreq-cpu4",)),
        ("Processor", "3", ("cooling by Processor",)),
        ("intel_powerclamp", "-1", ()),
        ("intel_powerclamp", "20", ("cooling by intel_powerclamp",)),
        ("cpu-throttle-alert", "1", ("cooling by cpu-throttle-alert",)),
        ("pwm-fan", "3", None),
        ("cpu-fan", "3", None),
        ("gpu-throttle-alert", "1", None),
        ("cpufreq-cpu0", "?", None),
    ],
)
def test_cooling_devices_of_the_processor_count(
    kind: str, state: str, now: tuple[str, ...] | None, tmp_path: Path
) -> None:
    device = "sys/class/thermal/cooling_device3/"
    root = write(tmp_path, {device + "type": kind, device + "cur_state": state})
    assert read_throttling(root) == (now, None)


def test_the_alarm_of_the_voltage_counts(tmp_path: Path) -> None:
    sensor = "sys/class/hwmon/hwmon2/"
    files = {sensor + "name": "rpi_volt", sensor + "in0_lcrit_alarm": "1"}
    assert read_throttling(write(tmp_path, files)) == (("under-voltage",), None)
    files[sensor + "name"] = "other"
    assert read_throttling(write(tmp_path, files)) == (None, None)


def test_it_can_be_read_again_and_again(tmp_path: Path) -> None:
    root = write(tmp_path, {BITS: "0"})
    throttling = Throttling(root)
    assert throttling.read().now == ()
    write(tmp_path, {BITS: "4"})
    assert throttling.read().now == ("throttled",)
    throttling.close()
    assert throttling.read().now is None


def test_events_of_all_cores_are_added_up(tmp_path: Path) -> None:
    assert throttle_events(str(tmp_path)) is None
    count = "sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"
    files = {count.format(0): "7", count.format(11): "5", count.format(2): "?"}
    assert throttle_events(write(tmp_path, files)) == 12


@pytest.mark.parametrize(
    ("files", "mode"),
    [
        ({}, None),
        ({"var/lib/nvpmodel/status": "pmode:0002"}, "mode 2"),
        (
            {
                "var/lib/nvpmodel/status": "pmode:0002",
                "etc/nvpmodel.conf": "< POWER_MODEL ID=20 NAME=NO >\n"
                "# < POWER_MODEL ID=2 NAME=NOT >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >",
            },
            "MAXN_SUPER",
        ),
        ({"var/lib/nvpmodel/status": "pmode:", "etc/nvpmodel.conf": "x"}, None),
        ({"sys/firmware/acpi/platform_profile": "low-power"}, "low-power"),
    ],
)
def test_power_modes(files: dict[str, str], mode: str | None, tmp_path: Path) -> None:
    assert power_mode(write(tmp_path, files)) == mode


def test_the_call_is_the_kernels() -> None:
    # 0xC0086400 on 64 bits, 0xC0046400 on 32.
    assert boards._MAILBOX_CALL in (0xC0086400, 0xC0046400)
