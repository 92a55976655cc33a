"""What the limited child does to prepare a model and to compare forms of it. Device slice."""

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from edge.device.samples import Samples, difference, distance
from edge.errors import RuntimeFailure
from edge.records.codec import from_dict
from edge.records.measurement import SessionConfig

if TYPE_CHECKING:
    from edge.backends.protocol import Array


def prepare(request: Mapping[str, Any]) -> Optional[str]:
    """Save the prepared form of a model; a task for the limited child.

    `request`: model, config, folder (empty, to write to). The answer: the name of its file there,
    or None.
    """
    from edge.backends import load_backend

    config = from_dict(SessionConfig, request["config"])
    return load_backend(config.backend).prepare(request["model"], config, request["folder"])


def compare(request: Mapping[str, Any]) -> Optional[str]:
    """Return why a prepared form must not be used, or None; a task for the limited child.

    `request`: model, prepared (the two files), config, samples (an .npz of `input.NAME` and
    `output.NAME`), rule {compare, atol, rtol}.
    """
    samples = Samples(request["samples"])
    config = from_dict(SessionConfig, request["config"])
    prepared = SessionConfig(config.backend, config.threads, prepared=True)
    specs, got = _run(request["prepared"], prepared, samples)
    original_specs, original = _run(request["model"], config, samples)
    if specs != original_specs:
        return "its inputs or outputs are not those of the original"
    for index in range(samples.count):
        expected = samples.expected(index, specs[1])
        for spec, ours, theirs, wanted in zip(specs[1], got[index], original[index], expected):
            differs = difference(ours, wanted, request["rule"])
            if differs is not None:
                return "sample {}, output {}: {}".format(index, spec.name, differs)
            if distance(ours, wanted) > distance(theirs, wanted):
                text = "sample {}, output {}: it is further off than the original's"
                return text.format(index, spec.name)
    return None


def _run(
    path: str, config: SessionConfig, samples: Samples
) -> "Tuple[Tuple[Any, ...], List[List[Array]]]":
    from edge.backends import load_backend

    session = load_backend(config.backend).open(path, config)
    if session.runtime().threads != config.threads:
        raise RuntimeFailure("it does not keep the number of threads")
    outputs = [session.run(samples.inputs(i, session.inputs)) for i in range(samples.count)]
    return (session.inputs, session.outputs), outputs
