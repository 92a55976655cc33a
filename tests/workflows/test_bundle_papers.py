"""The documents of real bundles: of the wheels that rpi4, jetson-nano and this machine get."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.utils import canonicalize_name

from edge.adapters.targets import load_target
from edge.adapters.wheelhouse import wheels_for
from edge.device.licences import listed_licences
from edge.errors import BundleError
from edge.records.manifest import (
    CARD_PATH,
    LOCK_PATH,
    SBOM_PATH,
    BundleModel,
    BundleSamples,
)
from edge.records.platform import Platform, platform_of
from edge.workflows.bundle_papers import BundleFacts, BundlePapers, bundle_papers
from edge.workflows.inspect import inspect_model
from edge.workflows.models import resolve_model
from edge.workflows.this_host import this_platform

pytestmark = pytest.mark.network


@pytest.fixture(autouse=True)
def cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(shared_cache))


def facts_for(platform: Platform, distribution: str, system: str | None = None) -> BundleFacts:
    choice = resolve_model(None)
    assert choice.card is not None
    assert choice.samples is not None
    info = inspect_model(choice.path, {})
    (runtime,) = [r for r in platform.runtimes if r.distribution == distribution]
    return BundleFacts(
        name=f"digits-{platform.name}",
        sequence=3,
        platform=platform,
        system=system,
        runtime=runtime,
        threads=4,
        model=BundleModel(
            name=choice.path.name,
            format=info.format,
            precision=info.precision,
            path=f"model/{choice.path.name}",
            sha256=info.sha256,
            size_bytes=info.file_bytes,
            peak_activation_bytes=info.peak_activation_bytes,
            inputs=info.inputs,
            outputs=info.outputs,
            licence=choice.card.licence,
            source="project",
            accuracy=None,
        ),
        info=info,
        card=choice.card,
        samples=BundleSamples("samples.npz", 16, "close", 1e-4, 1e-4, "onnxruntime here"),
        samples_file=choice.samples,
        own_inputs=False,
        wheels=wheels_for(platform, runtime),
    )


def target_facts(name: str, distribution: str) -> BundleFacts:
    target = load_target(name)
    return facts_for(platform_of(target), distribution, target.os.name)


def sbom(papers: BundlePapers) -> dict[str, Any]:
    text = papers.members[SBOM_PATH].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    read: dict[str, Any] = json.loads(text)
    return read


def every(components: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for component in components:
        yield component
        yield from every(component.get("components", []))


def licence(component: dict[str, Any]) -> str:
    (told,) = component["licenses"]
    inner = told.get("license", {})
    return str(told.get("expression") or inner.get("id") or inner["name"])


def notes(component: dict[str, Any]) -> list[str]:
    return [
        fact["value"] for fact in component["properties"] if fact["name"] == "edgekit:licence_note"
    ]


def test_the_bundle_of_a_raspberry_pi() -> None:
    papers = bundle_papers(target_facts("rpi4", "onnxruntime"))
    assert sorted(papers.members) == sorted([CARD_PATH, LOCK_PATH, SBOM_PATH])
    assert papers.licences == (
        ("digits-cnn-fp32.onnx", "", "Apache-2.0"),
        ("samples.npz", "", "Apache-2.0"),
        ("edgekit", "0.1.0", "Apache-2.0"),
        ("flatbuffers", "25.12.19", "Apache-2.0"),
        ("numpy", "2.4.6", "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0"),
        ("onnxruntime", "1.32.0", "MIT"),
        ("packaging", "26.3", "Apache-2.0 OR BSD-2-Clause"),
        ("protobuf", "7.36.2", "BSD-3-Clause"),
    )
    document = sbom(papers)
    components = {component["name"]: component for component in document["components"]}
    numpy = components["numpy"]
    assert numpy["purl"] == "pkg:pypi/numpy@2.4.6"
    assert [(part["name"], licence(part)) for part in numpy["components"]] == [
        ("libgfortran.so.5.0.0", "GPL-3.0-or-later WITH GCC-exception-3.1"),
        ("libscipy_openblas64_.so", "BSD-3-Clause AND BSD-3-Clause-Open-MPI"),
    ]
    assert numpy["components"][1]["hashes"][0]["content"] == (
        "c938cf8481a5858e8d5efea804106275d7d5e7878a161a5d90f05b6121ef4583"
    )
    notices = components["onnxruntime"]["components"]
    known = [licence(part) for part in notices]
    assert (len(known), known.count("NOASSERTION"), known.count("MIT")) == (70, 23, 15)
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    assert needs["edgekit"] == ["pkg:pypi/onnxruntime@1.32.0"]
    assert needs["pkg:pypi/onnxruntime@1.32.0"] == [
        "pkg:pypi/flatbuffers@25.12.19",
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/packaging@26.3",
        "pkg:pypi/protobuf@7.36.2",
    ]


@pytest.mark.parametrize(
    ("target", "distribution"),
    [("rpi4", "onnxruntime"), ("rpi4-32bit", "tflite-runtime"), ("jetson-nano", "onnxruntime")],
)
def test_every_part_has_a_licence_or_a_reason(target: str, distribution: str) -> None:
    facts = target_facts(target, distribution)
    papers = bundle_papers(facts)
    document = sbom(papers)
    components = list(every(document["components"]))
    assert [c["name"] for c in components if licence(c) == "NOASSERTION" and not notes(c)] == []
    wheels = {
        c["hashes"][0]["content"] for c in document["components"] if "purl" in c and "hashes" in c
    }
    assert wheels == {pin.sha256 for pin, _ in facts.wheels}
    refs = [component["bom-ref"] for component in components]
    assert len(set(refs)) == len(refs)
    assert listed_licences(papers.members[SBOM_PATH]) == sorted(
        papers.licences, key=lambda told: [c["name"] for c in document["components"]].index(told[0])
    )


def test_what_comes_from_the_targets_archive_is_told() -> None:
    document = sbom(bundle_papers(target_facts("rpi4-32bit", "tflite-runtime")))
    components = {component["name"]: component for component in document["components"]}
    numpy = components["python3-numpy"]
    assert numpy["purl"] == "pkg:deb/raspbian/python3-numpy"
    assert notes(numpy) == ["not in the bundle: /usr/share/doc/python3-numpy/copyright tells"]
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    assert needs["pkg:pypi/tflite-runtime@2.14.0"] == ["deb:python3-numpy"]
    linked = [fact["value"] for fact in components["tflite-runtime"]["properties"]]
    assert "unknown: the wheel does not list what was compiled into it" in linked


def test_samples_that_the_user_gave_have_no_licence_of_the_card() -> None:
    facts = target_facts("rpi4", "onnxruntime")
    own = bundle_papers(replace(facts, own_inputs=True)).licences
    assert own[1] == ("samples.npz", "", "NOASSERTION")


def test_a_wheel_under_another_ones_pin_is_refused() -> None:
    facts = target_facts("rpi4", "onnxruntime")
    pins = [pin for pin, _ in facts.wheels]
    paths = [path for _, path in facts.wheels]
    with pytest.raises(BundleError) as caught:
        bundle_papers(replace(facts, wheels=list(zip(pins, paths[::-1], strict=True))))
    assert str(caught.value) == (
        f"{paths[-1].name}: METADATA is that of protobuf, and the wheel was pinned as flatbuffers"
    )


def test_pip_installs_from_the_lock_file(tmp_path: Path) -> None:
    facts = facts_for(this_platform(), "onnxruntime")
    (tmp_path / "wheels").mkdir()
    for pin, path in facts.wheels:
        (tmp_path / "wheels" / pin.filename).symlink_to(path)
    (tmp_path / LOCK_PATH).write_bytes(bundle_papers(facts).members[LOCK_PATH])
    options = ["--quiet", "--no-index", "--no-deps", "--dry-run", "--ignore-installed"]
    command = [sys.executable, "-m", "pip", "install", *options, "--report", "report.json"]
    subprocess.run([*command, "-r", LOCK_PATH], cwd=tmp_path, check=True, capture_output=True)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    found = {
        (canonicalize_name(entry["metadata"]["name"]), entry["metadata"]["version"])
        for entry in report["install"]
    }
    assert found == {(canonicalize_name(pin.name), pin.version) for pin, _ in facts.wheels}


def test_a_wheel_that_changed_is_not_installed_from_the_lock_file(tmp_path: Path) -> None:
    facts = facts_for(this_platform(), "onnxruntime")
    (tmp_path / "wheels").mkdir()
    for pin, path in facts.wheels:
        (tmp_path / "wheels" / pin.filename).symlink_to(path)
    (pin, path) = next((pin, path) for pin, path in facts.wheels if pin.name == "flatbuffers")
    place = tmp_path / "wheels" / pin.filename
    place.unlink()
    place.write_bytes(path.read_bytes() + b"\0")
    (tmp_path / LOCK_PATH).write_bytes(bundle_papers(facts).members[LOCK_PATH])
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--dry-run"]
    tried = subprocess.run(
        [*command, "--ignore-installed", "-r", LOCK_PATH],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert tried.returncode != 0
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in tried.stderr


def test_the_same_facts_give_the_same_bytes() -> None:
    facts = target_facts("jetson-nano", "onnxruntime")
    assert bundle_papers(facts) == bundle_papers(facts)
