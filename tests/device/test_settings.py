"""The settings that a sweep saves for a bundle, and when they count."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.device import settings
from edge.device.bundle import Bundle
from edge.device.combinations import Combination, bundle_plan
from edge.device.inference import config_with, opened_model
from edge.device.parts import Unpacked, parts_in
from edge.device.probe import ProbeOptions, probe
from edge.device.settings import (
    read_settings,
    settings_line,
    settings_path,
    write_settings,
)
from edge.device.sweep import run_sweep, save_best
from edge.device.unpack import unpacked
from edge.device.zygote import preimported
from edge.errors import HostError, UsageError
from edge.records.measurement import Measurement, ModelRef, SessionConfig

EVIDENCE = {"p50_ns": 10, "p90_ns": 20, "queries": 300, "measured_unix_ns": 4}


@pytest.fixture
def parts(tmp_path: Path) -> Unpacked:
    folder = tmp_path / "bundles" / "digits" / "versions" / "abc"
    folder.mkdir(parents=True)
    return parts_in(str(folder))


def write(opened: Bundle, parts: Unpacked, **chosen: Any) -> dict[str, Any]:
    config = SessionConfig(opened.manifest.session.backend, **{"threads": 1, **chosen})
    path = write_settings(opened.manifest, parts, config, EVIDENCE)
    told: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return told


def test_settings_lie_beside_the_versions_and_outlive_them(parts: Unpacked, tmp_path: Path) -> None:
    assert settings_path(parts) == str(tmp_path / "bundles" / "digits" / "settings.json")
    other = parts_in(str(tmp_path / "bundles" / "digits" / "versions" / "def"))
    assert settings_path(other) == settings_path(parts)


def test_settings_of_a_file_lie_beside_its_folder_in_the_cache() -> None:
    assert settings_path(parts_in("/cache/bundles/abc")) == "/cache/bundles/abc.settings.json"


def test_there_are_none(opened: Bundle, parts: Unpacked) -> None:
    found = read_settings(opened.manifest, parts)
    assert (found.config, found.reason, settings_line(found)) == (None, None, None)
    assert config_with(opened.manifest, None, parts) == opened.manifest.session


def test_what_is_written_is_used(opened: Bundle, parts: Unpacked) -> None:
    told = write(opened, parts, graph_level="basic", provider="xnnpack")
    assert set(told) == {
        "schema_version",
        "model_sha256",
        "runtime",
        "runtime_version",
        "machine",
        "cpu_model",
        "cpu_features",
        "threads",
        "graph_level",
        "provider",
        "evidence",
    }
    backend = opened.manifest.session.backend
    wanted = SessionConfig(backend, 1, graph_level="basic", provider="xnnpack")
    found = read_settings(opened.manifest, parts)
    assert (found.config, found.evidence) == (wanted, EVIDENCE)
    assert settings_line(found) == (
        "threads: 1, graph level: basic, provider: xnnpack, chosen by a sweep"
    )
    assert config_with(opened.manifest, None, parts) == wanted
    assert config_with(opened.manifest, None) == opened.manifest.session


def test_options_go_before_settings(opened: Bundle, parts: Unpacked) -> None:
    write(opened, parts, graph_level="basic")
    config = config_with(opened.manifest, 3, parts, provider="cpu")
    backend = opened.manifest.session.backend
    assert config == SessionConfig(backend, 3, graph_level="basic", provider="cpu")
    with pytest.raises(UsageError, match=r"^--threads must be at least 1$"):
        config_with(opened.manifest, 0, parts)


def test_what_is_usual_is_not_asked_for(opened: Bundle, parts: Unpacked) -> None:
    told = write(opened, parts, graph_level="all", provider="cpu")
    assert (told["graph_level"], told["provider"]) == (None, None)


def test_another_level_gets_the_original_model(opened: Bundle, parts: Unpacked) -> None:
    config = SessionConfig(opened.manifest.session.backend, 1, graph_level="basic")
    model = parts.path(opened.manifest.model.path)
    assert opened_model(opened.manifest, parts, config) == (model, config)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"model_sha256": "0"}, "they were measured with another model"),
        ({"runtime": "x"}, "they were measured with another runtime"),
        ({"runtime_version": "0"}, "they were measured with another version of the runtime"),
        ({"cpu_features": "fpu"}, "they were measured on another processor"),
        ({"cpu_model": "8086"}, "they were measured on another processor"),
        ({"schema_version": "2.0"}, "the file is damaged: its schema_version is not 1.0"),
        ({"threads": "2"}, "the file is damaged: threads is no number"),
        ({"threads": 0}, "the file is damaged: threads must be at least 1, got 0"),
        (
            {"graph_level": "../x"},
            "the file is damaged: graph_level must be one of disabled, basic, extended, all",
        ),
        ({"provider": "/lib/evil.so"}, "the file is damaged: provider is no name"),
        ({"evidence": 3}, "the file is damaged: 'int' object is not iterable"),
    ],
)
def test_settings_of_another_time_are_ignored(
    opened: Bundle, parts: Unpacked, changed: dict[str, Any], reason: str
) -> None:
    told = write(opened, parts)
    Path(settings_path(parts)).write_text(json.dumps({**told, **changed}), encoding="utf-8")
    found = read_settings(opened.manifest, parts)
    assert (found.config, found.reason) == (None, reason)
    assert settings_line(found) == f"ignored: {reason}"
    assert config_with(opened.manifest, None, parts) == opened.manifest.session


def test_more_threads_than_cores_are_ignored(opened: Bundle, parts: Unpacked) -> None:
    write(opened, parts, threads=4096)
    cores = len(os.sched_getaffinity(0))
    reason = f"they ask for 4096 threads, and this process may use {cores} cores"
    assert read_settings(opened.manifest, parts).reason == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is damaged: Expecting value: line 1 column 1 (char 0)"),
        ("[]", "the file is damaged: it is no table"),
        ("x" * 70000, "the file is damaged: it is too long"),
        ("[" * 60000, "the file is damaged: it is nested too deeply"),
    ],
)
def test_a_damaged_file_is_ignored(opened: Bundle, parts: Unpacked, text: str, reason: str) -> None:
    Path(settings_path(parts)).write_text(text, encoding="utf-8")
    assert read_settings(opened.manifest, parts).reason == reason


def test_what_is_no_file_is_ignored(opened: Bundle, parts: Unpacked) -> None:
    os.mkfifo(settings_path(parts))
    found = read_settings(opened.manifest, parts)
    assert found.reason == "the file is damaged: it is no regular file"
    Path(settings_path(parts)).unlink()
    Path(settings_path(parts)).symlink_to("/dev/zero")
    found = read_settings(opened.manifest, parts)
    assert found.reason == "they cannot be read: Too many levels of symbolic links"


def test_the_best_of_a_bundles_sweep_is_saved(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unpacked_at(opened, tmp_path / "cache", monkeypatch) as parts:
        manifest = opened.manifest
        options = ProbeOptions(min_s=0.0, max_s=5.0, min_queries=20)
        usual = config_with(manifest, 1, parts)
        plan = bundle_plan(manifest, parts, ("provider",), usual, options, rounds=1)

        def measure(combination: Combination, _round: int) -> Measurement:
            path, used = opened_model(manifest, parts, combination.config)
            reference = ModelRef("m", manifest.model.format, manifest.model.sha256, 1)
            return probe(path, used, options, model=reference, paths=[parts.site])

        with preimported(manifest.session.backend, [parts.site]):
            result = run_sweep(plan, measure)
        assert result.best is not None
        row = result.rows[result.best]
        assert row.measurement is not None
        path = save_best(manifest, parts, result)
        assert path == f"{parts.folder}.settings.json"
        found = read_settings(manifest, parts)
        assert found.evidence is not None
        assert found.evidence["queries"] == len(row.measurement.latencies_ns)
        assert config_with(manifest, None, parts).threads == 1
        assert save_best(manifest, parts, replace(result, best=None)) is None


@contextmanager
def unpacked_at(opened: Bundle, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unpacked]:
    monkeypatch.setenv("EDGEKIT_CACHE", str(cache))
    with unpacked(opened) as parts:
        yield parts


def test_a_write_that_fails_leaves_what_was_there(
    opened: Bundle, parts: Unpacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(opened, parts)
    before = Path(settings_path(parts)).read_bytes()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(settings, "write_whole", full)
    with pytest.raises(HostError) as caught:
        write(opened, parts, threads=2)
    assert caught.value.what == "the settings cannot be written: No space left on device"
    assert Path(settings_path(parts)).read_bytes() == before
