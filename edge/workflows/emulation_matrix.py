"""One model on many targets: packages it for each, and emulates as many at once as fit here."""

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Final

import edge
from edge.adapters.descendants import descendants, kill_descendants
from edge.adapters.files import host_error
from edge.adapters.targets import load_target
from edge.device.facts import read_host_facts
from edge.errors import ConfigError, EdgekitError, ModelError
from edge.records.emulation import Emulation, EmulationMatrix, NotEmulated
from edge.workflows.bundle_content import spelled_plainly
from edge.workflows.models import ModelChoice
from edge.workflows.package import package_model
from edge.workflows.shares import Shares

Progress = Callable[[float], None]
Emulate = Callable[[Path, str, Progress], Emulation]

_NO_SHAPES: Final[Mapping[str, tuple[int, ...]]] = MappingProxyType({})
# What qemu's user mode was seen to take at most with onnxruntime and a small model.
_ONE_TAKES_BYTES: Final = 600_000_000
# How much of a target's part packaging is.
_PACKAGING: Final = 0.2
# How often those that still run are killed, once nobody waits for them.
_KILL_S: Final = 0.2


def emulate_matrix(
    choice: ModelChoice,
    targets: Sequence[str],
    emulate: Emulate,
    *,
    shapes: Mapping[str, tuple[int, ...]] = _NO_SHAPES,
    inputs: Path | None = None,
    runtime: str | None = None,
    workers: int | None = None,
    keep: Path | None = None,
    progress: Progress = lambda _fraction: None,
) -> EmulationMatrix:
    """Package a model for each target and call `emulate` with bundle, target and progress.

    Targets are packaged for one after the other, while those before are emulated: `workers` at
    once, by default as many as cores and memory allow. `emulate` is called in threads. A target
    that cannot be packaged for, or not be emulated, is a row that says why. When this is
    interrupted all that runs is killed. The bundles go afterwards, or stay in the folder `keep`.

    Raises:
        ConfigError: there are no such targets; nothing was done.
        ModelError: the model cannot be read, whatever the target.
        HostError: there is no place for the bundles.
    """
    names = _names(targets)
    shares, share = Shares(progress), 1 / len(names)
    parts = {
        name: (shares.of(_PACKAGING * share), shares.of((1 - _PACKAGING) * share)) for name in names
    }
    rows: dict[str, Future[Emulation] | NotEmulated] = {}
    with (
        bundle_folder(keep) as folder,
        _pool(_workers(workers, len(names)), shares) as (pool, running),
    ):
        for name, given in names.items():
            packaging, emulating = parts[name]
            bundle = folder / f"{spelled_plainly(choice.path.stem)}-{name}.pyz"
            try:
                package_model(
                    choice,
                    given,
                    output=bundle,
                    shapes=shapes,
                    inputs=inputs,
                    runtime=runtime,
                    progress=packaging,
                )
            except ModelError:
                raise
            except EdgekitError as error:
                rows[name] = _not_emulated(name, error)
                packaging(1.0)
                emulating(1.0)
            else:
                future = pool.submit(_emulated, emulate, bundle, given, emulating)
                rows[name] = future
                running.append(future)
            _require_sound(running)
        waiting = set(running)
        while waiting:
            waiting = wait(waiting, return_when=FIRST_COMPLETED).not_done
            _require_sound(running)
    return _matrix(choice, names, rows)


def _emulated(emulate: Emulate, bundle: Path, target: str, progress: Progress) -> Emulation:
    try:
        return emulate(bundle, target, progress)
    finally:
        progress(1.0)


def _matrix(
    choice: ModelChoice,
    names: Iterable[str],
    rows: Mapping[str, Future[Emulation] | NotEmulated],
) -> EmulationMatrix:
    emulations, others = [], []
    for name in names:
        row = rows[name]
        if isinstance(row, NotEmulated):
            others.append(row)
            continue
        try:
            emulations.append(row.result())
        except EdgekitError as error:
            others.append(_not_emulated(name, error))
    return EmulationMatrix(
        model=choice.path.name,
        emulations=tuple(emulations),
        not_emulated=tuple(others),
        edgekit_version=edge.__version__,
    )


def _names(targets: Sequence[str]) -> dict[str, str]:
    """Return each target once, in the order that was asked for, with what it is loaded by.

    Raises:
        ConfigError: some are unknown; all of them are named.
    """
    found: dict[str, str] = {}
    refused: list[tuple[str, ConfigError]] = []
    for target in targets:
        try:
            name = load_target(target).name
        except ConfigError as error:
            refused.append((target, error))
        else:
            is_file = "/" in target or target.endswith(".toml")
            found.setdefault(name, target if is_file else name)
    if len(refused) == 1:
        raise refused[0][1]
    if refused:
        what = "; ".join(dict.fromkeys(str(error) for _, error in refused))
        raise ConfigError(what, hint=refused[0][1].hint)
    if not found:
        raise ConfigError("no targets are named", hint="edgekit targets list shows them")
    return found


def _not_emulated(name: str, error: EdgekitError) -> NotEmulated:
    return NotEmulated(
        target=name,
        family=type(error).__name__,
        exit_code=error.exit_code,
        what=error.what if error.where in (None, name) else str(error),
        hint=error.hint,
    )


def _require_sound(futures: Sequence[Future[Emulation]]) -> None:
    """Raise what is no error of a target's: a bug of ours ends all of them."""
    for future in futures:
        if future.done():
            error = future.exception()
            if error is not None and not isinstance(error, EdgekitError):
                raise error


def _workers(asked: int | None, targets: int) -> int:
    if asked is not None:
        return max(1, asked)
    facts = read_host_facts()
    free = (facts.memory_limit_bytes, facts.memory_available_bytes)
    fitting = min((size // _ONE_TAKES_BYTES for size in free if size is not None), default=targets)
    return max(1, min(len(os.sched_getaffinity(0)), fitting, targets))


@contextmanager
def bundle_folder(keep: Path | None) -> Iterator[Path]:
    """Give a folder for bundles: `keep`, which is made if need be, or one that goes afterwards.

    Raises:
        HostError: it cannot be made.
    """
    try:
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            folder: AbstractContextManager[str] = nullcontext(str(keep))
        else:
            folder = tempfile.TemporaryDirectory(prefix="edgekit-matrix-")
    except OSError as error:
        raise host_error(error, keep or tempfile.gettempdir()) from error
    with folder as name:
        yield Path(name)


@contextmanager
def _pool(
    workers: int, shares: Shares
) -> Iterator[tuple[ThreadPoolExecutor, list[Future[Emulation]]]]:
    """Give a pool whose work ends with the block: done, or killed where the block fails."""
    spared = descendants()
    running: list[Future[Emulation]] = []
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool, running
    except BaseException:
        # Whoever tells his progress ends; whoever waits for a process need not wait long.
        shares.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        while not all(future.done() for future in running):
            kill_descendants(spared)
            wait(running, timeout=_KILL_S)
        raise
    finally:
        pool.shutdown()
