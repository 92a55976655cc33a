"""A runtime to run a model by here: the installed one, or the target's version of it."""

from dataclasses import dataclass, replace

from edge.adapters.wheel_site import wheel_site
from edge.adapters.wheelhouse import wheels_for
from edge.backends import load_backend
from edge.errors import RuntimeFailure
from edge.records.target import TargetRuntime
from edge.workflows.this_host import this_platform


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSite:
    """One runtime version; `paths` go before the import path of a child (none: it is installed)."""

    backend: str
    distribution: str
    version: str
    paths: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Distribution and version."""
        return f"{self.distribution} {self.version}"


def installed_site(backend: str) -> RuntimeSite | None:
    """Return the runtime that is installed beside edgekit, or None."""
    try:
        distribution, version = load_backend(backend).version()
    except RuntimeFailure:
        return None
    return RuntimeSite(backend=backend, distribution=distribution, version=version)


def runtime_site(runtime: TargetRuntime) -> RuntimeSite:
    """Return a runtime in the very version that is asked for, fetched if it is not installed.

    Raises:
        BundleError: there is no such version for this machine's Python.
        HostError: no network, no disk space.
    """
    installed = installed_site(runtime.backend)
    wanted = (runtime.distribution, runtime.version)
    if installed is not None and (installed.distribution, installed.version) == wanted:
        return installed
    here = replace(runtime, wheels=(), apt_packages=(), provided=(), note=None)
    folder = wheel_site(wheels_for(this_platform(), here))
    return RuntimeSite(
        backend=runtime.backend,
        distribution=runtime.distribution,
        version=runtime.version,
        paths=(str(folder),),
    )
