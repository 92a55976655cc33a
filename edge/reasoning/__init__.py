"""Pure reasoning: no I/O, no runtime, no clock."""
