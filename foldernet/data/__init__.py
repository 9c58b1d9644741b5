"""Images in: folders, the one reader, augmentation, batches."""

import os
from concurrent.futures import ThreadPoolExecutor

# What decodes and warps: nearly all their time is spent in C code that releases Python's lock.
threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="images")
