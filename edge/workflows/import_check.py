"""Compares an ONNX file with the estimator it was made of, on given samples or random ones."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.device.parent import Limits, run_child
from edge.errors import ModelError
from edge.reasoning.agreement import accuracy_of
from edge.records.data_set import DataSet
from edge.records.imported import ImportCheck
from edge.records.model import ModelInfo
from edge.workflows.data_set import data_set
from edge.workflows.models import ModelChoice

# scikit-learn and its libraries map several GiB of address space; a forest takes its time.
LIMITS: Final = Limits(wall_s=3600.0, cpu_s=7200, memory_bytes=16 << 30)
_SAME_LABEL: Final = "the same label"
_SAME_VALUE: Final = "the same value to one part in a thousand"
_NO_LABELS: Final = ", without labels"

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """What `edgekit import` was asked for; `output` None is the model's name in this folder."""

    model: Path
    output: Path | None = None
    trusted: bool = False
    check: Path | None = None
    opset: int | None = None
    target: str | None = None
    input_name: str = "input"
    least_agreement: float = 0.99


def compared(
    request: ImportRequest, asked: Mapping[str, Any], data: DataSet | None, progress: Progress
) -> tuple[ImportCheck, list[str]]:
    """Compare the file with the estimator, on the data or on random samples.

    Raises:
        ModelError: they agree too seldom.
    """
    found = run_child(
        "edge.importers.agreement:compare",
        {
            **asked,
            "label": asked["label_output"],
            "data": [] if data is None else [str(file) for file in data.files],
        },
        limits=LIMITS,
        what=str(request.model),
        progress=progress,
    )
    is_value = asked["kind"] in ("regressor", "transformer")
    counted = accuracy_of(found["same"], found["samples"])
    check = ImportCheck(
        what=f"{found['samples']} random samples"
        if data is None
        else data.what.removesuffix(_NO_LABELS),
        made_up=data is None,
        same=dataclasses.replace(counted, metric=_SAME_VALUE if is_value else _SAME_LABEL),
        largest_difference=found["largest_difference"],
        largest_value=found["largest_value"],
    )
    notes = _check_notes(check, found, asked)
    if counted.value < request.least_agreement:
        raise ModelError(
            f"the ONNX file gives {check.same.metric} for {found['same']} of"
            f" {found['samples']} samples only; {request.least_agreement:g} of them must agree",
            where=request.model,
            hint="; ".join(notes) or "look at such samples; --min-agreement allows more",
        )
    return check, notes


def check_data(path: Path | None, info: ModelInfo, folder: Path) -> DataSet | None:
    """Read the user's samples as float64, which is what estimators are trained on."""
    if path is None:
        return None
    exact = tuple(dataclasses.replace(spec, dtype="float64") for spec in info.inputs)
    # Only what the estimator itself says of the samples counts here.
    recipe = folder / "recipe.toml"
    recipe.write_text('labels = "none"\n', encoding="utf-8")
    return data_set(
        path,
        ModelChoice(path=path),
        dataclasses.replace(info, inputs=exact),
        shapes={},
        folder=folder / "samples",
        recipe=recipe,
    )


def _check_notes(
    check: ImportCheck, found: Mapping[str, Any], asked: Mapping[str, Any]
) -> list[str]:
    notes = []
    if check.made_up:
        unknown = asked["features"] - found["known"]
        range_known = "in the range that the estimator shows"
        if unknown:
            range_known += f" (it shows none for {unknown} of {asked['features']} features)"
        notes.append(
            f"compared on random samples {range_known}: that shows agreement on random data only;"
            " give real samples with --check"
        )
    if found["flipped"]:
        notes.append(
            f"{found['flipped']} of the {found['apart']} samples that are notably off are not once"
            " the estimator gets them in float32, which is all that a device has: a threshold lies"
            " between a value and its float32; train on float32 values"
        )
    elif found["apart"]:
        notes.append(f"{found['apart']} samples are notably off: ties may break otherwise")
    return notes
