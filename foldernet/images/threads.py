"""The threads that decode and warp images: what they run is nearly all C code, which releases
Python's lock."""

import functools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

THREADS = os.cpu_count() or 1
AT_ONCE = 4096  # items waited for at a time, so that a million need no million futures


def map(function, items: Sequence) -> Iterator:
    """As Python's `map`: begun when the first result is asked for."""
    for start in range(0, len(items), AT_ONCE):
        yield from _pool(os.getpid()).map(function, items[start : start + AT_ONCE])


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="images")
