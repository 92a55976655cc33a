"""How much memory the limited child of a model may use."""

from edge.device.facts import free_bytes
from edge.device.parent import memory_limit
from edge.records.model import ModelInfo


def allowed_bytes(info: ModelInfo, threads: int, batch: int = 1) -> int:
    """Return the address space to allow: for the weights, and for activations if there is room."""
    activations = 2 * batch * (info.peak_activation_bytes or 0)
    # What a model says of itself may be anything; there is no more than the machine has.
    free = free_bytes()
    return memory_limit(info.file_bytes, threads) + min(activations, free or activations)
