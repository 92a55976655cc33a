"""The three documents inside a bundle: lock file, bill of materials, model card."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

import edge
from edge.adapters.files import host_error
from edge.adapters.pylock import lock_text
from edge.adapters.sbom import sbom_text
from edge.adapters.wheel_metadata import read_wheel
from edge.errors import BundleError, printable
from edge.reasoning.bundle_parts import (
    SLICE_REF,
    archive_part,
    model_part,
    samples_part,
    slice_part,
    target_environment,
    wheel_parts,
)
from edge.reasoning.model_card import CardFacts, model_card_text
from edge.records.card import ModelCard
from edge.records.manifest import CARD_PATH, LOCK_PATH, SBOM_PATH, BundleModel, BundleSamples
from edge.records.model import ModelInfo
from edge.records.optimization import Optimization
from edge.records.part import Licence, Part, WheelFacts
from edge.records.platform import Platform
from edge.records.target import TargetRuntime, WheelPin


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """What the documents speak of; `system` is the name of the target's operating system.

    `own_inputs`: the samples are inputs that the user gave, not those of the model's card.
    `evidence` is of the optimisation that made the model, if one did.
    """

    name: str
    sequence: int
    platform: Platform
    system: str | None
    runtime: TargetRuntime
    threads: int
    model: BundleModel
    info: ModelInfo
    card: ModelCard | None
    samples: BundleSamples
    samples_file: Path
    own_inputs: bool
    wheels: Sequence[tuple[WheelPin, Path]]
    evidence: Optimization | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePapers:
    """The documents by their paths in the bundle, and the licence of each part for printing."""

    members: dict[str, bytes]
    licences: tuple[tuple[str, str, str], ...]


def bundle_papers(facts: BundleFacts) -> BundlePapers:
    """Return the documents of a bundle: of the same facts the same bytes.

    Raises:
        BundleError: a wheel is not as a wheel must be, or not the one that was pinned.
        HostError: a file cannot be read.
    """
    parts = _parts(facts)
    card = model_card_text(
        CardFacts(
            name=facts.name,
            model=facts.model,
            info=facts.info,
            samples=facts.samples,
            platform=facts.platform,
            runtime=facts.runtime,
            threads=facts.threads,
            edgekit_version=edge.__version__,
            card=facts.card,
            evidence=facts.evidence,
        )
    )
    pins = [pin for pin, _ in facts.wheels]
    return BundlePapers(
        members={
            LOCK_PATH: lock_text(pins, facts.platform, facts.runtime),
            SBOM_PATH: sbom_text(_bundle(facts, parts), parts, edgekit_version=edge.__version__),
            CARD_PATH: card,
        },
        licences=tuple((p.name, p.version or "", str(p.licence)) for p in parts),
    )


def _parts(facts: BundleFacts) -> tuple[Part, ...]:
    archive = facts.runtime.apt_packages
    environment = target_environment(facts.platform)
    read = [(pin, _own_facts(pin, path)) for pin, path in facts.wheels]
    wheels = wheel_parts(read, environment, archive)
    try:
        samples_sha256 = hashlib.sha256(facts.samples_file.read_bytes()).hexdigest()
    except OSError as error:
        raise host_error(error, facts.samples_file) from error
    # What no wheel asks for is the runtime, and what it forgot to ask for.
    asked = {ref for part in wheels for ref in part.needs}
    needs = sorted({part.ref for part in wheels} - asked)
    needs += [f"deb:{package}" for package in archive if f"deb:{package}" not in asked]
    return (
        model_part(facts.model, facts.info, facts.card),
        samples_part(facts.samples, samples_sha256, None if facts.own_inputs else facts.card),
        slice_part(edge.__version__, needs),
        *wheels,
        *(archive_part(package, facts.system) for package in archive),
    )


def _own_facts(pin: WheelPin, path: Path) -> WheelFacts:
    """Return what a wheel says of itself, if it is the one that was pinned."""
    facts = read_wheel(path)
    if canonicalize_name(facts.name) != canonicalize_name(pin.name):
        what = (
            f"METADATA is that of {printable(facts.name)}, and the wheel was pinned as {pin.name}"
        )
        raise BundleError(what, where=path.name)
    return facts


def _bundle(facts: BundleFacts, parts: Sequence[Part]) -> Part:
    """Return the bundle as a whole: it needs model, samples and the slice, which needs the rest."""
    whole = Licence(note="a collection: each part has a licence of its own")
    own = [part.ref for part in parts if part.kind in ("machine-learning-model", "data")]
    return Part(
        ref=f"bundle:{facts.name}",
        kind="application",
        name=facts.name,
        version=str(facts.sequence),
        licence=whole,
        facts=(
            ("target", facts.platform.name),
            ("architecture", facts.platform.architecture),
            ("python", facts.platform.python),
            ("runtime", f"{facts.runtime.distribution} {facts.runtime.version}"),
        ),
        needs=(*own, SLICE_REF),
    )
