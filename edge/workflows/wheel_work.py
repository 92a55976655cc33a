"""The work on a bundle's wheels, which goes on beside everything else: at first it takes seconds."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.adapters.wheel_set import opened_once
from edge.adapters.wheelhouse import audit_wheels
from edge.backends import load_backend
from edge.records.platform import Platform
from edge.records.target import TargetRuntime, WheelPin
from edge.workflows.shares import Shares
from edge.workflows.slim import SlimWheel, slim_wheels

if TYPE_CHECKING:
    from edge.adapters.elf import SystemNeeds

Wheels = Sequence[tuple[WheelPin, Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelWork:
    """What becomes of some wheels: `whole` they are as the registry has them."""

    whole: Wheels
    needs: "Future[SystemNeeds]"
    slim: Future[tuple[SlimWheel, ...]]


@contextmanager
def work_on_wheels(
    platform: Platform, runtime: TargetRuntime, shares: Shares, share: float
) -> Iterator[Callable[[Wheels], WheelWork]]:
    """Give a function that audits, slims and compresses wheels while its caller goes on.

    Slimming is `share` of the whole. When the block is left, whatever still runs is ended.
    """
    backend = load_backend(runtime.backend)
    progress = shares.of(share)
    with ExitStack() as reading, ThreadPoolExecutor(max_workers=2) as pool:

        def begin(wheels: Wheels) -> WheelWork:
            # Both look into every compiled file; to decompress them takes longer than that.
            opened = reading.enter_context(opened_once([path for _, path in wheels]))
            return WheelWork(
                whole=wheels,
                needs=pool.submit(audit_wheels, wheels, platform, runtime, opened),
                slim=pool.submit(
                    slim_wheels,
                    wheels,
                    backend.modules[runtime.distribution],
                    platform.architecture,
                    progress,
                    unasked=backend.unasked,
                    opened=opened,
                ),
            )

        try:
            yield begin
        finally:
            shares.stop()
