"""edgekit: does a model run well enough on the edge, and what does each option cost?"""

__version__ = "0.1.0"
