"""The list of licences that a device reads out of its bundle."""

import json

import pytest

from edge.device.licences import listed_licences
from edge.errors import BundleError


def test_licences_are_listed_however_they_are_said() -> None:
    components = [
        {"name": "a", "version": "1.0", "licenses": [{"expression": "MIT OR ISC"}]},
        {"name": "b", "licenses": [{"license": {"id": "MIT"}}]},
        {"name": "c\x1b", "licenses": [{"license": {"name": "NOASSERTION"}}]},
    ]
    assert listed_licences(json.dumps({"components": components}).encode()) == [
        ("a", "1.0", "MIT OR ISC"),
        ("b", "", "MIT"),
        ("c\\x1b", "", "NOASSERTION"),
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"\xff",
        b"{",
        b"[]",
        b'{"components": 3}',
        b'{"components": [3]}',
        b'{"components": [{"name": "a", "licenses": []}]}',
        b'{"components": [{"name": "a", "licenses": [{"license": 3}]}]}',
    ],
)
def test_what_is_no_sbom_is_refused(document: bytes) -> None:
    with pytest.raises(BundleError) as caught:
        listed_licences(document)
    assert str(caught.value) == "sbom.cdx.json: it is no bill of materials in CycloneDX"
