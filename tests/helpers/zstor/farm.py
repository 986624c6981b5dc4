"""A zdb server with data and metadata namespaces, and configurations for them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.zdb.served import serving
from zstor.backends.connection import Patience
from zstor.backends.pool import Pool
from zstor.backends.zdb import Servers
from zstor.config import Config, parse_config
from zstor.model import Backend, Place
from zstor.pipeline.vault import Vault

KEY = "ab" * 32
META_KEY = "cd" * 32
PASSWORD = "dpw"
PATIENCE = Patience(connect_s=10, answer_s=20, rest_s=0.5)


class Farm:
    """A server with data namespaces d0, d1, … and metadata namespaces m0, m1, …"""

    def __init__(self, port: int, servers: Servers) -> None:
        self.port = port
        self.servers = servers
        self.root = Backend(Place("127.0.0.1", port))
        self.plain: set[str] = set()

    def make(self, name: str, mode: str, **settings: str) -> Backend:
        """Make a namespace, in place of an older one."""
        self.plain.discard(name)
        self.servers.pool.call(self.root, "NSDEL", name)
        self.ask("NSNEW", name)
        self.set(name, mode=mode, **({"password": PASSWORD} | settings))
        backend = self.backend(name)
        self.servers.pool.forget(backend)
        return backend

    def set(self, name: str, **settings: str) -> None:
        """Change settings of a namespace; it is made anew for the next test."""
        self.plain.discard(name)
        for key, value in settings.items():
            if value:
                self.ask("NSSET", name, key, value)

    def ask(self, *words: str) -> None:
        """Let an administrator do something."""
        assert self.servers.pool.call(self.root, *words) == b"OK", words

    def backend(self, name: str) -> Backend:
        """Return a namespace's backend."""
        return Backend(Place("127.0.0.1", self.port, name), PASSWORD)

    @contextlib.contextmanager
    def down(self, *names: str) -> Iterator[None]:
        """Let namespaces refuse everything for a while."""
        for name in names:
            self.ask("NSSET", name, "freeze", "1")
        try:
            yield
        finally:
            for name in names:
                self.ask("NSSET", name, "freeze", "0")

    def entries(self, name: str) -> dict[bytes, bytes]:
        """Return the keys and values of a namespace."""
        backend = self.backend(name)
        keys = [entry.key for entry in self.servers.scan(backend)]
        return {key: self.servers.get(backend, key) or b"" for key in keys}

    def wipe(self, *names: str) -> None:
        """Remove all that is in these namespaces."""
        for name in names:
            for key in self.entries(name):
                self.servers.delete(self.backend(name), key)

    def flip(self, *names: str) -> None:
        """Change a bit in each value of these namespaces."""
        for name in names:
            for key, value in self.entries(name).items():
                changed = value[:-1] + bytes([value[-1] ^ 1])
                self.servers.put(self.backend(name), key, changed)

    def table(self, name: str) -> str:
        """Return a backend's TOML."""
        address = f'address = "127.0.0.1:{self.port}"'
        return f'{{ {address}, namespace = "{name}", password = "{PASSWORD}" }}'

    def text(self, k: int, n: int, groups: list[int], meta: int = 3, **more: str) -> str:
        """Return the TOML of k of n shards over groups of namespaces."""
        top = {"redundant_groups": "0", "redundant_nodes": "0"} | more
        compression = top.pop("compression", "zstd")
        encryption = top.pop("encryption", f'algorithm = "AES", key = "{KEY}"')
        lines = [f"minimal_shards = {k}", f"expected_shards = {n}"]
        lines += [f"{key} = {value}" for key, value in top.items()]
        lines += [f"encryption = {{ {encryption} }}"]
        lines += [f'compression = {{ algorithm = "{compression}" }}', '[meta]\ntype = "zdb"']
        lines += ['[meta.config]\nprefix = "gold"']
        lines += [f'encryption = {{ algorithm = "AES", key = "{META_KEY}" }}']
        lines += [f"backends = [{', '.join(self.table(f'm{i}') for i in range(meta))}]"]
        start = 0
        for size in groups:
            names = [f"d{i}" for i in range(start, start + size)]
            lines += ["[[groups]]", f"backends = [{', '.join(map(self.table, names))}]"]
            start += size
        return "\n".join(lines) + "\n"

    def config(self, k: int, n: int, groups: list[int], meta: int = 3, **more: str) -> Config:
        """Return such a configuration."""
        return parse_config(self.text(k, n, groups, meta, **more))

    @contextlib.contextmanager
    def vault(self, config: Config) -> Iterator[Vault]:
        """Open a vault."""
        with Vault(config, PATIENCE) as vault:
            yield vault

    def pieces(self, count: int) -> list[int]:
        """Return how many entries each of the data namespaces has."""
        return [len(self.entries(f"d{i}")) for i in range(count)]

    def remake(self, data: int, meta: int) -> None:
        """Make all namespaces, or empty those that are as they were made here."""
        wanted = {f"d{i}": "seq" for i in range(data)} | {f"m{i}": "user" for i in range(meta)}
        for name, mode in wanted.items():
            if name in self.plain:
                self.wipe(name)
            else:
                self.make(name, mode)
                self.plain.add(name)


@contextlib.contextmanager
def farm(folder: Path) -> Iterator[Farm]:
    """Run a server."""
    with serving(folder, "--sync", "never") as served, Pool(PATIENCE) as pool:
        yield Farm(served.port, Servers(pool))


def write_file(folder: Path, content: bytes, name: str = "file") -> Path:
    """Write a file to store."""
    path = folder / name
    path.write_bytes(content)
    return path
