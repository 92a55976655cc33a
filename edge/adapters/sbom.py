"""Writes a bundle's bill of materials as CycloneDX 1.6: the same parts give the same bytes.

https://cyclonedx.org/docs/1.6/json/. The library has no modelCard: what a model is stands in
properties.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from edge.errors import printable
from edge.records.part import Licence, Part

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License
    from packageurl import PackageURL

_PREFIX: Final = "edgekit:"
_UNKNOWN: Final = "NOASSERTION"
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:edgekit:sbom")
_LONGEST_VALUE: Final = 1000


def sbom_text(bundle: Part, parts: Sequence[Part], *, edgekit_version: str) -> bytes:
    """Return the document: `bundle` is what it is about, `parts` what that is made of.

    It has no time, and its serial number is made of its content.
    """
    # A tenth of a second to import, and only packaging needs it.
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6

    components = {part.ref: _component(part) for part in parts}
    root = _component(bundle)
    tool = Component(name="edgekit", version=edgekit_version, type=ComponentType.APPLICATION)
    bom = Bom(
        components=components.values(),
        serial_number=uuid.UUID(int=0),
        metadata=BomMetaData(component=root, tools=ToolRepository(components=[tool])),
    )
    bom.register_dependency(root, [components[ref] for ref in bundle.needs])
    for part in parts:
        bom.register_dependency(components[part.ref], [components[ref] for ref in part.needs])
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    del document["serialNumber"]
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(_NAMESPACE, content)}"
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")


def _component(part: Part) -> "Component":
    from cyclonedx.model import (
        ExternalReference,
        ExternalReferenceType,
        HashAlgorithm,
        HashType,
        Property,
        XsUri,
    )
    from cyclonedx.model.component import Component, ComponentType, Pedigree

    website = part.website
    return Component(
        bom_ref=part.ref,
        type=ComponentType(part.kind),
        name=part.name,
        version=part.version,
        description=part.description,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else (),
        licenses=[_licence(part.licence)],
        purl=_purl(part.purl),
        external_references=[
            ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(website))
        ]
        if website
        else (),
        properties=[
            Property(name=_PREFIX + name, value=printable(value, _LONGEST_VALUE))
            for name, value in _facts(part)
        ],
        components=[_component(inner) for inner in part.parts],
        pedigree=None if part.origin is None else Pedigree(ancestors=[_component(part.origin)]),
    )


def _purl(text: str | None) -> "PackageURL | None":
    from packageurl import PackageURL

    try:
        return None if text is None else PackageURL.from_string(text)
    except ValueError:
        # A bill of materials inside a wheel may hold anything.
        return None


def _facts(part: Part) -> Iterator[tuple[str, str]]:
    yield from part.facts
    if part.licence.note is not None:
        yield "licence_note", part.licence.note


def _licence(licence: Licence) -> "License":
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement

    how = LicenseAcknowledgement("concluded" if licence.concluded else "declared")
    if licence.expression is not None:
        return LicenseFactory().make_from_string(licence.expression, license_acknowledgement=how)
    if licence.name is not None:
        return DisjunctiveLicense(name=licence.name, acknowledgement=how)
    return DisjunctiveLicense(name=_UNKNOWN)
