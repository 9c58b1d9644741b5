"""A trained classifier as a page and an HTTP interface: `serve.py`."""
