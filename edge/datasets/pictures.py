"""A picture or a folder of pictures as samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.datasets.gathered import Gathered, Sample, spread
from edge.datasets.picture_files import find_pictures
from edge.datasets.picture_form import RecipeForm
from edge.device.feeds import concrete_inputs
from edge.errors import UsageError
from edge.records.data_recipe import DataRecipe
from edge.records.tensor import TensorSpec


def gather_pictures(
    path: Path, specs: Sequence[TensorSpec], recipe: DataRecipe, request: Mapping[str, Any]
) -> Gathered:
    """Find the pictures and their labels; they are decoded one by one.

    Raises:
        UsageError: there is none, the model takes none, or a label is wrong.
        RuntimeFailure: OpenCV is missing.
    """
    if len(specs) != 1:
        what = f"the model has {len(specs)} inputs, a picture is one"
        raise UsageError(what, where=path, hint="give an .npz with an array for each input")
    spec = concrete_inputs(specs, request["shapes"])[0]
    form = RecipeForm(spec, recipe, request["card"])
    labels = request["labels"]
    found = find_pictures(
        path, recipe, None if labels is None else Path(labels), request["classes"]
    )
    chosen = spread(len(found.files), request["most"])

    def make(number: int) -> Sample | None:
        try:
            pixels = form.decode(str(found.files[chosen[number]]))
        except UsageError:
            if len(found.files) == 1:
                raise
            return None
        return {spec.name: form.normalise(form.resize(pixels))}

    return Gathered(
        noun="picture" if len(found.files) == 1 else "pictures",
        name=path.absolute().name,
        total=len(found.files),
        count=len(chosen),
        make=make,
        labels=None if found.labels is None else tuple(found.labels[n] for n in chosen),
        notes=(form.words(), found.words),
    )
