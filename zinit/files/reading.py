"""Reading a service file: YAML text becomes a `Service`.

Upstream's keys, types and refusals are kept exactly: scalars are text, whatever they look like. A
duplicate key, a wrong type or an unknown signal refuses the whole file; an unknown key is ignored
(here with a warning). The keys that upstream does not have are all optional.
"""

from zinit.files import values
from zinit.files.nodes import ConfigError, Node
from zinit.files.plainyaml import parse_yaml
from zinit.files.service import KEYS, Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_MAPPINGS = ("signal",)  # unknown entries are ignored, as upstream does
NEEDED_ENTRIES = {"liveness": "test", "log": "file"}
# What a mapping under a key sets by itself, besides what its entries set.
IMPLIED = {"restart": ("restart_factor", 2.0), "log": ("log", "file")}


def index_keys() -> "tuple[dict[str, dict[str, str]], dict[str, dict[str, tuple[str, str]]]]":
    """Return two indexes of `KEYS`: for keys without a dot, and for the entries of mappings.

    The first has key -> attribute -> kind, the second key -> entry -> (attribute, kind).
    """
    whole: dict[str, dict[str, str]] = {}
    entries: dict[str, dict[str, tuple[str, str]]] = {}
    for path, attribute, kind, _, _ in KEYS:
        key, _, entry = path.partition(".")
        if entry:
            entries.setdefault(key, {})[entry] = (attribute, kind)
        else:
            whole.setdefault(key, {})[attribute] = kind
    return whole, entries


WHOLE, ENTRIES = index_keys()


def parse_service(name: str, text: str, override: str = "") -> tuple[Service, list[str]]:
    """Return the service that `text` describes, and warnings; raises `ConfigError`.

    `override` is a YAML text whose keys are set over those of `text` (see `override_entries`).
    Nothing but `ConfigError` is raised: an error that no reader expects costs this file only.
    """
    try:
        return read_service(name, text, override)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"cannot be read: {type(error).__name__}: {error}") from None


def read_service(name: str, text: str, override: str) -> tuple[Service, list[str]]:
    """Do the work of `parse_service`."""
    top = parse_yaml(text)
    entries = values.read_map(top)
    if override:
        entries = override_entries(entries, override)
    service = Service(name)
    warnings = []
    for key, node in entries.items():
        if key in ENTRIES and (key not in WHOLE or isinstance(node.value, dict)):
            read_mapping(service, key, node)
        elif key in WHOLE:
            for attribute, kind in WHOLE[key].items():
                setattr(service, attribute, find_reader(kind)(node))
        else:
            warnings.append(f"line {node.line}: unknown key {key!r} is ignored")
    if not service.exec:
        raise ConfigError("exec is missing or empty", top.line)
    return service, warnings


def override_entries(entries: "dict[str, Node]", text: str) -> "dict[str, Node]":
    """Return `entries` with those of an override: it adds to lists and replaces other values.

    A value that should be a list and is none stays, so that the file is refused for it. Errors in
    what the override sets have no line: a line means one of the file.
    """
    try:
        over = values.read_map(parse_yaml(text))
    except ConfigError as error:
        raise ConfigError(f"its override: {error}") from None
    merged = dict(entries)
    for key, node in over.items():
        own = merged.get(key)
        node.line = 0
        if own is None or not isinstance(node.value, list):
            merged[key] = node
        elif isinstance(own.value, list):
            merged[key] = Node([*own.value, *node.value], own.line)
    return merged


def read_mapping(service: Service, key: str, node: "Node") -> None:
    """Set the attributes that the entries of the mapping under `key` describe."""
    known = ENTRIES[key]
    is_open = key in OPEN_MAPPINGS
    entries = values.read_map(node) if is_open else values.read_known(node, tuple(known))
    needed = NEEDED_ENTRIES.get(key)
    if needed is not None and needed not in entries:
        raise ConfigError(f"{key} needs a {needed}", node.line)
    if key in IMPLIED:
        setattr(service, *IMPLIED[key])
    for entry, item in entries.items():
        if entry in known:
            attribute, kind = known[entry]
            setattr(service, attribute, find_reader(kind)(item))


def find_reader(kind: str) -> "Callable[[Node], object]":
    """Return the function that reads a value of `kind`; some are imported only when used."""
    reader = values.READERS.get(kind)
    if reader is None:
        from zinit.files import special

        reader = special.READERS[kind]
    return reader
