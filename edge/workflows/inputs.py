"""What --inputs names: an .npz as it is, or pictures that are made into one."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.adapters.files import host_error
from edge.adapters.images import SUFFIXES, picture_files, write_picture_samples
from edge.errors import UsageError
from edge.records.model import ModelInfo
from edge.workflows.models import ModelChoice


@contextmanager
def samples_from(
    inputs: Path | None, choice: ModelChoice, info: ModelInfo
) -> Iterator[Path | None]:
    """Give the .npz that `inputs` is or becomes, for as long as the block runs; None stays None.

    A picture, or a folder of them, is scaled as the model's card says; without a card its pixels
    become 0 to 1.

    Raises:
        UsageError: there is no such file, or the model takes no picture.
        HostError: the scratch folder cannot be written.
    """
    if inputs is None:
        yield None
        return
    if not inputs.exists():
        raise UsageError("no such file", where=inputs, hint="give an .npz, a picture or a folder")
    if not inputs.is_dir() and inputs.suffix.lower() not in SUFFIXES:
        yield inputs
        return
    if len(info.inputs) != 1:
        what = f"the model has {len(info.inputs)} inputs, a picture is one"
        raise UsageError(what, where=inputs, hint="give an .npz with an array for each input")
    told = None if choice.card is None else choice.card.preprocessing
    try:
        scratch = tempfile.TemporaryDirectory(prefix="edgekit-")
    except OSError as error:
        raise host_error(error, tempfile.gettempdir()) from error
    with scratch as folder:
        made = Path(folder) / "pictures.npz"
        write_picture_samples(
            picture_files(inputs),
            info.inputs[0],
            made,
            scale=None if told is None else told.scale,
            offset=None if told is None else told.offset,
        )
        yield made
