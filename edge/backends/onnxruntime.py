"""ONNX Runtime, on the CPU unless another execution provider is asked for. Part of the device slice: Python 3.8."""

import functools
import importlib
import importlib.util
import os
import re
from typing import Any, Callable, Final, List, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from edge.backends.protocol import Array, Backend, Session
from edge.device.distributions import installed_version
from edge.device.providers import asked_provider, provider_names
from edge.errors import RuntimeFailure, printable
from edge.records.measurement import RuntimeRef, SessionConfig
from edge.records.tensor import Dimension, TensorSpec

_CPU, _XNNPACK = "CPUExecutionProvider", "XnnpackExecutionProvider"
_LEVELS = {
    None: "ORT_ENABLE_ALL",
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
# Newer releases can tell which provider took which operators; older ones ignore the wish.
_RECORD_OPERATORS = "session.record_ep_graph_assignment_info"
_QUIET = 3  # Only errors are logged; the child's last words then are one.
# The form that is prepared on the machine, and how ONNX Runtime is told to split it.
_PREPARED_MODEL = "model.onnx"
_PREPARED_WEIGHTS = "model.weights"
_WEIGHTS_FILE = "session.optimized_model_external_initializers_file_name"
_LEAST_WEIGHTS_BYTES = "session.optimized_model_external_initializers_min_size_in_bytes"
_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "str",
}
# "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from ..." begins each of its messages.
_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")


class _OnnxRuntimeBackend:
    """Sessions with the threads, the graph level and the provider asked for; one operator a time."""

    name = "onnxruntime"
    format = "onnx"
    distributions: Tuple[str, ...] = ("onnxruntime", "onnxruntime-gpu")
    modules: Mapping[str, Tuple[str, ...]] = dict.fromkeys(
        distributions, ("numpy", "onnxruntime", "onnxruntime.capi.onnxruntime_pybind11_state")
    )
    unasked: Tuple[str, ...] = ()

    def version(self) -> Tuple[str, str]:
        """Return the distribution that is installed here and its version, without importing it."""
        for distribution in self.distributions:
            version = installed_version(distribution, "onnxruntime")
            if version is not None:
                return distribution, version
        if importlib.util.find_spec("onnxruntime") is not None:
            # A system package without Python's metadata.
            return self.distributions[0], str(importlib.import_module("onnxruntime").__version__)
        raise RuntimeFailure(
            "no runtime for ONNX models is installed", hint="install onnxruntime (pip, or apt)"
        )

    def import_runtime(self) -> None:
        """Import the runtime, so that its time can be told apart from the model's."""
        _import()

    def providers(self) -> Tuple[str, ...]:
        """Return the execution providers of this ONNX Runtime, in short; the CPU is first."""
        return provider_names(_import().get_available_providers())

    def failures(self) -> Tuple[Type[BaseException], ...]:
        """Return what a bound inference raises when it fails."""
        return _failures()

    def prepare(self, path: str, config: SessionConfig, folder: str) -> Optional[str]:
        """Save the optimised graph, with the weights in a file that is mapped.

        The graph may use layouts that only this processor likes. What the kernels themselves make
        of the weights is not saved: ONNX Runtime 1.23.2 writes such files that it then dies of.
        """
        options = _options(config)
        options.optimized_model_filepath = os.path.join(folder, _PREPARED_MODEL)
        options.add_session_config_entry(_WEIGHTS_FILE, _PREPARED_WEIGHTS)
        options.add_session_config_entry(_LEAST_WEIGHTS_BYTES, "1024")
        _session(path, options, config)
        return _PREPARED_MODEL

    def open(self, path: str, config: SessionConfig) -> Session:
        """Load a model file."""
        options = _options(config)
        if config.prepared:
            options.graph_optimization_level = _import().GraphOptimizationLevel.ORT_DISABLE_ALL
        session = _session(path, options, config)
        _check_provider(session, _provider(config))
        return _OnnxRuntimeSession(session)


