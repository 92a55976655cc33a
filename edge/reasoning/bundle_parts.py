"""What a bundle is made of, part by part, with what each part needs."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from edge.errors import printable
from edge.reasoning.licences import stated_licence, wheel_licence
from edge.reasoning.notices import bundled_parts
from edge.records.card import ModelCard
from edge.records.manifest import BundleModel, BundleSamples
from edge.records.model import ModelInfo
from edge.records.part import Licence, Part, WheelFacts
from edge.records.pins import ModelSource
from edge.records.platform import Platform
from edge.records.target import WheelPin

SLICE_REF: Final = "edgekit"
_OWN_LICENCE: Final = "Apache-2.0"
_MODULE: Final = "python3-"
# The archive that a system's packages come from, by what its name holds.
_ARCHIVES: Final = (
    ("raspberry pi os", "32-bit", "raspbian"),
    ("raspberry pi os", "", "debian"),
    ("debian", "", "debian"),
    ("ubuntu", "", "ubuntu"),
)


def target_environment(platform: Platform) -> dict[str, str]:
    """Return what dependency markers see on the platform (PEP 508)."""
    return {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": f"{platform.python}.0",
        "os_name": "posix",
        "platform_machine": platform.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{platform.python}.0",
        "python_version": platform.python,
        "sys_platform": "linux",
    }


def slice_part(edgekit_version: str, needs: Sequence[str]) -> Part:
    """Return edgekit's own files in the bundle."""
    return Part(
        ref=SLICE_REF,
        kind="library",
        name="edgekit",
        version=edgekit_version,
        licence=Licence(expression=_OWN_LICENCE, note="edgekit's own"),
        description="The code that verifies, installs and runs the bundle",
        facts=(("licence_text", "LICENSE of the bundle"), ("path", "edge/ and __main__.py")),
        needs=tuple(needs),
    )


def model_part(model: BundleModel, info: ModelInfo, card: ModelCard | None) -> Part:
    """Return the model; its external data are parts of it."""
    ref = f"model:{model.sha256}"
    facts = [
        ("path", model.path),
        ("format", model.format),
        ("precision", model.precision),
        ("size_bytes", str(model.size_bytes)),
        ("parameters", str(info.parameters)),
    ]
    facts += [("input", printable(spec)) for spec in model.inputs]
    facts += [("output", printable(spec)) for spec in model.outputs]
    if model.accuracy is not None:
        told = model.accuracy
        facts.append(("accuracy", f"{told.metric} {told.value} on {told.dataset}"))
        facts.append(("accuracy_measured_with", told.measured_with))
    if model.source is not None:
        facts.append(("source", printable(model.source)))
    if card is None:
        licence = Licence(note="the model came as a file, without a card that states its licence")
    else:
        licence = stated_licence(card.licence, f"the model's card, {card.name}")
    return Part(
        ref=ref,
        kind="machine-learning-model",
        name=printable(model.name),
        sha256=model.sha256,
        licence=licence,
        description=None if card is None else printable(card.description, 1000),
        facts=tuple(facts),
        parts=tuple(
            Part(
                ref=f"{ref}/{name}",
                kind="file",
                name=printable(name),
                sha256=sha256,
                licence=licence,
            )
            for name, sha256 in zip(info.external_files, info.external_sha256, strict=False)
        ),
        origin=None if card is None else _origin(card.source, licence),
    )


def _origin(source: ModelSource, licence: Licence) -> Part | None:
    """Return the registry's package that the model was taken from."""
    if source.package is None or source.version is None:
        return None
    name = source.package
    if source.registry == "pypi":
        purl = f"pkg:pypi/{canonicalize_name(name)}@{quote(source.version)}"
    else:
        purl = f"pkg:npm/{quote(name)}@{quote(source.version)}"
    return Part(
        ref=f"origin:{purl}",
        kind="library",
        name=name,
        version=source.version,
        sha256=source.package_sha256,
        purl=purl,
        licence=licence,
        facts=() if source.filename is None else (("filename", source.filename),),
    )


def samples_part(samples: BundleSamples, sha256: str, card: ModelCard | None) -> Part:
    """Return the samples."""
    if card is not None and card.samples is not None:
        licence = stated_licence(card.licence, f"the model's card, {card.name}")
    else:
        licence = Licence(note="random numbers, or inputs that whoever packaged the model gave")
    return Part(
        ref="samples",
        kind="data",
        name=samples.path,
        sha256=sha256,
        licence=licence,
        facts=(("count", str(samples.count)), ("reference", samples.reference)),
    )


def archive_part(package: str, system: str | None) -> Part:
    """Return a package that has to come from the target's own archive: it is not in the bundle."""
    return Part(
        ref=f"deb:{package}",
        kind="library",
        name=package,
        purl=None if (vendor := _vendor(system)) is None else f"pkg:deb/{vendor}/{quote(package)}",
        licence=Licence(note=f"not in the bundle: /usr/share/doc/{package}/copyright tells"),
        facts=(("inside", "no: the target's own archive has it"),),
    )


def _vendor(system: str | None) -> str | None:
    named = (system or "").lower()
    return next((v for name, more, v in _ARCHIVES if name in named and more in named), None)


def wheel_parts(
    wheels: Sequence[tuple[WheelPin, WheelFacts]],
    environment: Mapping[str, str],
    archive_packages: Sequence[str] = (),
) -> tuple[Part, ...]:
    """Return the wheels, each with what it brings along and what it needs of the others."""
    # Debian's packages of Python modules are called python3-NAME.
    refs = {p[len(_MODULE) :]: f"deb:{p}" for p in archive_packages if p.startswith(_MODULE)}
    refs |= {canonicalize_name(pin.name): wheel_ref(pin) for pin, _ in wheels}
    return tuple(_wheel(pin, facts, refs, environment) for pin, facts in wheels)


def wheel_ref(pin: WheelPin) -> str:
    """Return a wheel's ref: its package URL."""
    return f"pkg:pypi/{canonicalize_name(pin.name)}@{quote(pin.version)}"


def _wheel(
    pin: WheelPin, facts: WheelFacts, refs: Mapping[str, str], environment: Mapping[str, str]
) -> Part:
    ref = wheel_ref(pin)
    told = [("filename", pin.filename), ("size_bytes", str(pin.size_bytes))]
    told.append(("hash", "of the registry's wheel; what of it is used lies in wheels/"))
    told += [("licence_text", text.path) for text in facts.texts]
    if not facts.texts:
        told.append(("licence_text", "none in the wheel"))
    told += [("sbom", printable(sbom.path)) for sbom in facts.sboms]
    parts = bundled_parts(facts, ref)
    if facts.compiled and not parts:
        told.append(("linked_in", "unknown: the wheel does not list what was compiled into it"))
    return Part(
        ref=ref,
        kind="library",
        name=pin.name,
        version=pin.version,
        sha256=pin.sha256,
        purl=ref,
        licence=wheel_licence(facts),
        website=facts.homepage,
        facts=tuple(told),
        parts=parts,
        needs=tuple(sorted(_needs(facts.requires, refs, environment) - {ref})),
    )


def _needs(
    requires: Sequence[str], refs: Mapping[str, str], environment: Mapping[str, str]
) -> set[str]:
    found = set()
    for line in requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        ref = refs.get(canonicalize_name(requirement.name))
        marker = requirement.marker
        if ref is not None and (marker is None or marker.evaluate(dict(environment))):
            found.add(ref)
    return found
