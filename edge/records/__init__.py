"""Frozen records: the words that the layers above speak to each other in."""