class _OnnxRuntimeSession:
    """One loaded model."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.inputs = tuple(_spec(value, "input") for value in session.get_inputs())
        self.outputs = tuple(_spec(value, "output") for value in session.get_outputs())
        for spec in self.inputs:
            if spec.dtype == "str":
                raise RuntimeFailure("input {}: strings are not supported".format(spec.name))
        self._output_names = [spec.name for spec in self.outputs]

    def run(self, feeds: Mapping[str, Array]) -> List[Array]:
        """Run one inference and return the outputs in the order of `outputs`."""
        try:
            return [np.asarray(a) for a in self._session.run(self._output_names, dict(feeds))]
        except _failures() as error:
            raise _failure("the inference failed", error) from error

    def bind(self, feeds: Mapping[str, Array]) -> Callable[[], object]:
        """Bind inputs and outputs ahead and return what runs one inference and nothing else.

        Outputs of known shape are written to memory of ours; the others are bound to the
        runtime's own, which it allocates in the first inference.
        """
        if any(spec.dtype == "str" for spec in self.outputs):
            # Strings cannot be bound; the plain call costs about 2 µs more.
            return functools.partial(self._session.run, self._output_names, dict(feeds))
        binding = self._session.io_binding()
        try:
            for name, array in feeds.items():
                binding.bind_cpu_input(name, np.asarray(array, order="C"))
            for spec in self.outputs:
                self._bind_output(binding, spec)
        except _failures() as error:
            raise _failure("cannot bind the inputs", error) from error
        return functools.partial(self._session.run_with_iobinding, binding)

    def bind_each(self, samples: Sequence[Mapping[str, Array]]) -> Callable[[], object]:
        """Bind each sample ahead, inputs and outputs, and return what runs one after the other."""
        bound = [self.bind(feeds) for feeds in samples]

        def run() -> None:
            for run_one in bound:
                run_one()

        return run

    def _bind_output(self, binding: Any, spec: TensorSpec) -> None:
        if not spec.is_static:
            binding.bind_output(spec.name, "cpu")
            return
        memory = np.zeros(tuple(int(d or 0) for d in spec.shape or ()), spec.dtype)
        value = _import().OrtValue.ortvalue_from_numpy(memory)
        binding.bind_ortvalue_output(spec.name, value)

    def runtime(self) -> RuntimeRef:
        """Return what really runs."""
        return RuntimeRef(
            distribution=BACKEND.version()[0],
            version=str(_import().__version__),
            providers=tuple(self._session.get_providers()),
            threads=int(self._session.get_session_options().intra_op_num_threads),
        )


def _import() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except (ImportError, AttributeError) as error:
        # Where there is none at all, this says what to install.
        BACKEND.version()
        what = "onnxruntime cannot be imported: {}".format(_first_line(error))
        hint = "its version, numpy's and this Python must fit together"
        raise RuntimeFailure(what, hint=hint) from error


def _provider(config: SessionConfig) -> str:
    if config.provider is None:
        return _CPU
    return asked_provider(config.provider, _import().get_available_providers())


def _options(config: SessionConfig) -> Any:
    runtime = _import()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    level = _LEVELS[config.graph_level]
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, level)
    options.log_severity_level = _QUIET
    if _provider(config) != _CPU:
        options.add_session_config_entry(_RECORD_OPERATORS, "1")
    return options


def _session(path: str, options: Any, config: SessionConfig) -> Any:
    providers: List[Any] = [_provider(config)]
    if providers[0] == _XNNPACK:
        # It has threads of its own, which those of the session would only be in the way of (ONNX
        # Runtime's page on XNNPACK, "Recommended configuration").
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers[0] = (_XNNPACK, {"intra_op_num_threads": str(config.threads)})
    if providers[0] != _CPU:
        # It runs the operators that the other does not have.
        providers.append(_CPU)
    try:
        return _import().InferenceSession(path, options, providers=providers)
    except _failures() as error:
        raise _failure("cannot load the model", error) from error


def _check_provider(session: Any, asked: str) -> None:
    """Refuse a session that fell back: the provider is not there, or took no operator."""
    used = tuple(session.get_providers())
    if used[:1] != (asked,):
        raise RuntimeFailure("it runs on {}, asked for {}".format(", ".join(used), asked))
    assigned = getattr(session, "get_provider_graph_assignment_info", None)
    if asked != _CPU and assigned is not None:
        took = sorted({part.ep_name for part in assigned()})
        if asked not in took:
            what = "{} takes no operator of the model: it runs on {}"
            raise RuntimeFailure(what.format(asked, ", ".join(took)))


def _failures() -> Tuple[Type[BaseException], ...]:
    """Return the exceptions that ONNX Runtime raises; most are classes of its native module."""
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    own = [c for c in vars(native).values() if isinstance(c, type) and issubclass(c, Exception)]
    return (*own, RuntimeError, ValueError, TypeError, IndexError)


def _failure(what: str, error: BaseException) -> RuntimeFailure:
    reason = _PREFIX.sub("", _first_line(error))
    short_of_memory = "alloc" in reason.lower()
    hint = "it asks for more memory than it is allowed here" if short_of_memory else None
    return RuntimeFailure("{}: {}".format(what, reason), hint=hint)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0], 300)


def _spec(value: Any, kind: str) -> TensorSpec:
    dtype: Optional[str] = _DTYPES.get(value.type)
    if dtype is None:
        what = "{} {}: the type {} is not supported".format(kind, value.name, value.type)
        zip_map = "export the classifier without ZipMap" if "map(" in value.type else None
        raise RuntimeFailure(what, hint=zip_map)
    return TensorSpec(value.name, dtype, tuple(_dimension(d) for d in value.shape))


def _dimension(size: object) -> Dimension:
    if isinstance(size, int):
        return size if size >= 0 else None
    return str(size) if size else None


BACKEND: Final[Backend] = _OnnxRuntimeBackend()
