"""The JSON-RPC methods about service files; their names come from clients, so they are checked."""

import os

from zinit.files.nodes import ConfigError, Node
from zinit.files.plainyaml import parse_yaml
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.control.api import Api


def check_name(name: str) -> None:
    """Refuse names that cannot be the stem of a service file."""
    if not name or not name.isprintable() or any(char in name for char in "/\\."):
        raise CommandError("name", f"invalid service name '{name}'")


def monitor(api: "Api", name: str) -> None:
    """Load a service file and start the service."""
    check_name(name)
    api.monitor(name)


def create(api: "Api", name: str, content: "dict[str, object]") -> str:
    """Write a new service file; nothing is started."""
    import yaml

    check_name(name)
    path = api.folder.file_of(name)
    if os.path.exists(path):
        raise CommandError("exists", f"Service '{name}' already exists")
    draft = f"{api.folder.path}/.{name}.draft"
    try:
        with open(draft, "w", encoding="utf-8") as stream:
            stream.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        os.replace(draft, path)
    except OSError as error:
        remove_draft(draft)
        raise CommandError("file", str(error)) from None
    return f"Service '{name}' created successfully"


def remove_draft(path: str) -> None:
    """Remove what was written of a file: on a full disk it would take the room of the next."""
    try:
        os.unlink(path)
    except OSError:
        pass  # it was not even made


def delete(api: "Api", name: str) -> str:
    """Remove a service file; a running service goes on."""
    check_name(name)
    try:
        os.unlink(api.folder.file_of(name))
    except OSError as error:
        raise refuse_file(name, error) from None
    return f"Service '{name}' deleted successfully"


def get(api: "Api", name: str) -> object:
    """Return the content of a service file as an object, unchecked."""
    check_name(name)
    try:
        return to_plain(parse_yaml(api.folder.read_text(name)))
    except OSError as error:
        raise refuse_file(name, error) from None
    except ConfigError as error:
        raise CommandError("invalid", str(error)) from None


def refuse_file(name: str, error: OSError) -> CommandError:
    """Return the error for a file that is missing or cannot be read or removed."""
    if isinstance(error, FileNotFoundError):
        return CommandError("absent", f"Service '{name}' not found")
    return CommandError("file", str(error))


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
    except ValueError:  # not a number, or one with thousands of digits
        return text
