"""Images in: folders, the one reader, augmentation, batches."""

import os
from concurrent.futures import ThreadPoolExecutor

THREADS = os.cpu_count() or 1


class _Threads:
    """What decodes and warps: nearly all their time is spent in C code that releases Python's lock.

    A process that was forked has none of its parent's threads, and makes its own.
    """

    def __init__(self):
        self._start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start)

    def _start(self):
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="images")

    def map(self, function, *items):
        """As `ThreadPoolExecutor.map`."""
        return self._pool.map(function, *items)


threads = _Threads()
