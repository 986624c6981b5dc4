"""The pages about codes, options and kernel parameters list what there is, in the code's words."""

from bootstrap_server.options.parameters import PARAMETERS, REFUSED
from bootstrap_server.options.parse import FIELDS
from bootstrap_server.script.compose import TOLD
from common.bootcodes import CODES
from tests.helpers.checkout import TOP

DOCS = TOP / "docs"


def make_table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def tables() -> dict[str, list[str]]:
    """Return the tables of each page."""
    head = ("code", "the screen says", "what to do")
    groups = [
        [code for code in CODES if code.startswith(start)] for start in ("ZB1", "ZB2", "ZB3", "ZB4")
    ]
    codes = [
        make_table(head, [(f"`{code}`", CODES[code].wrong, CODES[code].todo) for code in group])
        for group in groups
    ]
    fields = [(f"`{name}`", field.what, f"`{field.example}`") for name, field in FIELDS.items()]
    parameters = [
        (f"`{name}`", parameter.reader, parameter.what, parameter.form, f"`{parameter.example}`")
        for name, parameter in PARAMETERS.items()
    ]
    return {
        "bootcodes.md": codes,
        "parameters.md": [
            make_table(("name", "what it is", "example"), fields),
            make_table(("name", "read by", "what it does", "value", "example"), parameters),
            make_table(
                ("name", "because it"), [(f"`{name}`", why) for name, why in REFUSED.items()]
            ),
        ],
    }


def test_the_pages_have_the_tables() -> None:
    for page, expected in tables().items():
        text = (DOCS / page).read_text()
        for table in expected:
            assert table in text, f"docs/{page} needs this table:\n{table}"


def test_the_pages_have_no_other_rows() -> None:
    for page, expected in tables().items():
        rows = [line for line in (DOCS / page).read_text().splitlines() if line.startswith("|")]
        assert len(rows) == sum(table.count("\n") for table in expected)


def test_the_codes_of_scripts_are_those_before_the_node() -> None:
    assert set(TOLD) == {code for code in CODES if code[2] in "123"}
