"""The errors of the JSON-RPC interface: upstream's codes, names, messages and hints."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.life.unit import CommandError

# Errors about a service. Kind of CommandError:
# code, code_name, the message after "service 'NAME'" (for a shutdown all of it), whether to retry,
# hint
SERVICE_KINDS = {
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
        "system is shutting down",
        False,
        "Wait for shutdown to complete or avoid mutating operations during shutdown",
    ),
}
# What upstream says it was doing with a service's file, by the method's action.
FILE_ACTIONS = {
    "creating service": "creating service file",
    "deleting service": "deleting service file",
    "getting service": "reading service file",
}
# Errors about a service file. Kind: code, code_name, hint
FILE_KINDS = {
    "absent": (-32000, "ServiceNotFound", "Ensure the service file exists"),
    "exists": (
        -32007,
        "ServiceAlreadyExists",
        "Use a different name or delete the existing service first",
    ),
}
GENERAL_HINT = "Enable verbose logs and inspect cause_chain for details"
# Errors that upstream does not have. Kind: code, code_name, hint
OWN_KINDS = {
    "stopped": (-32020, "ServiceStopped", "Another command stopped the service; start it again"),
    "stuck": (-32021, "ServiceStuck", "The kernel cannot end the process now; a disk may hang"),
    "failed": (-32022, "ServiceFailed", "The log of zinit says why"),
    "reload": (-32023, "CannotReload", "Set the service's reload key, or restart the service"),
    "folder": (-32024, "FolderError", "Check the service folder"),
}


class RpcError(Exception):
    """An error reply."""

    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


def explain(error: "CommandError", action: str, name: str) -> RpcError:
    """Return the reply for a command that was refused while doing `action` with `name`."""
    kind = error.kind
    if kind == "signal":
        return explain_signal(error.value)
    if kind == "http":
        fields = list_fields(action, "InternalError", GENERAL_HINT, False, None)
        return RpcError(-32603, f"{action}: {error}", fields)
    if kind == "config":
        return explain_config(action, name)
    if kind == "name":
        hint = "Name must not contain '/', '\\\\' or '.'"
        return describe(-32602, "InvalidServiceName", hint, f"{action}: {error}", action, name)
    if kind == "file":
        return explain_file(error, action, name)
    if kind == "invalid":
        return explain_yaml(error, action, name)
    if kind in FILE_KINDS:
        return describe(*FILE_KINDS[kind], f"{action}: {error}", FILE_ACTIONS[action], name)
    if kind in OWN_KINDS:
        return describe(*OWN_KINDS[kind], f"{action}: {error}", action, name)
    code, code_name, what, is_retryable, hint = SERVICE_KINDS[kind]
    fields = list_fields(action, code_name, hint, is_retryable, name or None)
    subject = "" if kind == "shutdown" else f"service '{name}' "
    return RpcError(code, f"{action}: {subject}{what}", fields)


def list_fields(
    action: str, code_name: str, hint: str, is_retryable: bool, service: str | None
) -> "dict[str, object]":
    """Return the data of an error as upstream's daemon gives them for its own errors."""
    return {
        "action": action,
        "cause_chain": None,
        "code_name": code_name,
        "hint": hint,
        "retryable": is_retryable,
        "service": service,
    }


def describe(
    code: int, code_name: str, hint: str, message: str, action: str, name: str
) -> RpcError:
    """Return an error whose data are action, code_name, hint and service."""
    data = {"action": action, "code_name": code_name, "hint": hint, "service": name}
    return RpcError(code, message, data)


def explain_file(error: "CommandError", action: str, name: str) -> RpcError:
    """Return the reply for a file that cannot be written, read or removed.

    Upstream's message does not tell the system's reason; it is in `cause_chain`.
    """
    doing = FILE_ACTIONS[action]
    verb = doing.partition("ing ")[0].replace("creat", "create").replace("delet", "delete")
    hint = "Check permissions and filesystem availability"
    message = f"{doing}: failed to {verb} service file"
    refusal = describe(-32008, "ServiceFileError", hint, message, doing, name)
    return add_cause(refusal, error)


def explain_yaml(error: "CommandError", action: str, name: str) -> RpcError:
    """Return the reply for a service file that is no YAML."""
    message = f"{action}: failed to parse YAML"
    hint = "Ensure the YAML is valid"
    refusal = describe(-32005, "ConfigError", hint, message, "parsing service file", name)
    return add_cause(refusal, error)


def add_cause(refusal: RpcError, error: "CommandError") -> RpcError:
    """Add the reason, which upstream leaves out, to the data of an error."""
    assert isinstance(refusal.data, dict)
    refusal.data["cause_chain"] = [str(error)]
    return refusal


def explain_config(action: str, name: str) -> RpcError:
    """Return the reply for a service file that cannot be loaded."""
    message = f"{action}: failed to load '{name}.yaml'"
    hint = "Verify the YAML file exists and is valid"
    return describe(-32005, "ConfigError", hint, message, "loading service config", name)


def explain_signal(signal: str) -> RpcError:
    """Return the reply for an unknown signal."""
    data = {
        "action": "parsing signal",
        "code_name": "InvalidSignal",
        "hint": "Use a valid POSIX signal like SIGTERM or SIGKILL",
        "signal": signal,
    }
    return RpcError(-32004, f"parsing signal: invalid signal '{signal}'", data)
