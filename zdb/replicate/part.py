"""A server as a replica: it refuses changes, follows its master, and can be promoted."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from zdb.commands.client import Client
from zdb.commands.command import Command
from zdb.commands.service import Role, Service
from zdb.errors import RefusedError
from zdb.protocol.requests import Request
from zdb.replicate.bridge import Bridge
from zdb.replicate.follower import Follower, Progress
from zdb.replicate.master import Master, make_context
from zdb.replicate.settings import ReplicaSettings, address_of
from zdb.serve.loop import Loop
from zdb.serve.run import Part
from zdb.storage import replica

CHANGES = (b"SET", b"SETX", b"DEL", b"FLUSH", b"NSNEW", b"NSDEL", b"NSSET", b"NSJUMP", b"RELOAD")


class Replica(Part, Role, Collector):
    """What `zos zdb replicate` adds to a server."""

    is_replica = True

    def __init__(self, settings: ReplicaSettings) -> None:
        self.settings = settings
        self._bridge = Bridge()
        self._kept: dict[bytes, Command] = {}
        self._service: Service | None = None
        self._loop: Loop | None = None
        self._follower: Follower | None = None

    def start(self, service: Service, loop: Loop) -> None:
        """Refuse changes and follow the master."""
        self._service, self._loop = service, loop
        service.role = self
        self._kept = {name: service.table[name] for name in CHANGES}
        service.table |= {name: Command(name, self._refuse) for name in CHANGES}
        loop.watch(self._bridge.reader.fileno(), self._bridge.work)
        wanted = self.settings
        self._follower = Follower(
            service.store,
            self._master,
            self._bridge,
            wanted.poll_seconds,
            wanted.resync,
            service.detach,
        )
        self._follower.start()

    def stop(self) -> None:
        """Follow no more."""
        if self._follower is not None:
            self._follower.stop()

    def _master(self) -> Master:
        host, port, is_tls = address_of(self.settings.master)
        context = make_context(self.settings.master_ca) if is_tls else None
        return Master(host, port, context, self.settings.master_password)

    def _refuse(self, service: Service, client: Client, request: Request) -> bytes:
        del service, client, request
        raise RefusedError(f"READONLY This is a replica of {self.settings.master}")

    @property
    def progress(self) -> Progress:
        """Return how far the replica is."""
        return self._follower.progress if self._follower is not None else Progress()

    def status(self) -> list[str]:
        """Return what REPLICA STATUS says."""
        if self._follower is None:
            return ["role: master"]
        progress = self.progress
        return [
            "role: replica",
            f"master: {self.settings.master}",
            f"connected: {'yes' if progress.is_connected else 'no'}",
            f"lag_bytes: {progress.behind}",
            f"lag_seconds: {progress.lag_s:.3f}",
            f"diverged: {' '.join(sorted(progress.diverged))}",
            f"error: {progress.error}",
        ]

    def promote(self) -> None:
        """Be a server of its own from now on."""
        service, loop, follower = self._service, self._loop, self._follower
        if follower is None or service is None or loop is None:
            raise RefusedError("This server is not a replica")
        loop.forget(self._bridge.reader.fileno())
        follower.stop()
        self._follower = None
        replica.promote(service.store.index)
        service.table |= self._kept
        service.log(f"replica: promoted; {self.settings.master} is followed no more")

    def collectors(self) -> list[Collector]:
        """Return the metrics of a replica."""
        return [self]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        progress, is_replica = self.progress, self._follower is not None
        for name, text, value in (
            ("is_replica", "1 while a master is followed", is_replica),
            ("connected", "1 while the master answers", progress.is_connected),
            ("lag_bytes", "Bytes of data that only the master has", progress.behind),
            ("lag_seconds", "For how long something has been missing", progress.lag_s),
            ("diverged", "Namespaces that are not what the master has", len(progress.diverged)),
        ):
            yield GaugeMetricFamily(f"zdb_replica_{name}", text, value=float(value))
        for name, text, count in (
            ("copied_bytes", "Bytes of data that were copied", progress.copied),
            ("failures", "Times the master was lost, or could not be followed", progress.failures),
        ):
            yield CounterMetricFamily(f"zdb_replica_{name}", text, value=count)
