"""What is optimised and for what: model, target, the runtime version there, and who runs it here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.adapters.native import runs_natively
from edge.adapters.targets import load_target
from edge.device.facts import read_host_facts
from edge.errors import BundleError, HostError
from edge.records.measurement import ModelRef
from edge.records.model import Format, ModelInfo
from edge.records.platform import Platform
from edge.records.target import Target, TargetRuntime
from edge.workflows.inspect import inspect_model
from edge.workflows.models import ModelChoice
from edge.workflows.package import runtime_for, target_platform
from edge.workflows.runtime_site import RuntimeSite, installed_site, runtime_site
from edge.workflows.this_host import HOST, this_platform

Progress = Callable[[float], None]
Sizes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeCase:
    """A model and a target, resolved.

    `target` is None for this machine. `runtime` is the target's, `site` what runs the model here:
    the same version wherever it can be had. `is_here`: what is timed here is meant for the target.
    """

    choice: ModelChoice
    info: ModelInfo
    shapes: Sizes
    target: Target | None
    platform: Platform
    runtime: TargetRuntime
    site: RuntimeSite
    threads: int
    is_here: bool
    remarks: tuple[str, ...]

    def site_of(self, model_format: Format) -> RuntimeSite:
        """Return what runs a variant of that format here.

        Raises:
            BundleError: the target has no runtime for it, or it cannot be had here.
            HostError: no network, no disk space.
        """
        if model_format == self.info.format:
            return self.site
        return runtime_site(runtime_for(self.platform, model_format, None, None))


def optimize_case(
    choice: ModelChoice,
    target_name: str,
    *,
    shapes: Sizes,
    runtime: str | None,
    runtime_version: str | None,
    threads: int | None,
) -> OptimizeCase:
    """Resolve what was asked for.

    Raises:
        EdgekitError: there is no such target, no runtime for the model, or the model is damaged.
    """
    target = None if target_name == HOST else load_target(target_name)
    platform, _ = target_platform(target_name if target is None else target)
    if platform.refused is not None:
        raise BundleError(platform.refused, where=platform.name)
    sizes = {**choice.shapes, **shapes}
    info = inspect_model(choice.path, sizes)
    wanted = runtime_for(platform, info.format, runtime, runtime_version)
    site, remarks = _site(wanted)
    is_here = target is None or runs_natively(target)
    if target is not None and is_here:
        cpu = read_host_facts().cpu_model or "this machine's processor"
        remarks = (*remarks, f"timed on {cpu}, which stands in for {target.name}")
    elif not is_here:
        remarks = (*remarks, f"timed on this machine, which says little of {target_name}")
    return OptimizeCase(
        choice=choice,
        info=info,
        shapes=sizes,
        target=target,
        platform=platform,
        runtime=wanted,
        site=site,
        threads=threads or min(platform.cores, this_platform().cores),
        is_here=is_here,
        remarks=remarks,
    )


def model_ref(info: ModelInfo) -> ModelRef:
    """Return which file it is."""
    return ModelRef(info.name, info.format, info.sha256, info.file_bytes)


def external_files(
    path: Path | None, info: ModelInfo | None
) -> tuple[Path, tuple[str, ...]] | None:
    """Return a model's file with the names of its external data; None: there is none."""
    return None if path is None or info is None else (path, info.external_files)


def _site(runtime: TargetRuntime) -> tuple[RuntimeSite, tuple[str, ...]]:
    """Return the target's runtime version on this machine, or the installed one with a remark."""
    try:
        return runtime_site(runtime), ()
    except (BundleError, HostError) as error:
        installed = installed_site(runtime.backend)
        if installed is None:
            raise
        told = f"{runtime.distribution} {runtime.version} cannot be had for this machine"
        return installed, (f"measured with {installed.name}: {told} ({error.what})",)
