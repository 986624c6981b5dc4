"""The JSON-RPC methods that read and write service files (and nothing else: no monitoring)."""

import os

from zinit.control.rpcerrors import RpcError
from zinit.files.nodes import ConfigError, Node
from zinit.files.plainyaml import parse_yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.commands import Api


def check_name(name: str, action: str) -> None:
    """Refuse names that are no file stem."""
    if name and name.isprintable() and not any(char in name for char in "/\\."):
        return
    data = {
        "action": action,
        "code_name": "InvalidServiceName",
        "hint": "Name must not contain '/', '\\\\' or '.'",
        "service": name,
    }
    raise RpcError(-32602, f"{action}: invalid service name '{name}'", data)


def fail(code: int, code_name: str, action: str, text: str, name: str, hint: str) -> RpcError:
    """Return an error about a service file."""
    data = {"action": f"{action} file", "code_name": code_name, "hint": hint, "service": name}
    return RpcError(code, f"{action}: {text}", data)


def create(api: "Api", name: str, content: "dict[str, object]") -> str:
    """Write a new service file."""
    import yaml

    action = "creating service"
    check_name(name, action)
    path = api.folder.file_of(name)
    if os.path.exists(path):
        hint = "Use a different name or delete the existing service first"
        text = f"Service '{name}' already exists"
        raise fail(-32007, "ServiceAlreadyExists", action, text, name, hint)
    draft = f"{api.folder.path}/.{name}.draft"
    try:
        with open(draft, "w", encoding="utf-8") as stream:
            stream.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        os.replace(draft, path)
    except OSError as error:
        hint = "Check permissions and free space of the service folder"
        raise fail(-32008, "ServiceFileError", action, str(error), name, hint) from None
    return f"Service '{name}' created successfully"


def delete(api: "Api", name: str) -> str:
    """Remove a service file."""
    action = "deleting service"
    check_name(name, action)
    try:
        os.unlink(api.folder.file_of(name))
    except OSError as error:
        raise missing(action, name, error) from None
    return f"Service '{name}' deleted successfully"


def get(api: "Api", name: str) -> object:
    """Return a service file as an object, unchecked."""
    action = "getting service"
    check_name(name, action)
    try:
        return to_plain(parse_yaml(api.folder.read_text(name)))
    except OSError as error:
        raise missing(action, name, error) from None
    except ConfigError as error:
        hint = "Verify the YAML file is valid"
        raise fail(-32008, "ServiceFileError", action, str(error), name, hint) from None


def missing(action: str, name: str, error: Exception) -> RpcError:
    """Return the error for a file that is not there or can't be read."""
    if isinstance(error, FileNotFoundError):
        hint = "Ensure the service exists"
        return fail(-32000, "ServiceNotFound", action, f"Service '{name}' not found", name, hint)
    return fail(-32008, "ServiceFileError", action, str(error), name, "Check the file")


def to_plain(node: Node) -> object:
    """Return a node as JSON's types."""
    if isinstance(node.value, list):
        return [to_plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: to_plain(item) for key, item in node.value.items()}
    text = node.value
    if not node.is_plain:
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "~", "null"):
        return None
    try:
        return int(text) if text.isascii() and "_" not in text else text
    except ValueError:  # no number, or one of thousands of digits
        return text
