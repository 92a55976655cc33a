"""What a model is: read in a limited child, without its weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edge.adapters.targets import load_target, load_targets
from edge.device.parent import Limits, run_child
from edge.formats.source import format_of, open_model
from edge.reasoning.support import runtime_support
from edge.records.codec import from_dict
from edge.records.model import Format, ModelInfo, RuntimeSupport
from edge.workflows.models import resolve_model

_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
# What Python, onnx and a structure of the largest allowed size take, with room to spare. A mapped
# TFLite file counts in full against the address space, though hardly any of it becomes resident.
_MEMORY_BYTES = 1536 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A model, and which runtimes of which targets can run its operators."""

    model: ModelInfo
    support: tuple[RuntimeSupport, ...]


def inspect_choice(
    argument: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    targets: Sequence[str],
    progress: Callable[[float], None],
) -> Inspection:
    """Describe the model that a command's MODEL names, for the named targets or for all.

    Sizes that the model's card knows hold where `shapes` says nothing else.

    Raises:
        EdgekitError: there is no such model or target, or it cannot be read.
    """
    wanted = [load_target(name) for name in targets] or load_targets()
    choice = resolve_model(argument, progress)
    info = inspect_model(choice.path, {**choice.shapes, **shapes})
    support = tuple(entry for target in wanted for entry in runtime_support(info, target))
    return Inspection(model=info, support=support)


def model_format(path: Path) -> Format:
    """Return the format of a model file by its content, without parsing it.

    Raises:
        ModelError: there is no such file, or it is neither ONNX nor TFLite.
    """
    with open_model(path) as model:
        return format_of(model)


def inspect_model(path: Path, shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES) -> ModelInfo:
    """Read what the model is, in a limited child; weights are never loaded.

    `shapes` gives sizes to inputs that leave them open, by the input's name.

    Raises:
        ModelError: it is no model, or a damaged one.
        UsageError: `shapes` does not fit the model's inputs.
        RuntimeFailure: the child died or took too long.
    """
    with open_model(path) as model:
        mapped_bytes = model.size_bytes if format_of(model) == "tflite" else 0
    answer = run_child(
        "edge.formats.read:inspect",
        {"path": str(path), "shapes": {name: list(shape) for name, shape in shapes.items()}},
        limits=Limits(memory_bytes=_MEMORY_BYTES + mapped_bytes),
        what=str(path),
    )
    return from_dict(ModelInfo, answer, path)
