"""Target files: what ships is complete and sane, what is wrong is refused with file and key."""

import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from edge.adapters.data import data_folder
from edge.adapters.files import read_toml
from edge.adapters.targets import load_target, load_target_file, load_targets
from edge.backends import backend_names
from edge.errors import ConfigError
from edge.records.codec import from_dict, json_schema, to_dict
from edge.records.target import Target

FOLDER = data_folder("targets")
FILES = sorted(FOLDER.glob("*.toml"))
TARGETS = [load_target_file(path) for path in FILES]
RPI4 = (FOLDER / "rpi4.toml").read_text(encoding="utf-8")
CLOUD = (FOLDER / "cloud-cpu.toml").read_text(encoding="utf-8")


def ids(target: Target) -> str:
    return target.name


def figures(document: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every figure of a TOML document with its key path."""
    if isinstance(document, dict):
        if "value" in document:
            yield path, document
        for key, value in document.items():
            yield from figures(value, f"{path}.{key}" if path else key)


def strings(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value)


# What ships.


def test_the_promised_targets_are_there() -> None:
    names = {target.name for target in TARGETS}
    assert names >= {
        "rpi-zero2w",
        "rpi3",
        "rpi4",
        "rpi4-32bit",
        "rpi5",
        "jetson-nano",
        "jetson-orin-nano",
        "cloud-cpu",
        "cloud-cpu-4c",
        "cloud-cpu-arm",
        "cloud-gpu-t4",
        "cloud-gpu-l4",
        "cloud-gpu-a10g",
        "cloud-gpu-a100",
    }


@pytest.mark.parametrize(
    ("alias", "name"), [("rpi", "rpi4"), ("jetson", "jetson-nano"), ("cpu", "cloud-cpu")]
)
def test_aliases(alias: str, name: str) -> None:
    assert load_target(alias).name == name


def test_targets_come_by_kind_and_price() -> None:
    targets = load_targets()
    kinds = [target.kind for target in targets]
    assert kinds == sorted(kinds, key=["edge", "cloud-cpu", "cloud-gpu"].index)
    for before, after in pairwise(targets):
        if before.kind == after.kind:
            assert before.price.figure.value <= after.price.figure.value
    assert sorted(target.name for target in targets) == sorted(path.stem for path in FILES)


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_figures_are_sane(target: Target) -> None:
    cpu, memory = target.cpu, target.memory
    assert 1 <= cpu.cores.value <= 256
    assert 0.5e9 <= cpu.clock_hz.value <= 6e9
    assert cpu.fp32_flops_per_cycle.value in {8, 16, 32, 64}
    assert cpu.fp32_flops_per_cycle.value < cpu.int8_ops_per_cycle.value <= 256
    assert 256 << 20 <= memory.usable_bytes.value <= memory.capacity_bytes.value <= 512 << 30
    assert 1e9 <= memory.bandwidth_bytes_per_s.value <= 300e9
    price = target.price.figure
    assert price.date is not None
    assert re.fullmatch(r"20\d\d-\d\d(-\d\d)?", price.date)
    if target.kind == "edge":
        assert target.power is not None
        assert 0 < target.power.idle_w.value < target.power.load_w.value <= 60
        assert 10 <= price.value <= 1000
    else:
        assert 0.01 <= price.value <= 10
    if target.accelerator is not None:
        assert memory.bandwidth_bytes_per_s.value < target.accelerator.bandwidth_bytes_per_s.value


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_features_are_spelt_as_the_kernel_spells_them(target: Target) -> None:
    features = target.cpu.features
    assert len(set(features)) == len(features) > 4
    always = {"aarch64": "asimd", "armv7l": "neon", "x86_64": "avx2"}
    assert always[target.cpu.architecture] in features
    # 64 operations a cycle and more need an int8 dot product in the core.
    if target.cpu.int8_ops_per_cycle.value / target.cpu.fp32_flops_per_cycle.value >= 4:
        assert {"asimddp", "avx512_vnni"} & set(features)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_figure_has_a_source_and_none_is_private(path: Path) -> None:
    document = read_toml(path)
    found = list(figures(document))
    assert len(found) >= 8
    for key, figure in found:
        assert len(figure["source"]) >= 6, key
        if figure["source"].startswith("general knowledge"):
            # Nobody can look that up, so the note has to say how sure it is.
            assert re.match(r"general knowledge|assumed|derived", figure["note"]), key
    for text in strings(document):
        assert not re.search(r"(^|[\s;:(])/(?!proc/)\w|file:|localhost|192\.168\.", text), text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_target_survives_the_round_trip_and_its_schema(path: Path) -> None:
    target = load_target_file(path)
    plain = to_dict(target)
    assert from_dict(Target, plain) == target
    jsonschema.validate(plain, json_schema(Target))


# The wheels.


def tags_of(target: Target) -> set[Tag]:
    """The tags that run on the target, made here from PEP 425 and PEP 600 alone."""
    major, minor = map(int, target.os.glibc.split("."))
    architecture = target.cpu.architecture
    oldest = 5 if architecture == "x86_64" else 17
    platforms = [f"manylinux_{major}_{m}_{architecture}" for m in range(minor, oldest - 1, -1)]
    platforms.append(f"manylinux2014_{architecture}")
    python = tuple(map(int, target.os.python.split(".")))
    interpreter = f"cp{python[0]}{python[1]}"
    return {
        *cpython_tags(python, [interpreter], platforms),
        *compatible_tags(python, interpreter, platforms),
    }


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_wheels_run_on_the_target(target: Target) -> None:
    tags = tags_of(target)
    for runtime in target.runtimes:
        for wheel in runtime.wheels:
            name, version, _build, wheel_tags = parse_wheel_filename(wheel.filename)
            assert tags & wheel_tags, wheel.filename
            assert (name, version) == (wheel.name, Version(wheel.version))


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_each_closure_begins_with_its_runtime_and_holds_numpy(target: Target) -> None:
    for runtime in target.runtimes:
        assert runtime.backend in backend_names()
        if target.kind == "cloud-gpu":
            assert runtime.wheels == ()
            assert runtime.note is not None
            continue
        pins = {wheel.name: Version(wheel.version) for wheel in runtime.wheels}
        assert len(pins) == len(runtime.wheels)
        first = runtime.wheels[0]
        assert first.name == canonicalize_name(runtime.distribution)
        assert first.version == runtime.version
        assert ("numpy" in pins) != ("python3-numpy" in runtime.apt_packages)
        if runtime.distribution == "tflite-runtime" and "numpy" in pins:
            assert pins["numpy"] < Version("2")


@pytest.mark.parametrize("target", TARGETS, ids=ids)
def test_one_wheel_means_one_file(target: Target) -> None:
    pins = {w.filename: w for other in TARGETS for r in other.runtimes for w in r.wheels}
    for runtime in target.runtimes:
        for wheel in runtime.wheels:
            assert wheel == pins[wheel.filename]


def test_formats_that_can_run() -> None:
    backends = {t.name: {r.backend for r in t.runtimes} for t in TARGETS}
    assert backends.pop("rpi4-32bit") == {"tflite"}
    for target in TARGETS:
        if target.kind == "cloud-gpu":
            assert backends.pop(target.name) == {"onnxruntime"}
    assert set(map(frozenset, backends.values())) == {frozenset({"onnxruntime", "tflite"})}


# What is wrong.


def refused(tmp_path: Path, text: str, name: str = "rpi4") -> tuple[str, str | None]:
    path = tmp_path / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_target_file(path)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(path)
    return caught.value.what, caught.value.hint


def change(text: str, pattern: str, replacement: str) -> str:
    changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    return changed


FIGURE = '{ value = 4, source = "where it was read" }'
WRONG = {
    "a misspelt key": (
        (r"^usable_bytes", "useable_bytes"),
        ("memory.useable_bytes: unknown key", "did you mean usable_bytes?"),
    ),
    "a key without its unit": (
        (r"^bandwidth_bytes_per_s = .*$", "bandwidth = 4.0"),
        ("memory.bandwidth: unknown key", "did you mean bandwidth_bytes_per_s?"),
    ),
    "a clock without its unit": (
        (r"^clock_hz", "clock"),
        ("cpu.clock: unknown key", "did you mean clock_hz?"),
    ),
    "an unknown key that resembles none": (
        (r"^idle_w", "zzz"),
        ("power.zzz: unknown key", "allowed: idle_w, load_w"),
    ),
    "a bare number": (
        (r"^clock_hz = .*$", "clock_hz = 1_800_000_000"),
        ("cpu.clock_hz: expected a table, got 1800000000", f"write it as {FIGURE}"),
    ),
    "an empty source": (
        (r"^cores = .*$", 'cores = { value = 4, source = " " }'),
        ("cpu.cores: a figure needs a source", None),
    ),
    "a figure of text": (
        (r"^cores = .*$", 'cores = { value = "4", source = "s" }'),
        ("cpu.cores.value: expected a number, got '4'", None),
    ),
    "a negative figure": (
        (r"^idle_w = .*$", 'idle_w = { value = -1, source = "s" }'),
        ("power.idle_w: a figure must be a number from 0 up, got -1.0", None),
    ),
    "no number": (
        (r"^idle_w = .*$", 'idle_w = { value = nan, source = "s" }'),
        ("power.idle_w: a figure must be a number from 0 up, got nan", None),
    ),
    "a clock in gigahertz": (
        (r"^clock_hz = .*$", 'clock_hz = { value = 1.8, source = "s" }'),
        ("cpu: clock_hz is in hertz, got 1.8", None),
    ),
    "half a core": (
        (r"^cores = .*$", 'cores = { value = 2.5, source = "s" }'),
        ("cpu: cores must be a whole number from 1 up, got 2.5", None),
    ),
    "memory in gigabytes": (
        (
            r"^capacity_bytes = .*\nusable_bytes = .*$",
            'capacity_bytes = { value = 4, source = "s" }\nusable_bytes = { value = 3, source = "s" }',
        ),
        ("memory: capacity_bytes is in bytes, got 4", None),
    ),
    "more usable than fitted": (
        (r"^usable_bytes = .*$", 'usable_bytes = { value = 5e9, source = "s" }'),
        ("memory: usable_bytes is more than capacity_bytes", None),
    ),
    "bandwidth in gigabytes": (
        (r"^bandwidth_bytes_per_s = .*$", 'bandwidth_bytes_per_s = { value = 4, source = "s" }'),
        ("memory: bandwidth_bytes_per_s is in bytes a second, got 4", None),
    ),
    "idle above load": (
        (r"^idle_w = .*$", 'idle_w = { value = 50, source = "s" }'),
        ("power: idle_w is more than load_w", None),
    ),
    "an unknown kind": (
        (r"^kind = .*$", 'kind = "board"'),
        ("kind: must be one of edge, cloud-cpu, cloud-gpu, got 'board'", None),
    ),
    "an unknown architecture": (
        (r"^architecture = .*$", 'architecture = "arm64"'),
        ("cpu.architecture: must be one of aarch64, armv7l, x86_64, got 'arm64'", None),
    ),
    "the wrong kind for its price": (
        (r"^kind = .*$", 'kind = "cloud-cpu"'),
        ("an edge target is bought, a cloud target is rented by the hour", None),
    ),
    "two prices": (
        (r"^\[price\]$", '[price]\nhourly_usd = { value = 1, source = "s", date = "2026-01" }'),
        ("price: needs exactly one of purchase_usd and hourly_usd", None),
    ),
    "a price without a date": (
        (r"^purchase_usd = .*$", 'purchase_usd = { value = 75, source = "s" }'),
        ("price: purchase_usd needs a date", None),
    ),
    "a date that is none": (
        (r"^purchase_usd = .*$", 'purchase_usd = { value = 75, source = "s", date = "March" }'),
        ("price.purchase_usd: a date is YYYY-MM-DD or YYYY-MM, got March", None),
    ),
    "a Python with three parts": (
        (r"^python = .*$", 'python = "3.11.2"'),
        ("os: python must be like 3.11 (major.minor), got 3.11.2", None),
    ),
    "a symbol version with its prefix": (
        (r"^libstdcxx = .*$", 'libstdcxx = "GLIBCXX_3.4.30"'),
        ("os: libstdcxx must be like 3.4.30, got GLIBCXX_3.4.30", None),
    ),
    "a backend that is none": (
        (r'^backend = "onnxruntime"$', 'backend = "onnxruntme"'),
        ("runtimes[0].backend: no such backend: onnxruntme", "did you mean onnxruntime?"),
    ),
    "a backend that resembles none": (
        (r'^backend = "tflite"$', 'backend = "x"'),
        ("runtimes[1].backend: no such backend: x", f"backends: {', '.join(backend_names())}"),
    ),
    "a wheel with a path": (
        (r'filename = "[^"]*"', 'filename = "../onnxruntime-1.whl"'),
        (
            "runtimes[0].wheels[0]: not the file name of a wheel: ../onnxruntime-1.whl",
            None,
        ),
    ),
    "a digest that is none": (
        (r'sha256 = "\w+"', 'sha256 = "abc"'),
        ("runtimes[0].wheels[0]: not a SHA-256 in hexadecimal: abc", None),
    ),
    "an alias that cannot be typed": (
        (r"^aliases = .*$", 'aliases = ["Rasp Pi"]'),
        ("a name has small letters, digits and hyphens, got 'Rasp Pi'", None),
    ),
    "a name other than the file's": (
        (r"^name = .*$", 'name = "rpi-4"'),
        ("name: is rpi-4, but the file is called rpi4.toml", "rename the file to rpi-4.toml"),
    ),
    "no version": (
        (r"^schema_version = .*\n", ""),
        ("schema_version: missing key", 'add schema_version = "1.0"'),
    ),
    "a newer version": (
        (r"^schema_version = .*$", 'schema_version = "2.0"'),
        (
            "schema_version: version 2.0 is newer than this edgekit reads (1.0)",
            "update edgekit on this machine",
        ),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused_with_file_and_key(case: str, tmp_path: Path) -> None:
    (pattern, replacement), expected = WRONG[case]
    assert refused(tmp_path, change(RPI4, pattern, replacement)) == expected


def test_a_board_needs_power_figures(tmp_path: Path) -> None:
    text = change(RPI4, r"^\[power\]\n.*\n.*\n", "")
    assert refused(tmp_path, text) == ("an edge target needs power figures", None)


def test_a_gpu_target_needs_an_accelerator(tmp_path: Path) -> None:
    text = change(CLOUD, r"^kind = .*$", 'kind = "cloud-gpu"')
    what = "a cloud-gpu target needs an accelerator"
    assert refused(tmp_path, text, "cloud-cpu") == (what, None)


@pytest.mark.parametrize("key", [key for key, _figure in figures(read_toml(FOLDER / "rpi4.toml"))])
def test_no_figure_goes_without_a_source(key: str, tmp_path: Path) -> None:
    pattern = rf'^({key.rpartition(".")[2]} = .*?), source = "[^"]*"'
    text = change(RPI4, pattern, r"\1")
    assert refused(tmp_path, text) == (f"{key}.source: missing key", None)


def test_broken_toml_is_refused(tmp_path: Path) -> None:
    what, hint = refused(tmp_path, RPI4.replace("[memory]", "[memory", 1))
    assert re.fullmatch(r"not TOML: .+ \(at line \d+, column \d+\)", what)
    assert hint is None


def test_a_broken_file_is_loud_even_if_another_target_is_asked_for(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "targets")
    path = tmp_path / "targets" / "rpi3.toml"
    path.write_text("name =", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_targets(tmp_path / "targets")
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("aliases", "what"),
    [
        ('aliases = ["rpi4"]', "aliases: rpi4 is already a name of rpi4.toml"),
        ('aliases = ["rpi"]', "aliases: rpi is already a name of rpi4.toml"),
        ('aliases = ["twin", "twin"]', "aliases: twin is already a name of rpi9.toml"),
        ('aliases = ["rpi9"]', "aliases: rpi9 is already a name of rpi9.toml"),
    ],
)
def test_two_targets_cannot_share_a_name(aliases: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "rpi4.toml").write_text(RPI4, encoding="utf-8")
    text = change(change(RPI4, r"^name = .*$", 'name = "rpi9"'), r"^aliases = .*$", aliases)
    (tmp_path / "rpi9.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_targets(tmp_path)
    assert (caught.value.where, caught.value.what) == (str(tmp_path / "rpi9.toml"), what)
    assert caught.value.hint == "one of the two needs another name"


def test_an_alias_of_another_target_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "rpi4.toml").write_text(RPI4, encoding="utf-8")
    text = change(change(RPI4, r"^name = .*$", 'name = "rpi"'), r"^aliases = .*\n", "")
    (tmp_path / "rpi.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"aliases: rpi is already a name of rpi\.toml"):
        load_targets(tmp_path)


def test_an_empty_folder_is_no_set_of_targets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_targets(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no target files"
    assert caught.value.hint == "install edgekit again: its targets are missing"


# Names and files.


def test_an_unknown_target_is_refused_with_a_guess() -> None:
    with pytest.raises(ConfigError) as caught:
        load_target("rasppi4")
    every = ", ".join(target.name for target in load_targets())
    assert str(caught.value) == "rasppi4: no such target"
    assert caught.value.hint == f"did you mean rpi4? targets: {every}"


def test_an_unknown_target_that_resembles_none() -> None:
    with pytest.raises(ConfigError) as caught:
        load_target("???")
    every = ", ".join(target.name for target in load_targets())
    assert caught.value.hint == f"targets: {every}"


def test_a_file_of_ones_own_is_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = change(RPI4, r"^name = .*$", 'name = "my-board"')
    path = tmp_path / "my-board.toml"
    path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert load_target(str(path)) == load_target("my-board.toml") == load_target("./my-board.toml")
    assert load_target("my-board.toml").name == "my-board"


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"^no-such\.toml: no such file or directory$"):
        load_target("no-such.toml")


def test_a_new_target_is_one_new_file(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "targets")
    text = change(RPI4, r"^name = .*$", 'name = "my-board"')
    text = change(text, r"^aliases = .*\n", "")
    (tmp_path / "targets" / "my-board.toml").write_text(text, encoding="utf-8")
    names = {target.name for target in load_targets(tmp_path / "targets")}
    assert names == {target.name for target in TARGETS} | {"my-board"}
