"""The threads that decode and warp images: what they run is mostly C code, which releases Python's
lock."""

import functools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

THREADS = os.cpu_count() or 1
AT_ONCE = 4096  # items waited for at a time, so that a million need no million futures
# SHORT: seconds an item, below which one thread is faster than several, which would hand Python's
# lock to and fro. SHARE: of all items, of which so many more must be long than short, since some
# wait for an import or a disk. TOGETHER: seconds of the items that a future is given.
SHORT, SHARE, TOGETHER = 500e-6, 0.01, 2e-3


def map(function: Callable, items: Sequence) -> Iterator:
    """As Python's `map`: begun when the first result is asked for. The first items are tried in
    this thread, where the others follow if they are short."""
    done, took, more_long = 0, 0.0, 0.0
    while 2 * THREADS < len(items) > done and more_long <= 1 + SHARE * len(items):
        began = time.perf_counter()
        result = function(items[done])
        took = time.perf_counter() - began
        done, more_long = done + 1, max(0.0, more_long + min(took / SHORT - 1, 1))
        yield result
    size = int(TOGETHER / took) + 1 if done else 1
    for start in range(done, len(items), AT_ONCE):
        part = items[start : start + AT_ONCE]
        parts = [part[at : at + size] for at in range(0, len(part), size)]
        for results in _pool(os.getpid()).map(lambda some: [function(x) for x in some], parts):
            yield from results


@functools.cache
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process: one that was forked has none of its parent's."""
    return ThreadPoolExecutor(THREADS, thread_name_prefix="images")
