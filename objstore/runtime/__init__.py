"""Process and operating system: green threads, thread offload, the file seam, settings, logs, metrics.

`green` is the only importer of the green thread library, `files` the only caller of fsync,
rename and link. Knows nothing of objects and rings.
"""
