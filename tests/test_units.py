"""Numbers as they are printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import units
from edge.errors import ConfigError, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.format_ns(None), "unknown"),
        (units.format_ns(0), "0 ns"),
        (units.format_ns(999), "999 ns"),
        (units.format_ns(12_345), "12.3 µs"),
        (units.format_ns(12_345_678), "12.3 ms"),
        (units.format_ns(1_234_000_000_000), "1234 s"),
        (units.format_bytes(None), "unknown"),
        (units.format_bytes(0), "0 B"),
        (units.format_bytes(1536), "1.5 KiB"),
        (units.format_bytes(4 << 30), "4 GiB"),
        (units.format_count(385_000_000, "MAC"), "385 MMAC"),
        (units.format_count(12), "12"),
        (units.format_count(999.9e6), "1000 M"),
        (units.format_money(1234.5, "USD"), "1,234.50 USD"),
        (units.format_money(0.0049, "USD"), "< 0.01 USD"),
        (units.format_money(0, "USD"), "0.00 USD"),
        (units.format_money(None, "USD"), "unknown"),
        (units.format_duration_s(None), "unknown"),
        (units.format_duration_s(0.45), "450 ms"),
        (units.format_duration_s(119), "119 s"),
        (units.format_duration_s(120), "2 min"),
        (units.format_duration_s(7200), "2 h"),
        (units.format_duration_s(3 * 86400), "3 days"),
        (units.format_shape((1, "batch", None)), "1xbatchx?"),
        (units.format_shape(()), "scalar"),
    ],
)
def test_formats(text: str, expected: str) -> None:
    assert text == expected


@given(st.floats(min_value=1e-3, max_value=1e15))
def test_three_digits_are_close(value: float) -> None:
    assert float(units.three_digits(value)) == pytest.approx(value, rel=5.1e-3)


@given(st.text())
def test_printable_has_no_control_characters(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() for c in shown)


def test_printable_cuts() -> None:
    assert printable("x" * 300) == "x" * 199 + "…"


def test_an_error_is_one_line() -> None:
    assert str(ConfigError("bad\nvalue", where="a\tb")) == "a\\tb: bad\\nvalue"
