"""TensorFlow Lite: ai-edge-litert, or tflite-runtime where that is what the machine has.

Part of the device slice: Python 3.8.
"""

import importlib
import importlib.util
from typing import Any, Callable, Dict, Final, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from edge.backends.protocol import Array, Backend, Session
from edge.device.distributions import installed_version
from edge.errors import RuntimeFailure, UsageError, printable
from edge.records.measurement import RuntimeRef, SessionConfig
from edge.records.tensor import TensorSpec

_MODULES = {"ai-edge-litert": "ai_edge_litert", "tflite-runtime": "tflite_runtime"}
_FAILURES = (RuntimeError, ValueError, TypeError, OSError, AttributeError, SystemError)
# By what may be asked for: whether the default delegate, XNNPACK, is applied. "default" is how its
# absence is read back.
_DELEGATED = {"xnnpack": True, "none": False, "default": False}
_XNNPACK = "XNNPACK"
_NOTHING_TAKEN = "XNNPACK took no operator of the model, or this runtime is built without it"
_NUMPY_2 = "tflite-runtime needs numpy below 2 (and does not say so)"


class _TfliteBackend:
    """Interpreters with the threads asked for and the runtime's default delegate."""

    name = "tflite"
    format = "tflite"
    distributions: Tuple[str, ...] = tuple(_MODULES)
    modules: Mapping[str, Tuple[str, ...]] = {
        name: ("numpy", module + ".interpreter") for name, module in _MODULES.items()
    }
    # A GPU's: only LiteRT's compiled models look for it, and an interpreter has no such thing.
    unasked: Tuple[str, ...] = ("libLiteRtWebGpuAccelerator.so",)

    def version(self) -> Tuple[str, str]:
        """Return the distribution that is installed here and its version, without importing it."""
        for distribution, module in _MODULES.items():
            if importlib.util.find_spec(module) is None:
                continue
            version = installed_version(distribution, module)
            # A system package may be without Python's metadata.
            return distribution, version or str(getattr(_import(module), "__version__", "unknown"))
        raise RuntimeFailure(
            "no runtime for TFLite models is installed",
            hint="install ai-edge-litert, or tflite-runtime where that has no wheel",
        )

    def import_runtime(self) -> None:
        """Import the runtime, so that its time can be told apart from the model's."""
        _import(_MODULES[self.version()[0]] + ".interpreter")

    def providers(self) -> Tuple[str, ...]:
        """Return the delegates: the default one, and none at all."""
        return ("xnnpack", "none")

    def failures(self) -> Tuple[Type[BaseException], ...]:
        """Return what a bound inference raises when it fails."""
        return _FAILURES

    def prepare(self, _path: str, _config: SessionConfig, _folder: str) -> Optional[str]:
        """Return None: a model file is mapped as it is, and the runtime optimises nothing first.

        What XNNPACK packs could be kept in a file, but its Python interface has no option for it.
        """
        return None

    def open(self, path: str, config: SessionConfig) -> Session:
        """Load a model file."""
        delegated = _delegated(config)
        distribution, version = self.version()
        module = _import(_MODULES[distribution] + ".interpreter")
        options: Dict[str, Any] = {"model_path": path, "num_threads": config.threads}
        if delegated is False:
            resolvers = module.OpResolverType
            resolver = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            options["experimental_op_resolver_type"] = resolver
        try:
            interpreter = module.Interpreter(**options)
            interpreter.allocate_tensors()
        except _FAILURES as error:
            raise _failure("cannot load the model", error) from error
        session = _TfliteSession(interpreter, distribution, version, config)
        session.runtime()
        return session


