"""edgekit: whether a model runs well enough on the edge, and what each option costs."""

__version__ = "0.1.0"
