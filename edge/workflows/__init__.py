"""One module a job of the product; the faces call these."""
