"""What a backend has to give. Part of the device slice: Python 3.8, numpy and the runtime.

A backend is one file in edge/backends/ with `BACKEND: Final[Backend]`; it imports its runtime
only inside its functions, which are called only in a limited child process.
"""

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    List,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    Type,
)

import numpy as np

from edge.records.measurement import RuntimeRef, SessionConfig
from edge.records.tensor import TensorSpec

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
else:  # Old Pythons cannot subscript it.
    Array = np.ndarray


class Session(Protocol):
    """A loaded model."""

    inputs: Tuple[TensorSpec, ...]
    outputs: Tuple[TensorSpec, ...]

    def run(self, feeds: Mapping[str, Array]) -> List[Array]:
        """Run one inference and return the outputs in the order of `outputs`."""
        ...

    def bind(self, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Bind inputs and outputs ahead and return what runs one inference and nothing else."""
        ...

    def bind_each(self, samples: Sequence[Mapping[str, Array]]) -> Callable[[], object]:
        """Bind several samples ahead and return what runs one inference of each, in order."""
        ...

    def runtime(self) -> RuntimeRef:
        """Return what really runs: version, execution providers or delegates in use, threads.

        Raises:
            RuntimeFailure: since it was loaded it fell back silently.
        """
        ...


class Backend(Protocol):
    """One runtime family."""

    name: str
    format: str
    distributions: Tuple[str, ...]
    # By distribution: the modules that the device's code imports, of it and of numpy. Nothing that
    # they cannot reach is in a bundle.
    modules: Mapping[str, Tuple[str, ...]]
    # Shared libraries that the runtime loads if it is asked for what they do and if they are there,
    # which no session of this backend asks for.
    unasked: Tuple[str, ...]

    def version(self) -> Tuple[str, str]:
        """Return the distribution that is installed here and its version.

        Raises:
            RuntimeFailure: none of `distributions` is installed.
        """
        ...

    def import_runtime(self) -> None:
        """Import the runtime, so that its time can be told apart from the model's.

        Raises:
            RuntimeFailure: it is not installed or cannot be imported.
        """
        ...

    def providers(self) -> Tuple[str, ...]:
        """Return what `SessionConfig.provider` may be here, the usual first; the runtime is imported.

        Raises:
            RuntimeFailure: it is not installed or cannot be imported.
        """
        ...

    def failures(self) -> Tuple[Type[BaseException], ...]:
        """Return what a bound inference raises when it fails (the runtime is imported)."""
        ...

    def prepare(self, path: str, config: SessionConfig, folder: str) -> Optional[str]:
        """Save the form of a model that starts fastest on this very machine into `folder`.

        Return the name of its file there, to be opened with `config.prepared`, or None where the
        runtime has no such form. What else it needs lies beside it.

        Raises:
            RuntimeFailure: the runtime refuses the model, or cannot save it.
        """
        ...

    def open(self, path: str, config: SessionConfig) -> Session:
        """Load a model file, or, where `config.prepared`, what `prepare` made of one.

        Raises:
            UsageError: it has no such provider or graph level.
            RuntimeFailure: the runtime refuses the model, or fell back silently.
        """
        ...
