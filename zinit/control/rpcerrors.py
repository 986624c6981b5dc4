"""The errors of the JSON-RPC interface: upstream's codes, names, actions and hints."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.life.unit import CommandError

ACTIONS = {
    "service_status": "getting status",
    "service_start": "starting service",
    "service_stop": "stopping service",
    "service_forget": "forgetting service",
    "service_monitor": "monitoring service",
    "service_kill": "sending signal",
    "service_stats": "getting stats",
    "system_shutdown": "shutting down",
    "system_reboot": "rebooting",
}
# kind of CommandError: code, code_name, what is said of the service, retryable, hint
KINDS = {
    "unknown": (
        -32000,
        "ServiceNotFound",
        "not found",
        False,
        "Ensure the service is monitored or the name is correct",
    ),
    "monitored": (
        -32001,
        "ServiceAlreadyMonitored",
        "already monitored",
        True,
        "The service is already monitored; call service_forget or control it with start/stop",
    ),
    "up": (
        -32002,
        "ServiceIsUp",
        "is up",
        False,
        "Service is already up; use service_stop or restart",
    ),
    "down": (
        -32003,
        "ServiceIsDown",
        "is down",
        True,
        "Service is down; start it before sending signals or requesting stats",
    ),
    "shutdown": (
        -32006,
        "ShuttingDown",
        "refused: zinit is shutting down",
        False,
        "The system is shutting down",
    ),
}


class RpcError(Exception):
    """An error reply."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def explain(error: "CommandError", method: str, name: str) -> RpcError:
    """Return a refused command as the reply that upstream gives."""
    action = ACTIONS.get(method, method)
    if error.kind == "signal":
        return explain_signal(error.value)
    if error.kind == "http":
        return RpcError(-32602, str(error), {"code_name": "InvalidParams", "action": action})
    if error.kind == "config":
        data = {
            "action": "loading service config",
            "code_name": "ConfigError",
            "hint": "Verify the YAML file exists and is valid",
            "service": name,
        }
        return RpcError(-32005, f"{action}: failed to load '{name}.yaml'", data)
    code, code_name, what, is_retryable, hint = KINDS[error.kind]
    fields: dict[str, object] = {
        "action": action,
        "cause_chain": None,
        "code_name": code_name,
        "hint": hint,
        "retryable": is_retryable,
        "service": name,
    }
    return RpcError(code, f"{action}: service '{name}' {what}", fields)


def explain_signal(signal: str) -> RpcError:
    """Return the reply for a signal that is none."""
    data = {
        "action": "parsing signal",
        "code_name": "InvalidSignal",
        "hint": "Use a valid POSIX signal like SIGTERM or SIGKILL",
        "signal": signal,
    }
    return RpcError(-32004, f"parsing signal: invalid signal '{signal}'", data)