class _TfliteSession:
    """One loaded model."""

    def __init__(
        self, interpreter: Any, distribution: str, version: str, config: SessionConfig
    ) -> None:
        self._interpreter = interpreter
        self._distribution, self._version, self._config = distribution, version, config
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        self.inputs = tuple(_spec(details, "input") for details in inputs)
        self.outputs = tuple(_spec(details, "output") for details in outputs)
        self._input_indices: Dict[str, int] = {d["name"]: d["index"] for d in inputs}
        self._output_indices = [d["index"] for d in outputs]
        self._shapes = {d["name"]: tuple(int(n) for n in d["shape"]) for d in inputs}

    def run(self, feeds: Mapping[str, Array]) -> List[Array]:
        """Run one inference and return the outputs in the order of `outputs`."""
        try:
            self._set(feeds)
            self._interpreter.invoke()
            # get_tensor gives a copy, so the next inference does not change it.
            return [np.asarray(self._interpreter.get_tensor(i)) for i in self._output_indices]
        except _FAILURES as error:
            raise _failure("the inference failed", error) from error

    def bind(self, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Set the inputs, which stay set, and return what runs one inference and nothing else."""
        try:
            self._set(feeds)
        except _FAILURES as error:
            raise _failure("cannot set the inputs", error) from error
        invoke: Callable[[], object] = self._interpreter.invoke
        return invoke

    def bind_each(self, samples: Sequence[Mapping[str, Array]]) -> Callable[[], object]:
        """Return what runs one inference of each sample, in order.

        An interpreter has one place for its inputs, so each sample is copied there when its turn
        comes, as every program with this runtime has to do.
        """
        indices = self._input_indices
        prepared = [[(indices[name], array) for name, array in s.items()] for s in samples]
        set_tensor, invoke = self._interpreter.set_tensor, self._interpreter.invoke

        def run() -> None:
            for inputs in prepared:
                for index, array in inputs:
                    set_tensor(index, array)
                invoke()

        try:
            self._set(samples[0])
        except _FAILURES as error:
            raise _failure("cannot set the inputs", error) from error
        return run

    def runtime(self) -> RuntimeRef:
        """Return what really runs; the delegate is asked anew, as other shapes may lose it."""
        delegates = _delegates(self._interpreter)
        delegated = _delegated(self._config)
        if delegated is not None and delegated is not (_XNNPACK in delegates):
            asked = self._config.provider
            what = "it runs on {}, asked for {}".format(", ".join(delegates), asked)
            raise RuntimeFailure(what, hint=_NOTHING_TAKEN if delegated else None)
        return RuntimeRef(
            distribution=self._distribution,
            version=self._version,
            providers=delegates,
            threads=self._config.threads,
        )

    def _set(self, feeds: Mapping[str, Array]) -> None:
        resized = {n: a.shape for n, a in feeds.items() if a.shape != self._shapes[n]}
        for name, shape in resized.items():
            self._interpreter.resize_tensor_input(self._input_indices[name], shape)
            self._shapes[name] = shape
        if resized:
            self._interpreter.allocate_tensors()
        for name, array in feeds.items():
            self._interpreter.set_tensor(self._input_indices[name], array)


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except (ImportError, AttributeError) as error:
        old = "tflite_runtime" in module and int(np.__version__.split(".")[0]) >= 2
        what = "{} cannot be imported: {}".format(module, _first_line(error))
        raise RuntimeFailure(what, hint=_NUMPY_2 if old else None) from error


def _delegated(config: SessionConfig) -> Optional[bool]:
    """Return whether XNNPACK is asked for; None leaves it to the runtime."""
    if config.graph_level not in (None, "all"):
        raise UsageError(
            "TFLite has no graph level {}".format(config.graph_level),
            hint="leave it out: its graphs are optimised when they are converted",
        )
    if config.provider is None:
        return None
    delegated = _DELEGATED.get(config.provider.lower())
    if delegated is None:
        raise UsageError(
            "TFLite has no provider {} here".format(printable(config.provider)),
            hint="it has {}".format(", ".join(BACKEND.providers())),
        )
    return delegated


def _delegates(interpreter: Any) -> Tuple[str, ...]:
    """Return the delegate that took a part of the graph, as far as it can be known.

    Once tensors are allocated, such a part shows as a DELEGATE operator; the runtime applies no
    other delegate than XNNPACK unless it is asked to. Some releases may lack the (private) list.
    """
    listing = getattr(interpreter, "_get_ops_details", None)
    names = () if listing is None else tuple(o.get("op_name") for o in listing())
    return (_XNNPACK,) if "DELEGATE" in names else ("default",)


def _failure(what: str, error: BaseException) -> RuntimeFailure:
    reason = _first_line(error)
    numpy_2 = "_ARRAY_API" in reason or "multiarray" in reason
    return RuntimeFailure("{}: {}".format(what, reason), hint=_NUMPY_2 if numpy_2 else None)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0], 300)


def _spec(details: Mapping[str, Any], kind: str) -> TensorSpec:
    dtype = np.dtype(details["dtype"])
    if dtype.kind not in "fiub":
        what = "{} {}: the type {} is not supported".format(kind, details["name"], dtype.name)
        raise RuntimeFailure(what)
    # Free dimensions are -1 in the signature and 1 in the shape that was allocated first.
    signature = details.get("shape_signature", details["shape"])
    shape = tuple(int(d) if d >= 0 else None for d in signature)
    return TensorSpec(str(details["name"]), dtype.name, shape)


BACKEND: Final[Backend] = _TfliteBackend()
