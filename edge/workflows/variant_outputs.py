"""Runs the original and every variant over data, and compares what they give."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.adapters.files import host_error
from edge.device.parent import Limits, run_child
from edge.errors import EdgekitError
from edge.reasoning.agreement import accuracy, agreement
from edge.records.codec import to_dict
from edge.records.measurement import SessionConfig
from edge.records.optimization import Agreement, OptimizedVariant, RuntimeCheck
from edge.workflows.allowance import allowed_bytes
from edge.workflows.arithmetic import executed_arithmetic
from edge.workflows.optimize_case import model_ref
from edge.workflows.optimize_data import OptimizeData
from edge.workflows.runtime_site import RuntimeSite
from edge.workflows.variants import MadeVariant, Trial

if TYPE_CHECKING:
    import numpy as np

    Outputs = dict[str, np.ndarray[Any, Any]]

Progress = Callable[[float], None]

# A sample may take long on a slow machine; a child that takes longer than this for all hangs.
_LONGEST_S: Final = 3600.0


def compare_variants(
    made: Sequence[MadeVariant],
    data: OptimizeData,
    checks: Sequence[RuntimeSite],
    progress: Progress,
) -> list[Trial]:
    """Run every variant over the data: agreement, accuracy, and what it computes in.

    The first of `made` is the original, whose outputs are the reference; on the runtimes of
    `checks` every variant is compared with it once more.

    Raises:
        EdgekitError: the original itself does not run, or the data does not fit it.
    """
    reference = _outputs(made[0], data, None)
    found = []
    for number, one in enumerate(made):
        trial = _begun(one)
        try:
            outputs = _outputs(one, data, None) if number else reference
            told = _compared(one, data, outputs)
            if number:
                told["agreement"] = _agreement(reference, outputs)
                told["checks"] = tuple(_checked(one, data, check, reference) for check in checks)
            trial = trial.told(**told)
        except EdgekitError as error:
            if number == 0:
                raise
            trial = trial.failed(str(error))
        found.append(trial)
        progress((number + 1) / len(made))
    return found


def _begun(one: MadeVariant) -> Trial:
    record = OptimizedVariant(
        name=one.plan.name,
        passes=one.plan.steps,
        verdict="good" if one.plan.steps else "original",
        reason="",
        notes=one.notes,
        model=None if one.info is None else model_ref(one.info),
    )
    return Trial(made=one, record=record)


def _compared(one: MadeVariant, data: OptimizeData, outputs: "Outputs") -> dict[str, Any]:
    """Return what there is to tell of a variant alone."""
    path, info = one.file
    site = data.case.site_of(info.format)
    labels = data.evaluation(one.plan.sizes).labels
    return {
        "precision": info.precision,
        "accuracy": None if labels is None else accuracy(outputs, labels),
        "arithmetic": executed_arithmetic(
            path,
            info,
            SessionConfig(site.backend, data.case.threads),
            shapes={**data.case.shapes, **one.plan.sizes},
            paths=site.paths,
        ),
    }


def _agreement(reference: "Outputs", outputs: "Outputs") -> Agreement | None:
    """Compare outputs; None where they cannot be, such as those of another number of places."""
    try:
        return agreement(reference, outputs)
    except ValueError:
        return None


def _checked(
    one: MadeVariant, data: OptimizeData, check: RuntimeSite, reference: "Outputs"
) -> RuntimeCheck:
    """Compare a variant as another runtime version computes it; what fails there is the result."""
    try:
        outputs = _outputs(one, data, check)
    except EdgekitError as error:
        return RuntimeCheck(version=check.name, agreement=None, error=error.what)
    return RuntimeCheck(version=check.name, agreement=_agreement(reference, outputs))


def _outputs(one: MadeVariant, data: OptimizeData, site: RuntimeSite | None) -> "Outputs":
    """Return a model's outputs by name for all samples, the sample being the first axis.

    `site` None: by the runtime that the target has for it.

    Raises:
        EdgekitError: it could not be made, the runtime refuses it, or the data does not fit it.
    """
    import numpy as np

    path, info = one.file
    threads = data.case.threads
    runs = site or data.case.site_of(info.format)
    shapes = {**data.case.shapes, **one.plan.sizes}
    parts: list[Outputs] = []
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-")
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as folder:
        out = Path(folder) / "outputs.npz"
        for file in data.evaluation(one.plan.sizes).files:
            run_child(
                "edge.device.worker:infer",
                {
                    "model": str(path.absolute()),
                    "config": to_dict(SessionConfig(runs.backend, threads)),
                    "shapes": {name: list(shape) for name, shape in shapes.items()},
                    "inputs": str(file),
                    "outputs": str(out),
                },
                limits=Limits(
                    wall_s=_LONGEST_S,
                    cpu_s=int(_LONGEST_S * (threads + 1)),
                    memory_bytes=allowed_bytes(info, threads) + 3 * file.stat().st_size,
                ),
                what=info.name,
                paths=runs.paths,
            )
            with np.load(out, allow_pickle=False) as arrays:
                parts.append({name.removeprefix("output."): arrays[name] for name in arrays.files})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
