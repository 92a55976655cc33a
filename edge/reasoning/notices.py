"""What a wheel holds besides its own code, as its licence files tell: stanzas, notices, SBOMs.

Stanzas (`Name:`, `Files:`, `License:` …) are how NumPy's and SciPy's wheels list what they bundle;
a file of third-party notices has sections below lines of underscores. SBOMs are PEP 770's.
"""

import fnmatch
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from edge.errors import printable
from edge.reasoning.licences import stated_licence, text_licence
from edge.records.part import EmbeddedSbom, Licence, Part, WheelFacts, WheelLibrary, WheelText

# numpy 1.24 once forgot the colon behind License.
_KEY: Final = re.compile(
    r"(Name|Files|Description|Availability|Licen[cs]e)(?::[ \t]*|(?<=ense)[ \t]+)(.*)"
)
_RULE: Final = re.compile(r"_{5,}\s*")
_NOTICES: Final = re.compile(r"third.?party.?notices?", re.IGNORECASE)
# What auditwheel puts into the name of a library that it brings along.
_BROUGHT: Final = re.compile(r"(-[0-9a-f]{8})+(?=\.)")
_MOST_PARTS: Final = 5_000
_LONGEST_TITLE: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stanza:
    name: str
    files: str
    website: str | None
    licence: Licence
    where: str


def bundled_parts(facts: WheelFacts, ref: str) -> tuple[Part, ...]:
    """Return what a wheel brings along, with refs below the wheel's own."""
    every = [stanza for text in facts.texts for stanza in _stanzas(text)]
    # Some wheels have the same file in two places.
    stanzas = list({(s.name, s.files): s for s in reversed(every)}.values())[::-1]
    libraries = [_library(library, stanzas, ref) for library in facts.libraries]
    # What is listed of the source alone (its build tools) lies in no folder of the wheel.
    named = [s for s in stanzas if s.files.partition("/")[0] in facts.top_folders]
    parts = [
        *libraries,
        *(_named(stanza, ref) for stanza in named if not _is_library(stanza)),
        *(part for text in facts.texts for part in _notices(text, ref)),
        *(part for sbom in facts.sboms for part in _embedded(sbom, ref)),
    ]
    return tuple(parts)


def _stanzas(text: WheelText) -> Iterator[_Stanza]:
    """Yield the stanzas of a licence file: a Name, directly followed by other keys."""
    lines = text.text.splitlines()
    number = 0
    while number < len(lines):
        start = number
        keys: dict[str, str] = {}
        while number < len(lines) and (match := _KEY.match(lines[number])):
            if match[1] == "Name" and keys:
                break
            keys[match[1].replace("Licence", "License")] = match[2].strip()
            number += 1
        if keys.get("Name") and keys.get("Files"):
            where = f"{text.path}, line {start + 1}"
            yield _Stanza(
                name=printable(keys["Name"], _LONGEST_TITLE),
                files=keys["Files"],
                website=_website(keys.get("Availability")),
                licence=stated_licence(keys.get("License", ""), where),
                where=where,
            )
        number = max(number, start + 1)


def _website(address: str | None) -> str | None:
    if address is None or not re.fullmatch(r"https?://[!-~]+", address):
        return None
    return address if urlsplit(address).hostname and not set(address) & set('<>"{}|\\^`') else None


def _is_library(stanza: _Stanza) -> bool:
    return ".libs/" in stanza.files


def _library(library: WheelLibrary, stanzas: Sequence[_Stanza], ref: str) -> Part:
    """Return a shared library, with what its stanzas say that it is made of."""
    file = library.path.rpartition("/")[2]
    own = []
    for stanza in stanzas:
        # Patterns end in .so, and files go on: libgfortran.so.5.0.0.
        pattern = stanza.files.rpartition("/")[2]
        if _is_library(stanza) and fnmatch.fnmatchcase(file, f"{pattern}*"):
            own.append(stanza)
    inner = f"{ref}/{library.path}"
    return Part(
        ref=inner,
        kind="library",
        name=printable(_BROUGHT.sub("", file)),
        licence=_joined(own),
        sha256=library.sha256,
        facts=(("path", printable(library.path)), ("size_bytes", str(library.size_bytes))),
        parts=tuple(
            Part(
                ref=f"{inner}#{number}",
                kind="library",
                name=stanza.name,
                licence=stanza.licence,
                website=stanza.website,
                facts=(("licence_text", stanza.where),),
            )
            for number, stanza in enumerate(own)
        ),
    )


