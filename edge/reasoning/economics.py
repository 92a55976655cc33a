"""What a target costs a month at a load, and the exact loads where the cheapest one changes.

Machines come whole, so the cost is a step function of the load: n machines carry n times what
one carries. The crossovers are found at the steps themselves, not read off a grid.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edge.records.target import Target
from edge.records.verdict import Assumption, CostPoint, Crossover
from edge.records.workload import MOST_BOARDS, Workload

# 36 months: the usual term over which small hardware is written off (assumed).
WRITE_OFF_MONTHS = 36
# What a kilowatt-hour costs a household or a small business, in US dollars (assumed; the order
# of what European households pay, above what most companies pay, so it does not favour boards).
TARIFF_USD_PER_KWH = 0.25
DAYS_PER_MONTH = 365.25 / 12

# More machines than these are no plan but a typing error in the load.
MOST_MACHINES = 10_000
_UNCOUNTABLE = 1_000_000_000
# A load that is a whole multiple of the capacity up to rounding errors needs no machine more.
_ROUNDING = 1e-9
_LARGEST_SWEEP = 20_000
_POINTS_PER_DECADE = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One feasible target: what a machine carries, what it costs a month, how many there may be."""

    name: str
    capacity_per_s: float
    unit_cost_per_month: float
    most_machines: int | None = None

    def __post_init__(self) -> None:
        """Require a machine that carries something."""
        if not self.capacity_per_s > 0 or self.unit_cost_per_month < 0:
            raise ValueError(f"{self.name} carries nothing, or has a negative price")

    def cost(self, load_per_s: float) -> float | None:
        """Return the cost a month at a load, None if not so many machines are allowed."""
        machines = replicas(load_per_s, self.capacity_per_s)
        if self.most_machines is not None and machines > self.most_machines:
            return None
        return machines * self.unit_cost_per_month


def replicas(load_per_s: float, capacity_per_s: float) -> int:
    """Return how many machines carry the load: at least one, and no more than a billion."""
    if math.isinf(capacity_per_s):
        return 1
    machines = load_per_s / capacity_per_s * (1 - _ROUNDING)
    return _UNCOUNTABLE if machines > _UNCOUNTABLE else max(1, math.ceil(machines))


def most_machines(target: Target, workload: Workload) -> int:
    """Return how many machines of a target the workload may have."""
    return workload.max_boards if target.kind == "edge" else MOST_MACHINES


def hours_per_month(workload: Workload) -> float:
    """Return the hours a month in which the service is on."""
    return workload.hours_per_day * DAYS_PER_MONTH


def unit_cost_per_month(target: Target, workload: Workload) -> float:
    """Return what one machine costs a month, in the workload's currency.

    A board is written off over 36 months and draws its full power while the service is on; a
    cloud machine is paid by the hour while the service is on.
    """
    hours = hours_per_month(workload)
    price = target.price
    if price.hourly_usd is not None:
        usd = price.hourly_usd.value * hours
    else:
        assert price.purchase_usd is not None
        usd = price.purchase_usd.value / WRITE_OFF_MONTHS
        if target.power is not None:
            usd += target.power.load_w.value / 1000 * hours * TARIFF_USD_PER_KWH
    return usd * exchange_rate(workload)


def exchange_rate(workload: Workload) -> float:
    """Return the workload's units of currency for one US dollar."""
    return 1.0 if workload.exchange_rate is None else workload.exchange_rate


def cost_per_million(
    cost_per_month: float, workload: Workload, load_per_s: float | None
) -> float | None:
    """Return the cost of a million inferences at the average load, None without a load."""
    if not load_per_s:
        return None
    return cost_per_month / (load_per_s * 3600 * hours_per_month(workload)) * 1e6


def crossovers(offers: Sequence[Offer], lowest: float, highest: float) -> tuple[Crossover, ...]:
    """Return every load in (lowest, highest) at which the cheapest offer changes, exactly.

    At the load itself `below` still holds. Where two cost the same, the one that stands first in
    `offers` is taken. Each interval between two steps of any offer is looked at once; the sweep
    ends early where more steps than 20,000 would have to be.
    """
    steps = _Steps(offers, lowest, highest)
    current = cheapest(offers, lowest)
    found: list[Crossover] = []
    for low, high in steps:
        best = cheapest(offers, (low + high) / 2)
        if best is not current and best is not None and current is not None:
            found.append(Crossover(load_per_s=low, below=current.name, above=best.name))
        current = best
    return tuple(found)


