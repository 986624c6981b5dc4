"""OpenStack Swift with its S3 gate in one process: `python3 swift_stack.py FOLDER PORT`.

Runs with Debian's Python and `python3-swift`, not in our virtual environment. FOLDER holds the
rings and the data, so they survive a restart. There is one replica on one device, and everything
listens on the loopback only. The account is `farm`, its user `hub`, and the key is `hub+secret/1`:
the access key of S3 is `farm:hub`.

The time-outs between its parts are long: with the default, a part that takes half a second counts
as failed, and a listing then lacks a new object.
"""

import sys
from pathlib import Path
from typing import Any

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from paste.deploy import loadapp  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

STORAGE = """
[app:main]
use = egg:swift#{kind}
devices = {folder}/data
mount_check = false
swift_dir = {folder}
recon_cache_path = {folder}/recon
fallocate_reserve = 0
log_address = {folder}/no-log
conn_timeout = 60
node_timeout = 60
container_update_timeout = 60
"""
PROXY = """
[pipeline:main]
pipeline = catch_errors listing_formats s3api tempauth proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 60
node_timeout = 60
error_suppression_limit = 1000000
swift_dir = {folder}
log_address = {folder}/no-log
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:s3api]
use = egg:swift#s3api
location = here
check_bucket_owner = true
[filter:tempauth]
use = egg:swift#tempauth
user_farm_hub = hub+secret/1 .admin
"""


class Memory:
    """Stands in for memcached: logins and the places of containers, for this process only."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def get(self, key: str, **_words: Any) -> Any:
        """Return a value, or None."""
        return self.values.get(key)

    def set(self, key: str, value: Any, **_words: Any) -> None:
        """Set a value; a time limit is ignored."""
        self.values[key] = value

    def delete(self, key: str, **_words: Any) -> None:
        """Remove a value."""
        self.values.pop(key, None)


def start_storage(folder: Path, kind: str) -> None:
    """Serve accounts, containers or objects, and write the ring with the address."""
    listener = eventlet.listen(("127.0.0.1", 0))
    config = folder / f"{kind}.conf"
    config.write_text(STORAGE.format(folder=folder, kind=kind))
    serve(listener, config)
    builder = RingBuilder(2, 1, 0)
    builder.add_dev(
        {
            "id": 0,
            "region": 1,
            "zone": 1,
            "ip": "127.0.0.1",
            "port": listener.getsockname()[1],
            "device": "disk",
            "weight": 1.0,
        }
    )
    builder.rebalance()
    builder.get_ring().save(str(folder / f"{kind}.ring.gz"))


def serve(listener: eventlet.greenio.GreenSocket, config: Path) -> None:
    """Serve the application that `config` describes."""
    app = loadapp(f"config:{config}")
    memory = Memory()

    def remembering(env: dict[str, Any], start: Any) -> Any:
        return app({**env, "swift.cache": memory}, start)

    eventlet.spawn(wsgi.server, listener, remembering, log_output=False)


def main(folder: Path, port: int) -> None:
    """Serve until the process is killed."""
    utils.HASH_PATH_SUFFIX = b"of the tests"
    utils.validate_hash_conf = lambda: None
    (folder / "data" / "disk").mkdir(parents=True, exist_ok=True)
    (folder / "recon").mkdir(exist_ok=True)
    for kind in ("account", "container", "object"):
        start_storage(folder, kind)
    config = folder / "proxy.conf"
    config.write_text(PROXY.format(folder=folder))
    serve(eventlet.listen(("127.0.0.1", port)), config)
    while True:
        eventlet.sleep(3600)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
