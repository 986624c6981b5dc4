"""The table of nodes as CSV: one row per node, one column per name and option.

The first line names the columns, in any order. Spreadsheets of some countries write semicolons, and
some begin with a byte order mark. Several values of one option are separated by spaces.
"""

import csv
import io
from collections.abc import Callable, Iterable
from typing import NamedTuple

from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.nodes.identity import Identity, parse_identity
from bootstrap_server.nodes.table import Node, NodeTable, RowsError
from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import FIELDS, parse_pairs

NAMES = ("mac", "uuid", "serial")
COLUMNS = (*NAMES, *FIELDS)
ROWS_MAX = 50_000
ERRORS_SHOWN = 20

Check = Callable[[Options], None]


class Row(NamedTuple):
    """One node of a file, and the line that it ends on."""

    line: int
    identity: Identity
    options: Options


class Faults:
    """Collects what is wrong with a file, by line."""

    def __init__(self) -> None:
        self.count = 0
        self.said: list[str] = []

    def add(self, line: int, what: str) -> None:
        """Note a fault."""
        self.count += 1
        if self.count <= ERRORS_SHOWN:
            self.said.append(f"line {line}: {what}")

    @property
    def error(self) -> InputError:
        """Return the error that names them."""
        rest = [f"and {self.count - ERRORS_SHOWN} more"] if self.count > ERRORS_SHOWN else []
        return InputError("file", "nothing was imported: " + "; ".join([*self.said, *rest]))


def import_sheet(table: NodeTable, data: bytes, check: Check, who: str) -> tuple[int, int]:
    """Put all nodes of a CSV file into the table, or none; return how many were new and changed.

    `check` raises for options that the server gives nobody. Raises `InputError` that names each
    wrong line.
    """
    rows = parse_sheet(data, check)
    try:
        return table.put_all([(row.identity, row.options) for row in rows], who)
    except RowsError as error:
        faults = Faults()
        for place, what in error.faults:
            faults.add(rows[place].line, what)
        raise faults.error from error


def parse_sheet(data: bytes, check: Check) -> list[Row]:
    """Return the nodes of a CSV file. Raises `InputError`."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("file", "the file is not UTF-8") from error
    head = text.partition("\n")[0]
    mark = ";" if ";" in head and "," not in head else ","
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    faults = Faults()
    found: list[Row] = []
    try:
        columns = check_columns(next(rows, []))
        for cells in rows:
            if not any(cells):
                continue
            if len(found) >= ROWS_MAX:
                raise InputError("file", f"more than {ROWS_MAX} nodes")
            try:
                found.append(Row(rows.line_num, *parse_row(columns, cells, check)))
            except (InputError, NotThereError) as error:
                faults.add(rows.line_num, error.message)
    except csv.Error as error:
        faults.add(rows.line_num, str(error))
    check_doubles(found, faults)
    if faults.count:
        raise faults.error
    return found


def check_columns(cells: list[str]) -> list[str]:
    """Return the names of the columns. Raises `InputError`."""
    columns = [cell.strip().lower() for cell in cells]
    wrong = [name for name in columns if name not in COLUMNS]
    what = ""
    if wrong:
        what = f"there is no column {wrong[0][:80]!r}"
    elif len(set(columns)) < len(columns):
        what = "a column is there twice"
    elif not set(NAMES) & set(columns) or "runmode" not in columns:
        what = "a column mac, uuid or serial is needed, and runmode"
    if what:
        hint = "the columns are " + ", ".join(COLUMNS)
        raise InputError("file", f"nothing was imported: line 1: {what}", hint=hint)
    return columns


def parse_row(columns: list[str], cells: list[str], check: Check) -> tuple[Identity, Options]:
    """Return what one row says."""
    if len(cells) != len(columns):
        raise InputError("file", f"{len(cells)} values for {len(columns)} columns")
    pairs = [(name, cell.strip()) for name, cell in zip(columns, cells, strict=True)]
    identity = parse_identity(**{name: cell for name, cell in pairs if name in NAMES})
    if not identity.names:
        raise InputError("file", "no name that only one machine has")
    options = parse_pairs((name, cell) for name, cell in pairs if name not in NAMES)
    check(options)
    return identity, options


def check_doubles(rows: Iterable[Row], faults: Faults) -> None:
    """Note each row that has a name of an earlier one."""
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        for name in row.identity.names.items():
            first = seen.setdefault(name, row.line)
            if first != row.line:
                faults.add(row.line, f"{name[0]} {name[1]} is in line {first} already")


def render_sheet(nodes: Iterable[Node]) -> str:
    """Return the nodes that have options as CSV, which `parse_sheet` takes."""
    text = io.StringIO(newline="")
    rows = csv.DictWriter(text, COLUMNS, restval="")
    rows.writeheader()
    for node in nodes:
        if node.options is not None:
            cells = {
                name: " ".join(value) if isinstance(value, list) else value
                for name, value in node.options.as_mapping().items()
            }
            rows.writerow(node.identity.names | cells)
    return text.getvalue()
