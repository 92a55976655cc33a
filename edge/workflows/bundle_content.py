"""What goes into a bundle: its members, and the manifest that lists them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import edge
from edge.adapters.bundle import Content
from edge.adapters.elf import SystemNeeds
from edge.adapters.slice import licence_text, main_file, slice_files
from edge.records.manifest import (
    MODEL_FOLDER,
    BundleAccuracy,
    BundleFile,
    BundleModel,
    BundlePreprocessing,
    BundleSamples,
    BundleWheel,
    Manifest,
)
from edge.records.measurement import SessionConfig
from edge.records.model import ModelInfo
from edge.records.optimization import Optimization
from edge.records.platform import Platform
from edge.records.target import TargetRuntime, WheelPin
from edge.workflows.bundle_papers import BundleFacts, BundlePapers, bundle_papers
from edge.workflows.bundle_samples import MadeSamples
from edge.workflows.inputs import postprocess_of
from edge.workflows.models import ModelChoice
from edge.workflows.slim import SlimWheel

SAMPLES_PATH: Final = "samples.npz"
_WHEELS: Final = "wheels/"
_ODD: Final = re.compile(r"[^A-Za-z0-9_.+-]+")


def spelled_plainly(name: str) -> str:
    """Return a name without what a bundle's file names cannot have."""
    return _ODD.sub("-", name).strip("-.+") or "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContent:
    """Everything that was decided and made for a bundle.

    `own_inputs`: the samples' inputs are the user's, not those of the model's card.
    """

    name: str
    sequence: int
    platform: Platform
    system: str | None
    runtime: TargetRuntime
    needs: SystemNeeds
    threads: int
    choice: ModelChoice
    info: ModelInfo
    whole_wheels: Sequence[tuple[WheelPin, Path]]
    samples: MadeSamples
    own_inputs: bool

    def papers(self) -> BundlePapers:
        """Return lock file, bill of materials and model card.

        Raises:
            BundleError: a wheel is not as a wheel must be.
            HostError: a file cannot be read.
        """
        facts = BundleFacts(
            name=self.name,
            sequence=self.sequence,
            platform=self.platform,
            system=self.system,
            runtime=self.runtime,
            threads=self.threads,
            model=self._model(),
            info=self.info,
            card=self.choice.card,
            evidence=self.choice.evidence,
            samples=self._samples(),
            samples_file=self.samples.path,
            own_inputs=self.own_inputs,
            wheels=self.whole_wheels,
        )
        return bundle_papers(facts)

    def members(self, papers: BundlePapers, wheels: Sequence[SlimWheel]) -> dict[str, Content]:
        """Return all members but the manifest."""
        folder = self.choice.path.parent
        return {
            "LICENSE": licence_text(),
            "__main__.py": main_file(),
            SAMPLES_PATH: self.samples.path,
            **slice_files(),
            **papers.members,
            self._model_path(): self.choice.path,
            # The model names its external data as they are.
            **{MODEL_FOLDER + name: folder / name for name in self.info.external_files},
            **{_WHEELS + wheel.path.name: wheel.path for wheel in wheels},
        }

    def manifest(self, files: tuple[BundleFile, ...], wheels: Sequence[SlimWheel]) -> Manifest:
        """Return the manifest that lists `files`.

        Raises:
            ValueError: they are not what this content is of.
        """
        platform, runtime = self.platform, self.runtime
        return Manifest(
            name=self.name,
            sequence=self.sequence,
            edgekit_version=edge.__version__,
            target=platform.name,
            architecture=platform.architecture,
            python=platform.python,
            glibc=self.needs.glibc or platform.glibc,
            libstdcxx=self.needs.libstdcxx,
            cpu_features=platform.required_features,
            apt_packages=runtime.apt_packages,
            runtime=runtime.distribution,
            runtime_version=runtime.version,
            session=SessionConfig(runtime.backend, self.threads),
            model=self._model(),
            wheels=tuple(map(_wheel, wheels)),
            samples=self._samples(),
            files=files,
        )

    def _model_path(self) -> str:
        return MODEL_FOLDER + spelled_plainly(self.choice.path.name)

    def _model(self) -> BundleModel:
        choice, info = self.choice, self.info
        card = choice.card
        return BundleModel(
            name=choice.path.name,
            format=info.format,
            precision=info.precision,
            path=self._model_path(),
            sha256=info.sha256,
            size_bytes=info.file_bytes,
            peak_activation_bytes=info.peak_activation_bytes,
            inputs=self.samples.inputs,
            outputs=self.samples.outputs,
            licence=None if card is None else card.licence,
            source=_source(choice),
            accuracy=_accuracy(choice),
            preprocessing=_preprocessing(choice),
        )

    def _samples(self) -> BundleSamples:
        rule = self.samples.comparison
        return BundleSamples(
            path=SAMPLES_PATH,
            count=self.samples.count,
            compare=rule.compare,
            atol=rule.atol,
            rtol=rule.rtol,
            reference=self.samples.reference,
        )


def _source(choice: ModelChoice) -> str | None:
    if choice.card is None:
        return None
    source = choice.card.source
    parts = (source.registry, source.package, source.version)
    return " ".join(part for part in parts if part is not None)


def _accuracy(choice: ModelChoice) -> BundleAccuracy | None:
    if choice.evidence is not None:
        return _measured_accuracy(choice.evidence)
    told = None if choice.card is None else choice.card.accuracy
    if told is None or choice.file is None or choice.file.accuracy is None:
        return None
    return BundleAccuracy(told.metric, choice.file.accuracy, told.dataset, told.measured_with)


def _measured_accuracy(evidence: Optimization) -> BundleAccuracy | None:
    told = evidence.variants[evidence.chosen].accuracy
    if told is None:
        return None
    runtime = f"{evidence.runtime} {evidence.runtime_version}"
    return BundleAccuracy(told.metric, told.value, evidence.evaluation.what, runtime)


def _preprocessing(choice: ModelChoice) -> BundlePreprocessing | None:
    told = None if choice.card is None else choice.card.preprocessing
    if choice.card is None or told is None:
        return None
    return BundlePreprocessing(
        scale=told.scale,
        offset=told.offset,
        sample_rate_hz=told.sample_rate_hz,
        postprocess=postprocess_of(choice.card),
    )


def _wheel(wheel: SlimWheel) -> BundleWheel:
    return BundleWheel(
        name=wheel.pin.name,
        version=wheel.pin.version,
        filename=wheel.pin.filename,
        sha256=wheel.pin.sha256,
        path=_WHEELS + wheel.path.name,
        unpacked_bytes=wheel.unpacked_bytes,
        left_out_files=wheel.left_out_files,
        left_out_bytes=wheel.left_out_bytes,
    )
