"""Makes the variants that were planned: each pass in a limited child, one after the other."""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from edge.adapters.files import host_error
from edge.device.parent import Limits, run_child
from edge.errors import EdgekitError, HostError, ModelError
from edge.passes import load_pass, missing_modules
from edge.reasoning.variant_plan import VariantPlan, options_of
from edge.records.model import ModelInfo
from edge.records.optimization import OptimizedVariant, PassStep
from edge.workflows.inspect import inspect_model

Progress = Callable[[float], None]

# onnx, numpy and the runtime map about 2 GiB; the weights are there as a file, as arrays in fp32
# and quantised, and again in the calibrating session.
_BASE_BYTES: Final = 4 << 30
_COPIES: Final = 16
_PASS_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeVariant:
    """A variant's file and what it is, or the error that it failed with."""

    plan: VariantPlan
    path: Path | None = None
    info: ModelInfo | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None

    @property
    def file(self) -> tuple[Path, ModelInfo]:
        """Its path, and what it is.

        Raises:
            ModelError: it could not be made.
        """
        if self.path is None or self.info is None:
            raise ModelError(self.error or "it was not made")
        return self.path, self.info


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A variant and what is known of it so far; of several the first is the original's."""

    made: MadeVariant
    record: OptimizedVariant

    def told(self, **changes: Any) -> "Trial":
        """Return the trial with more in its record."""
        return replace(self, record=replace(self.record, **changes))

    def failed(self, reason: str) -> "Trial":
        """Return the trial as one that failed."""
        return self.told(verdict="failed", reason=reason)


@dataclass(slots=True, kw_only=True)
class Workshop:
    """Where variants are made; what several have in common is made once.

    `calibration` gives the .npz for input sizes (none: the model's own), or None.
    """

    original: Path
    info: ModelInfo
    folder: Path
    shapes: Mapping[str, tuple[int, ...]]
    threads: int
    calibration: Callable[[Mapping[str, tuple[int, ...]]], Path | None]
    _made: dict[tuple[PassStep, ...], tuple[Path, tuple[str, ...]]] = field(default_factory=dict)

    def make(self, plan: VariantPlan) -> MadeVariant:
        """Make one variant; what goes wrong is in it.

        Raises:
            HostError: the disk is full.
        """
        try:
            path, notes = self._after(plan.steps, plan.sizes)
            info = inspect_model(path, {**self.shapes, **plan.sizes})
        except HostError as error:
            if error.hint is None or "pip install" not in error.hint:
                raise
            return MadeVariant(plan=plan, error=str(error))
        except EdgekitError as error:
            return MadeVariant(plan=plan, error=str(error))
        return MadeVariant(plan=plan, path=path, info=info, notes=notes)

    def _after(
        self, steps: Sequence[PassStep], sizes: Mapping[str, tuple[int, ...]]
    ) -> tuple[Path, tuple[str, ...]]:
        """Return the file after these steps, with the notes of all."""
        key = tuple(steps)
        if not key:
            return self.original, ()
        if key not in self._made:
            before, notes = self._after(key[:-1], sizes)
            path, told = self._run(key[-1], before, key, sizes)
            self._made[key] = (path, (*notes, *told))
        return self._made[key]

    def _run(
        self,
        taken: PassStep,
        before: Path,
        steps: tuple[PassStep, ...],
        sizes: Mapping[str, tuple[int, ...]],
    ) -> tuple[Path, tuple[str, ...]]:
        loaded = load_pass(taken.name)
        missing = missing_modules(loaded)
        if missing:
            what = f"the pass {taken.name} needs {', '.join(missing)}"
            raise HostError(what, hint=f"pip install 'edgekit-deploy[{loaded.EXTRA}]'")
        folder = self._new_folder(steps)
        calibration = self.calibration(sizes)
        request: dict[str, Any] = {
            "model": str(before.absolute()),
            "folder": str(folder),
            "options": options_of(taken),
            "calibration": None if calibration is None else str(calibration),
            "shapes": {name: list(shape) for name, shape in {**self.shapes, **sizes}.items()},
            "threads": self.threads,
            "cache": str(self._cache()),
        }
        limits = Limits(
            wall_s=_PASS_S,
            cpu_s=int(_PASS_S * (self.threads + 1)),
            memory_bytes=_BASE_BYTES
            + _COPIES * self.info.file_bytes
            + 4 * (self.info.peak_activation_bytes or 0),
        )
        answer = run_child(
            f"edge.passes.{taken.name}:apply", request, limits=limits, what=f"pass {taken.name}"
        )
        return folder / str(answer["file"]), tuple(str(note) for note in answer.get("notes", ()))

    def _new_folder(self, steps: tuple[PassStep, ...]) -> Path:
        name = hashlib.sha256(repr(steps).encode()).hexdigest()[:16]
        folder = self.folder / name
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        except OSError as error:
            raise host_error(error, folder) from error
        return folder

    def _cache(self) -> Path:
        """Return where passes keep what they found out, such as ranges of activations."""
        folder = self.folder / "cache"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise host_error(error, folder) from error
        return folder
