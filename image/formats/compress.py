"""Compresses stdin to stdout: compress.py LEVEL WINDOW_LOG JOB_BYTES THREADS

A program of its own, since Ctrl-C can't interrupt a call of the library, which takes a minute for a
whole initramfs.
"""

import os
import sys

import zstandard


def main() -> None:
    """Compress all of stdin as one frame; any number of threads gives the same bytes."""
    level, window_log, job_bytes, threads = map(int, sys.argv[1:])
    options = zstandard.ZstdCompressionParameters.from_level(
        level,
        window_log=window_log,
        job_size=job_bytes,
        threads=threads or os.cpu_count() or 1,
    )
    data = sys.stdin.buffer.read()
    sys.stdout.buffer.write(zstandard.ZstdCompressor(compression_params=options).compress(data))


if __name__ == "__main__":
    main()
