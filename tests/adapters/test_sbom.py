"""The bill of materials: valid by CycloneDX's own schema, whole, and the same every time."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from edge.adapters.sbom import sbom_text
from edge.device.licences import listed_licences
from edge.records.part import Licence, Part

MIT = Licence(expression="MIT", note="License in METADATA")
INNER = Part(
    ref="pkg:pypi/tiny@1.0/inner",
    kind="library",
    name="inner",
    licence=Licence(expression="GPL-3.0-or-later WITH GCC-exception-3.1", concluded=True),
    sha256="1" * 64,
    purl="pkg:generic/inner@2?download_url=file://inner",
)
PARTS = (
    Part(
        ref="model:1",
        kind="machine-learning-model",
        name="digits.onnx",
        licence=Licence(note="no card"),
        sha256="2" * 64,
        facts=(("input", "a b\x1b"), ("input", "c")),
        origin=Part(ref="origin:x", kind="library", name="x", licence=MIT, purl="pkg:npm/x@1"),
    ),
    Part(
        ref="pkg:pypi/tiny@1.0",
        kind="library",
        name="tiny",
        version="1.0",
        licence=MIT,
        purl="pkg:pypi/tiny@1.0",
        website="https://example.org/a?b=c",
        parts=(INNER,),
    ),
    Part(
        ref="edgekit",
        kind="library",
        name="edgekit",
        licence=Licence(name="Mine", note="odd"),
        needs=("pkg:pypi/tiny@1.0",),
        purl="pkg:wrong",
    ),
)
BUNDLE = Part(
    ref="bundle:digits",
    kind="application",
    name="digits",
    version="7",
    licence=Licence(note="a collection"),
    needs=("edgekit", "model:1"),
)


def document(parts: tuple[Part, ...] = PARTS) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(sbom_text(BUNDLE, parts, edgekit_version="0.1.0"))
    return read


def test_the_schema_of_cyclonedx_takes_it() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    text = sbom_text(BUNDLE, PARTS, edgekit_version="0.1.0").decode()
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"book"')) is not None


def test_what_it_says() -> None:
    found = document()
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    about = found["metadata"]["component"]
    assert (about["name"], about["version"], about["type"]) == ("digits", "7", "application")
    assert sorted(found["metadata"]) == ["component", "tools"]
    components = {component["bom-ref"]: component for component in found["components"]}
    model = components["model:1"]
    assert model["type"] == "machine-learning-model"
    assert model["licenses"] == [{"license": {"name": "NOASSERTION"}}]
    assert model["properties"] == [
        {"name": "edgekit:input", "value": "a b\\x1b"},
        {"name": "edgekit:input", "value": "c"},
        {"name": "edgekit:licence_note", "value": "no card"},
    ]
    (origin,) = model["pedigree"]["ancestors"]
    assert origin["purl"] == "pkg:npm/x@1"
    tiny = components["pkg:pypi/tiny@1.0"]
    assert tiny["licenses"] == [{"license": {"acknowledgement": "declared", "id": "MIT"}}]
    assert tiny["externalReferences"] == [{"type": "website", "url": "https://example.org/a?b=c"}]
    (inner,) = tiny["components"]
    assert inner["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    assert inner["licenses"] == [
        {
            "acknowledgement": "concluded",
            "expression": "GPL-3.0-or-later WITH GCC-exception-3.1",
        }
    ]
    # A package URL that is none is left out, wherever it came from.
    assert "purl" not in components["edgekit"]
    assert {entry["ref"]: entry.get("dependsOn") for entry in found["dependencies"]} == {
        "bundle:digits": ["edgekit", "model:1"],
        "edgekit": ["pkg:pypi/tiny@1.0"],
        "model:1": None,
        "pkg:pypi/tiny@1.0": None,
    }


def test_every_component_has_a_licence_or_says_why_not() -> None:
    def every(component: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield component
        for inner in component.get("components", ()):
            yield from every(inner)

    for top in document()["components"]:
        for component in every(top):
            (licence,) = component["licenses"]
            if licence.get("license", {}).get("name") == "NOASSERTION":
                names = [fact["name"] for fact in component["properties"]]
                assert "edgekit:licence_note" in names


def test_a_device_reads_the_licences_out_of_it() -> None:
    assert listed_licences(sbom_text(BUNDLE, PARTS, edgekit_version="0.1.0")) == [
        ("edgekit", "", "Mine"),
        ("tiny", "1.0", "MIT"),
        ("digits.onnx", "", "NOASSERTION"),
    ]


def test_the_serial_number_is_that_of_the_content() -> None:
    assert document() == document()
    first, second = document(), document(PARTS[::-1])
    assert first == second
    other = sbom_text(BUNDLE, PARTS, edgekit_version="0.1.1")
    assert json.loads(other)["serialNumber"] != first["serialNumber"]
    assert first["serialNumber"].startswith("urn:uuid:")


def test_another_process_writes_the_same_bytes() -> None:
    program = (
        "import sys, test_sbom as t; from edge.adapters.sbom import sbom_text;"
        "sys.stdout.buffer.write(sbom_text(t.BUNDLE, t.PARTS, edgekit_version='0.1.0'))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": paths, "TZ": "UTC+9"}
    written = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=True
    )
    assert written.stdout == sbom_text(BUNDLE, PARTS, edgekit_version="0.1.0")
