"""Where a tensor is multiplied with a gate of its own, such as a hard swish does."""

from edge.passes._int8_index import GraphIndex


def gated(index: GraphIndex) -> dict[str, float]:
    """Return, for each x in x * clip(a x + b, 0, ...), below which value of x all of it is 0.

    What is smaller than that (-3 for a hard swish) need not be told apart.
    """
    found: dict[str, float] = {}
    for number, node in enumerate(index.nodes):
        if node.op_type != "Mul":
            continue
        for name, gate in (tuple(node.input), tuple(reversed(node.input))):
            least = _gate_opens(index, name, gate, number)
            if least is not None and least < 0:
                found[name] = least
    return found


def _gate_opens(index: GraphIndex, name: str, gate: str, reader: int) -> float | None:
    clip = index.nodes[index.producer[gate]] if gate in index.producer else None
    if clip is None or clip.op_type != "Clip" or len(clip.input) < 2:
        return None
    if index.scalar(clip.input[1]) != 0.0:
        return None
    place, value, read = index.producer.get(clip.input[0]), 0.0, {reader}
    while place is not None:
        node = index.nodes[place]
        read.add(place)
        if node.op_type not in ("Add", "Mul") or len(index.readers[node.output[0]]) != 1:
            return None
        numbers = [index.scalar(other) for other in node.input]
        if sum(number is None for number in numbers) != 1:
            return None
        constant = next(number for number in numbers if number is not None)
        if node.op_type == "Mul" and constant <= 0:
            return None
        value = value - constant if node.op_type == "Add" else value / constant
        source = next(o for o, n in zip(node.input, numbers, strict=True) if n is None)
        if source == name:
            only = set(index.readers[name]) <= read and name not in index.outputs
            return value if only else None
        place = index.producer.get(source)
    return None
