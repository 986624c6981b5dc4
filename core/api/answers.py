"""What each call does. A function gets the node and the call's checked parameters."""

from collections.abc import Generator, Mapping
from typing import Any

from common.ipc.errors import IpcError
from core.api.node import Node
from core.api.support import make_bundle

Values = Mapping[str, Any]


def get_status(node: Node, _: Values) -> Any:
    """Return the node's state as a whole."""
    status = node.door("status")
    about = node.about()
    if about["problem"]:
        fault = {"code": "", "text": about["problem"], "since": about["since"]}
        status = {**status, "problems": [*status.get("problems", ()), fault]}
    return {**status, "identity": identity_of(node), "api": about}


def identity_of(node: Node) -> Any:
    """Return the node's names; the reason if they are not known."""
    try:
        return node.identity("describe")
    except IpcError as error:
        return {"node": None, "why": str(error)}


def get_services(node: Node, _: Values) -> Any:
    """Return the services."""
    return node.door("services.list")


def get_logs(node: Node, values: Values) -> Generator[Any]:
    """Return the log of all services."""
    return node.door_stream("services.logs", name=None, **values)


def get_service_logs(node: Node, values: Values) -> Generator[Any]:
    """Return the log of a service."""
    return node.door_stream("services.logs", **values)


def restart_service(node: Node, values: Values) -> Any:
    """Restart a service."""
    return node.door("services.restart", name=values["name"])


def get_network(node: Node, _: Values) -> Any:
    """Return the network's state, and the interfaces."""
    return {
        **node.door("status").get("network", {}),
        "interfaces": node.capacity("facts").get("interfaces", []),
    }


def get_storage(node: Node, _: Values) -> Any:
    """Return the disks, the cache, and what is taken."""
    facts = node.capacity("facts")
    parts = {name: sizes(facts.get(name)) for name in ("capacity", "used", "free")}
    return {"disks": facts.get("disks", []), "cache": node.door("status").get("cache"), **parts}


def sizes(resources: Any) -> dict[str, Any]:
    """Return the storage of the capacity: both classes of disks."""
    found = resources if isinstance(resources, Mapping) else {}
    return {name: found.get(name, 0) for name in ("sru", "hru")}


def get_capacity(node: Node, _: Values) -> Any:
    """Return what the machine has and how busy it is."""
    return {**node.capacity("facts"), "load": node.capacity("load")}


def get_versions(node: Node, _: Values) -> Any:
    """Return the release and its flists."""
    status = node.door("status")
    names = ("release", "boot_version", "run_mode", "generation", "update", "set")
    return {name: status.get(name) for name in names}


def get_update(node: Node, _: Values) -> Any:
    """Return what the channel holds."""
    return node.door("update.look")


def start_update(node: Node, values: Values) -> Any:
    """Start an update."""
    return node.door("update.apply", release=values["release"])


def roll_back(node: Node, _: Values) -> Any:
    """Go back to the release before."""
    return node.door("update.rollback")


def reboot(node: Node, values: Values) -> Any:
    """Restart the machine."""
    return node.door("power.reboot", kexec=values["kexec"])


def power_off(node: Node, _: Values) -> Any:
    """Switch the machine off."""
    return node.door("power.off")


def get_audit(node: Node, _: Values) -> Generator[Any]:
    """Return the audit log."""
    return node.audit.lines()


def get_support(node: Node, _: Values) -> Generator[bytes]:
    """Return the support bundle."""
    return make_bundle(node)
