"""The threads that decode and warp images."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

THREADS = os.cpu_count() or 1
AT_ONCE = 4096  # items waited for at a time, so that a million need no million futures


class _Threads:
    """A pool of threads: what they run is nearly all C code, which releases Python's lock.

    A process that was forked has none of its parent's threads, and makes its own.
    """

    def __init__(self):
        self._start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._start)

    def _start(self):
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="images")

    def map(self, function, items: Sequence) -> Iterator:
        """As Python's `map`: begun when the first result is asked for."""
        for start in range(0, len(items), AT_ONCE):
            yield from self._pool.map(function, items[start : start + AT_ONCE])


threads = _Threads()
