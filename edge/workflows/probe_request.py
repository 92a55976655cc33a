"""What a probe is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.device.probe import ProbeOptions
from edge.records.scenario import ONE_BY_ONE, Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What to measure, and for how long.

    `scenario` None is offline with the batch that a batch curve finds best. `threads` None takes
    the cores that this process may use, or what a bundle says. `inputs` is a file, a folder,
    camera:N or test:WIDTHxHEIGHT, whose way through a program is timed stage by stage; samples and
    pictures are what the model is measured with, too. With `fps` it is offered at that rate for
    `seconds`. `meter` is a power meter's file.
    """

    options: ProbeOptions
    scenario: Scenario | None = ONE_BY_ONE
    threads: int | None = None
    graph_level: str | None = None
    provider: str | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    inputs: str | None = None
    fps: float | None = None
    seconds: float = 10.0
    target: str | None = None
    energy: bool = False
    meter: str | None = None
