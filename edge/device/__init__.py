"""The device slice: what a bundle carries. Standard library, numpy, the runtime; Python 3.8."""
