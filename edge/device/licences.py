"""The licences of a bundle's parts, as its own bill of materials lists them."""

import json
from typing import Any, List, Tuple

from edge.errors import BundleError, printable
from edge.records.manifest import SBOM_PATH


def listed_licences(sbom: bytes) -> List[Tuple[str, str, str]]:
    """Return name, version ("" where it has none) and licence of each part, in the document's order.

    Raises:
        BundleError: it is no CycloneDX document.
    """
    try:
        document = json.loads(sbom.decode("utf-8"))
        return [_line(component) for component in document["components"]]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = "it is no bill of materials in CycloneDX"
        raise BundleError(what, where=SBOM_PATH) from error


def _line(component: Any) -> Tuple[str, str, str]:
    told = component["licenses"][0]
    inner = told.get("license", {})
    licence = told.get("expression") or inner.get("id") or inner["name"]
    return (
        printable(component["name"]),
        printable(component.get("version", "")),
        printable(licence),
    )
