"""Adapters to outside things: registries, archives, caches."""