class _Steps:
    """The intervals of constant cost, from the first step above `lowest` up to `highest`."""

    def __init__(self, offers: Sequence[Offer], lowest: float, highest: float) -> None:
        self.highest = highest
        self.queue: list[tuple[float, int, float, float]] = []
        for offer in offers:
            end = min(highest, _beaten_above(offer, offers, highest))
            first = max(1, math.floor(lowest / offer.capacity_per_s * (1 + _ROUNDING)) + 1)
            self._push(first, offer.capacity_per_s, end)

    def _push(self, machines: int, capacity: float, end: float) -> None:
        # The last step is the one after which the offer is beaten.
        if math.isfinite(capacity) and (machines - 1) * capacity < end:
            load = machines * capacity
            if load < self.highest:
                heapq.heappush(self.queue, (load, machines, capacity, end))

    def __iter__(self) -> Iterator[tuple[float, float]]:
        """Yield the two ends of each interval."""
        for _ in range(_LARGEST_SWEEP):
            if not self.queue:
                return
            load, machines, capacity, end = heapq.heappop(self.queue)
            self._push(machines + 1, capacity, end)
            following = self.queue[0][0] if self.queue else self.highest
            # Steps that coincide up to rounding errors are one.
            if following > load * (1 + _ROUNDING):
                yield load, following


def _beaten_above(offer: Offer, offers: Sequence[Offer], highest: float) -> float:
    """Return a load above which another offer, however its steps fall, always costs less."""
    least = offer.unit_cost_per_month / offer.capacity_per_s
    found = math.inf
    for other in offers:
        slope = other.unit_cost_per_month / other.capacity_per_s
        unlimited = other.cost(highest) is not None
        if unlimited and slope < least:
            # It costs at most one machine more than its slope says, this one at least its slope.
            found = min(found, other.unit_cost_per_month / (least - slope))
    return found


def cheapest(offers: Sequence[Offer], load_per_s: float) -> Offer | None:
    """Return the cheapest offer at a load, the first one of those that cost the same."""
    best: tuple[float, Offer] | None = None
    for offer in offers:
        cost = offer.cost(load_per_s)
        if cost is not None and (best is None or cost < best[0] * (1 - _ROUNDING)):
            best = (cost, offer)
    return None if best is None else best[1]


def cost_points(offers: Sequence[Offer], lowest: float, highest: float) -> tuple[CostPoint, ...]:
    """Return the costs of all offers at loads evenly spaced on a logarithmic axis."""
    decades = math.log10(highest / lowest)
    count = max(2, math.ceil(decades * _POINTS_PER_DECADE) + 1)
    loads = [lowest * 10 ** (decades * i / (count - 1)) for i in range(count)]
    return tuple(
        CostPoint(load_per_s=load, cost_per_month=tuple(o.cost(load) for o in offers))
        for load in loads
    )


def price_assumptions(workload: Workload, *, boards: bool) -> tuple[Assumption, ...]:
    """Return what the costs take for granted."""
    found = [
        Assumption(
            name="hours a month",
            value=f"{hours_per_month(workload):.1f} ({workload.hours_per_day:g} h a day)",
            source="the workload; 365.25 / 12 days a month",
        )
    ]
    if boards:
        found += [
            Assumption(
                name="write-off of a board",
                value=f"{WRITE_OFF_MONTHS} months; no network, housing or labour",
                source="assumed",
            ),
            Assumption(
                name="electricity",
                value=f"{TARIFF_USD_PER_KWH:g} USD per kWh, at full power while the service is on",
                source="assumed",
            ),
            Assumption(
                name="boards at most",
                value=str(workload.max_boards),
                source="assumed: more are a machine room; --max-boards sets it"
                if workload.max_boards == MOST_BOARDS
                else "the workload",
            ),
        ]
    if workload.currency != "USD":
        found.append(
            Assumption(
                name="exchange rate",
                value=f"{exchange_rate(workload):g} {workload.currency} for one USD",
                source="the workload",
            )
        )
    return tuple(found)