def _joined(stanzas: Sequence[_Stanza]) -> Licence:
    """Return the licence of a file that all of those are inside of."""
    if not stanzas:
        return Licence(note="no licence file of the wheel speaks of this library")
    found = sorted({str(stanza.licence) for stanza in stanzas})
    if any(stanza.licence.expression is None for stanza in stanzas):
        return Licence(note=f"the licences of its parts: {'; '.join(found)}")
    terms = [f"({name})" if " OR " in name and len(found) > 1 else name for name in found]
    return Licence(expression=" AND ".join(terms), note="those of its parts")


def _named(stanza: _Stanza, ref: str) -> Part:
    return Part(
        ref=f"{ref}/{stanza.where}",
        kind="library",
        name=stanza.name,
        licence=stanza.licence,
        website=stanza.website,
        facts=(("files", printable(stanza.files)), ("licence_text", stanza.where)),
    )


def _notices(text: WheelText, ref: str) -> Iterator[Part]:
    """Yield the sections of a file of third-party notices."""
    if not _NOTICES.search(text.path.rpartition("/")[2]):
        return
    lines = text.text.splitlines()
    rules = [number for number, line in enumerate(lines) if _RULE.fullmatch(line)]
    for start, end in pairwise([*rules[:_MOST_PARTS], len(lines)]):
        title = next((n for n in range(start + 1, end) if lines[n].strip()), None)
        if title is None:
            continue
        where = f"{text.path}, line {title + 1}"
        found = text_licence("\n".join(lines[title + 1 : end]))
        unknown = Licence(note=f"not one well-known licence alone; its text: {where}")
        known = Licence(expression=found, concluded=True, note=f"by its text: {where}")
        yield Part(
            ref=f"{ref}/{text.path}#{title + 1}",
            kind="library",
            name=printable(lines[title].strip(), _LONGEST_TITLE),
            licence=unknown if found is None else known,
            facts=(("licence_text", where),),
        )


def _embedded(sbom: EmbeddedSbom, ref: str) -> Iterator[Part]:
    """Yield the components of a CycloneDX document in a wheel; another format has none for us."""
    try:
        document = json.loads(sbom.content)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, Mapping) or document.get("bomFormat") != "CycloneDX":
        return
    components = document.get("components")
    if not isinstance(components, list):
        return
    for number, component in enumerate(components[:_MOST_PARTS]):
        name = component.get("name") if isinstance(component, Mapping) else None
        if isinstance(name, str) and name.strip():
            yield _component(component, f"{ref}/{sbom.path}#{number}", sbom.path)


def _component(component: Mapping[str, Any], ref: str, where: str) -> Part:
    version, purl = component.get("version"), component.get("purl")
    return Part(
        ref=ref,
        kind="library",
        name=printable(component["name"], _LONGEST_TITLE),
        version=printable(version) if isinstance(version, str) and version else None,
        purl=purl if isinstance(purl, str) and _is_purl(purl) else None,
        licence=_component_licence(component.get("licenses"), where),
        facts=(("listed_in", where),),
    )


def _is_purl(text: str) -> bool:
    return re.fullmatch(r"pkg:[a-z][a-z0-9.+-]*/[!-~]{1,300}", text) is not None


def _component_licence(licences: object, where: str) -> Licence:
    said = []
    for entry in licences if isinstance(licences, list) else []:
        if isinstance(entry, Mapping):
            inner = entry.get("license")
            inner = inner if isinstance(inner, Mapping) else {}
            told = entry.get("expression") or inner.get("id") or inner.get("name")
            said += [told] if isinstance(told, str) else []
    if len(said) == 1:
        return stated_licence(said[0], where)
    if said:
        listed = [stated_licence(one, where) for one in said]
        if all(licence.expression for licence in listed):
            terms = [f"({one})" if " " in str(one) else str(one) for one in listed]
            return Licence(expression=" AND ".join(terms), note=where)
        return Licence(name=printable("; ".join(said)), note=where)
    return Licence(note=f"{where} gives it none")
