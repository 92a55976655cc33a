"""Model files: what they say of themselves, read without their weights, in a limited child."""
