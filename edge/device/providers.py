"""Names of ONNX Runtime's execution providers, long and short. Pure; device slice: Python 3.8."""

from typing import Sequence, Tuple

from edge.errors import UsageError, printable

_SUFFIX = "executionprovider"
_CPU = "cpu"
# In every wheel, and it sends a model's inputs to a service elsewhere.
_REMOTE = "azure"


def short_name(provider: str) -> str:
    """Return a provider's name as we spell it: CPUExecutionProvider is cpu."""
    name = provider.lower()
    return name[: -len(_SUFFIX)] if name.endswith(_SUFFIX) else name


def provider_names(available: Sequence[str]) -> Tuple[str, ...]:
    """Return the short names of what is there and runs on this machine, the CPU first."""
    names = [short_name(provider) for provider in available]
    return (_CPU, *(name for name in names if name not in (_CPU, _REMOTE)))


def asked_provider(asked: str, available: Sequence[str]) -> str:
    """Return the provider that is meant, as ONNX Runtime spells it; case does not matter.

    Raises:
        UsageError: this ONNX Runtime has no such provider.
    """
    for provider in available:
        if short_name(provider) == short_name(asked):
            return provider
    raise UsageError(
        "this ONNX Runtime has no provider {}".format(printable(asked)),
        hint="it has {}".format(", ".join(provider_names(available))),
    )
