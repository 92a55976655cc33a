"""What a bundle's model is asked in the limited child, with the bundle's runtime. Python 3.8."""

from dataclasses import replace
from typing import Any, Dict, Optional, Tuple

from edge.device.parent import Limits, memory_limit, run_child
from edge.device.parts import Unpacked
from edge.device.ready import session_model
from edge.device.settings import read_settings
from edge.errors import RuntimeFailure, UsageError
from edge.records.codec import to_dict
from edge.records.manifest import Manifest
from edge.records.measurement import SessionConfig


def check_samples(
    manifest: Manifest, parts: Unpacked, config: Optional[SessionConfig] = None
) -> Dict[str, Any]:
    """Run the bundle's samples and return how many agree with what they must give.

    Raises:
        EdgekitError: the runtime or the model fails.
    """
    samples = manifest.samples
    return _ask(
        "edge.device.samples:check_samples",
        manifest,
        parts,
        config or manifest.session,
        samples=parts.path(samples.path),
        compare=samples.compare,
        atol=samples.atol,
        rtol=samples.rtol,
    )


def self_test(manifest: Manifest, parts: Unpacked) -> int:
    """Run the samples and return their number; all have to agree.

    Raises:
        RuntimeFailure: one does not.
    """
    answer = check_samples(manifest, parts)
    if answer["agreed"] == answer["count"]:
        return int(answer["count"])
    told = answer["disagreements"][0]
    what = "{} of {} samples disagree here, the first in output {}: {}".format(
        answer["count"] - answer["agreed"], answer["count"], told["output"], told["what"]
    )
    hint = "nothing was installed; package the model again, or take another runtime"
    raise RuntimeFailure(what, where=manifest.name, hint=hint)


def infer(
    manifest: Manifest, parts: Unpacked, config: SessionConfig, inputs: str, outputs: str
) -> Dict[str, Any]:
    """Run the inputs in one .npz file and write the outputs to another.

    Raises:
        EdgekitError: the inputs do not fit, the runtime or the model fails.
    """
    return _ask(
        "edge.device.worker:infer",
        manifest,
        parts,
        config,
        shapes={},
        inputs=inputs,
        outputs=outputs,
    )


def _ask(
    task: str, manifest: Manifest, parts: Unpacked, config: SessionConfig, **request: Any
) -> Dict[str, Any]:
    path, used = opened_model(manifest, parts, config)
    answer: Dict[str, Any] = run_child(
        task,
        {"model": path, "config": to_dict(used), **request},
        limits=Limits(memory_bytes=memory_bytes(manifest, config)),
        what=manifest.model.name,
        paths=[parts.site],
        leave=True,
    )
    return answer


def opened_model(
    manifest: Manifest, parts: Unpacked, config: SessionConfig
) -> Tuple[str, SessionConfig]:
    """Return the form of the model to open, the prepared one where there is one, and how.

    That was optimised for the usual provider, as far as it goes: who asks for another provider or
    level gets the original.
    """
    if config.graph_level is not None or config.provider is not None:
        return parts.path(manifest.model.path), config
    path, is_prepared = session_model(parts.folder, manifest)
    return path, replace(config, prepared=is_prepared)


def config_with(
    manifest: Manifest,
    threads: Optional[int],
    parts: Optional[Unpacked] = None,
    *,
    graph_level: Optional[str] = None,
    provider: Optional[str] = None,
) -> SessionConfig:
    """Return how the model is to be run: as the options say, else the settings, else the bundle.

    The settings are those that a sweep saved for the bundle that lies in `parts`.
    """
    if threads is not None and threads < 1:
        raise UsageError("--threads must be at least 1")
    config = manifest.session
    if parts is not None:
        config = read_settings(manifest, parts).config or config
    return SessionConfig(
        config.backend,
        threads or config.threads,
        graph_level=graph_level or config.graph_level,
        provider=provider or config.provider,
    )


def memory_bytes(manifest: Manifest, config: SessionConfig) -> int:
    """Return the address space to allow: for the model, and its arena at twice what is alive."""
    allowed = memory_limit(manifest.model.size_bytes, config.threads)
    return allowed + 2 * (manifest.model.peak_activation_bytes or 0)
