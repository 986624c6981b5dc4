"""The description that `rpc.discover` returns: OpenRPC, as text."""

import json

KINDS = {"content": "object", "subscription": "integer"}
NOTES = {
    "service_list": "All services with their states",
    "service_status": "One service: name, pid, state, target, after",
    "service_start": "Want a service up",
    "service_stop": "Want a service down; answers when it is",
    "service_forget": "Drop a service that is down",
    "service_monitor": "Load a service file and start the service",
    "service_kill": "Send a signal, by its full name",
    "service_create": "Write a service file",
    "service_delete": "Remove a service file",
    "service_get": "Read a service file",
    "service_stats": "Memory and processor use",
    "system_shutdown": "Stop everything and power off",
    "system_reboot": "Stop everything and reboot",
    "system_start_http_server": "Serve this interface over HTTP on loopback, with a token",
    "system_stop_http_server": "End that",
    "stream_currentLogs": "The log as it is",
    "stream_subscribeLogs": "Log lines as they come",
    "stream_unsubscribeLogs": "End a subscription",
    "rpc.discover": "This description",
}


def describe_methods(methods: dict[str, str]) -> str:
    """Return the document for `methods`, a mapping from name to parameter names."""
    entries = [
        {
            "name": name,
            "description": NOTES.get(name, ""),
            "params": [describe_parameter(word) for word in names.split()],
            "result": {"name": "result", "schema": {}},
        }
        for name, names in methods.items()
    ]
    info = {"title": "Zinit JSON-RPC API", "version": "1.0.0"}
    return json.dumps({"openrpc": "1.2.6", "info": info, "methods": entries})


def describe_parameter(word: str) -> "dict[str, object]":
    """Return one parameter; `name?` may be missing."""
    name = word.rstrip("?")
    schema = {"type": KINDS.get(name, "string")}
    return {"name": name, "required": not word.endswith("?"), "schema": schema}
