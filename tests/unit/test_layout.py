"""The size of files and folders: a stranger finds any behaviour in two steps."""

from collections import Counter
from pathlib import Path

from tests.helpers.checkout import TOP
from tests.helpers.sources import PACKAGES, source_files

MAX_LINES = 400
MAX_FILES = 22
VERBS = {"flist/commands", "image/commands"}  # one module per verb, as many as there are


def test_no_file_is_longer_than_a_person_reads_in_one_go() -> None:
    long = {
        str(path.relative_to(TOP)): lines
        for path in source_files(*PACKAGES, "bench", "tests")
        if (lines := len(path.read_text().splitlines())) > MAX_LINES
    }
    assert long == {}


def test_no_folder_has_more_files_than_a_person_overlooks() -> None:
    files = source_files(*PACKAGES, "bench", "tests")
    counts = Counter(path.parent.relative_to(TOP) for path in files if path.name != "__init__.py")
    crowded = {str(folder): n for folder, n in counts.items() if n > MAX_FILES}
    assert {folder: n for folder, n in crowded.items() if folder not in VERBS} == {}


def test_every_package_says_what_is_in_it() -> None:
    for path in source_files(*PACKAGES):
        if path.name == "__init__.py":
            assert path.read_text().startswith('"""'), f"{path} has no docstring"


def test_unit_tests_lie_where_their_modules_lie() -> None:
    top = TOP / "tests" / "unit"
    for path in source_files("tests/unit"):
        room = path.parent.relative_to(top)
        assert (TOP / room).is_dir() or room == Path(), f"{path} tests no folder of the project"
