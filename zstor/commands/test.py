"""Try each backend with a small value, which is removed again, and the placement."""

import argparse
import os
import sys
from functools import partial

from zstor.errors import BackendError
from zstor.model import Backend
from zstor.pipeline.placing import Places
from zstor.pipeline.vault import Vault

NAME = "test"
HELP = "try all backends: write, read and remove a small value"
SIZE = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def run(vault: Vault, _: argparse.Namespace) -> int:
    """Print what each backend does; return 1 if one fails or files can't be placed."""
    wanted = [(backend, try_data) for backend in vault.backends.values()]
    wanted += [(backend, try_store) for backend in vault.config.stores]
    ends = vault.pool.run([partial(attempt, vault, backend) for backend, attempt in wanted])
    for (backend, _attempt), end in zip(wanted, ends, strict=True):
        fault = end.message if isinstance(end, BackendError) else "ok"
        sys.stdout.write(f"{backend.place}: {fault}\n")
    sys.stdout.flush()
    Places(vault, SIZE)
    return 1 if any(isinstance(end, BackendError) for end in ends) else 0


def try_data(vault: Vault, backend: Backend) -> None:
    """Write, read and remove a piece."""
    value = os.urandom(SIZE)
    key = vault.servers.add(backend, value)
    read_and_remove(vault, backend, key, value)


def try_store(vault: Vault, backend: Backend) -> None:
    """Write, read and remove a value under a key of its own."""
    value = os.urandom(SIZE)
    key = vault.metastore.entry_key("test", os.urandom(16).hex())
    vault.servers.put(backend, key, value)
    read_and_remove(vault, backend, key, value)


def read_and_remove(vault: Vault, backend: Backend, key: bytes, value: bytes) -> None:
    """Refuse a backend that gives back something else."""
    found = vault.servers.get(backend, key)
    vault.servers.delete(backend, key)
    if found != value:
        raise BackendError(f"{backend.place} gives back another value than was stored")
