"""edgekit targets: the machines that edgekit knows, every figure with its source."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from edge.cli.output import json_option, print_json, print_rich

if TYPE_CHECKING:
    from rich.table import Table

    from edge.records.target import Calibration, Figure, Price, Target, TargetRuntime

_LONGEST_CELL = 1000


@click.group()
def command() -> None:
    """List and show the targets: boards, cloud CPUs and cloud GPUs.

    \b
    Example:
      edgekit targets list
      edgekit targets show rpi4
    """


@command.command("list")
@json_option
def list_targets(as_json: bool) -> None:
    """List the targets: boards, cloud CPUs, cloud GPUs, and by price within these.

    \b
    Example:
      edgekit targets list
    """
    from edge.adapters.targets import load_targets
    from edge.records.codec import to_dict

    targets = load_targets()
    if as_json:
        print_json({"targets": [to_dict(target) for target in targets]})
    else:
        print_rich(_list_table(targets))


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the target NAME (a name, an alias or a target file) with the source of each figure.

    \b
    Example:
      edgekit targets show rpi
      edgekit targets show ./my-board.toml
    """
    from edge.adapters.targets import load_target

    target = load_target(name)
    if as_json:
        print_json(target)
    else:
        print_rich(_show_table(target))


def _list_table(targets: "tuple[Target, ...]") -> "Table":
    from edge.units import format_bytes

    heads = ("name", "aliases", "kind", "processor", "cores", "memory", "OS, Python")
    table = _table(*heads, "runtimes", "price")
    for target in targets:
        runtimes = ", ".join(f"{r.distribution} {r.version}" for r in target.runtimes)
        _add(
            table,
            target.name,
            ", ".join(target.aliases),
            target.kind,
            _processor(target),
            f"{target.cpu.cores.value:g}",
            format_bytes(target.memory.capacity_bytes.value),
            f"{target.os.name}, {target.os.python}",
            runtimes,
            _price(target.price),
        )
    return table


def _show_table(target: "Target") -> "Table":
    names = ", ".join((target.name, *target.aliases))
    table = _table(names, target.title, "source")
    for row in _rows(target):
        _add(table, *row)
    return table


def _rows(target: "Target") -> Iterator[tuple[str, ...]]:
    """Yield what is known of a target: key, value with its unit, source."""
    yield "kind", target.kind, ""
    yield from (("note", note, "") for note in target.notes)
    yield from _section("CPU", f"{target.cpu.model}, {target.cpu.architecture}")
    yield from _figures(target.cpu)
    yield "  features", " ".join(target.cpu.features), target.cpu.features_source
    yield from _section("memory")
    yield from _figures(target.memory)
    if target.accelerator is not None:
        yield from _section("accelerator", target.accelerator.name)
        yield from _figures(target.accelerator)
    yield from _section("operating system", target.os.name)
    yield "  glibc", target.os.glibc, target.os.source
    yield "  libstdc++", f"GLIBCXX_{target.os.libstdcxx}", "as above"
    yield "  Python", target.os.python, "as above"
    yield from _section("price")
    yield from _figures(target.price)
    if target.power is not None:
        yield from _section("power")
        yield from _figures(target.power)
    if target.emulation is not None:
        yield from _section("emulation")
        yield "  qemu CPU", target.emulation.qemu_cpu, ""
    yield from _section("runtimes")
    yield from map(_runtime_row, target.runtimes)
    if target.calibrations:
        yield from _section("calibrations")
        yield from map(_calibration_row, target.calibrations)


def _section(title: str, value: str = "") -> Iterator[tuple[str, ...]]:
    yield "", "", ""
    yield title, value, ""


def _figures(record: object) -> Iterator[tuple[str, ...]]:
    """Yield every figure of a record, under its key without the unit."""
    import dataclasses

    from edge.records.target import Figure

    assert dataclasses.is_dataclass(record)
    for field in dataclasses.fields(record):
        figure = getattr(record, field.name)
        if isinstance(figure, Figure):
            yield f"  {_label(field.name)}", _quantity(field.name, figure.value), _origin(figure)


def _label(key: str) -> str:
    for unit in ("_bytes_per_s", "_per_s", "_bytes", "_hz", "_usd", "_w"):
        key = key.removesuffix(unit)
    return key.replace("_", " ")


def _quantity(key: str, value: float) -> str:
    """Format the value of a figure, whose key names the unit."""
    from edge.units import format_bytes, format_count

    if key.endswith("_bytes_per_s"):
        return f"{format_count(value, 'B')}/s"
    if key.endswith("flops_per_s"):
        return f"{format_count(value, 'FLOP')}/s"
    if key.endswith("ops_per_s"):
        return f"{format_count(value, 'OP')}/s"
    if key.endswith("_bytes"):
        return format_bytes(value)
    if key.endswith("_hz"):
        return format_count(value, "Hz")
    return f"{value:g}{_SUFFIXES.get(key, '')}"


_SUFFIXES = {"purchase_usd": " USD", "hourly_usd": " USD", "idle_w": " W", "load_w": " W"}


def _origin(figure: "Figure") -> str:
    parts = (figure.source, figure.date, figure.note)
    return "; ".join(part for part in parts if part is not None)


def _runtime_row(runtime: "TargetRuntime") -> tuple[str, ...]:
    from edge.units import format_bytes

    size = format_bytes(sum(wheel.size_bytes for wheel in runtime.wheels))
    count = len(runtime.wheels)
    parts = [f"{count} wheel{'s' * (count > 1)}, {size}" if count else "no wheels pinned"]
    parts += [f"needs {package} from apt" for package in runtime.apt_packages]
    parts += [] if runtime.note is None else [runtime.note]
    return f"  {runtime.backend}", f"{runtime.distribution} {runtime.version}", "; ".join(parts)


def _calibration_row(calibration: "Calibration") -> tuple[str, ...]:
    from edge.units import format_count

    rates = (
        calibration.rate_low_macs_per_s,
        calibration.rate_typical_macs_per_s,
        calibration.rate_high_macs_per_s,
    )
    low, typical, high = (format_count(rate, "MAC") for rate in rates)
    parts = [f"{calibration.rows} rows of {calibration.runtime}", calibration.source]
    if calibration.relative is not None:
        parts.insert(1, f"from its relative {calibration.relative}")
    key = f"  {calibration.precision}, {calibration.threads} threads"
    return key, f"{typical}/s ({low}/s to {high}/s)", "; ".join(parts)


def _processor(target: "Target") -> str:
    cpu = f"{target.cpu.model}, {_quantity('clock_hz', target.cpu.clock_hz.value)}"
    if target.kind != "cloud-gpu" or target.accelerator is None:
        return cpu
    return f"{target.accelerator.name}; {cpu}"


def _price(price: "Price") -> str:
    return f"{price.figure.value:g} USD" + ("" if price.hourly_usd is None else "/h")


def _table(*heads: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(_text(head), overflow="fold")
    return table


def _add(table: "Table", *cells: str) -> None:
    table.add_row(*map(_text, cells))


def _text(text: str) -> str:
    """Return a cell's text, escaped: a user's own target file may hold anything."""
    from rich.markup import escape

    from edge.errors import printable

    return escape(printable(text, _LONGEST_CELL))
