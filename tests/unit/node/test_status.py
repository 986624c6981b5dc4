"""What a node says about itself while it changes."""

from node.flists.model import CORE, Flist, Wanted
from node.flists.part import Part
from node.flists.prepare import Preparer
from node.model import BootParameters
from node.problems import Problems
from node.report import MachineNames, Reporter
from node.status import Status
from node.trying import Trying
from zinit.client.line import Client

PARAMETERS = BootParameters("dev", 7, ("http://hub",))
FLIST = Flist(CORE, "core", "ab" * 32)


class Vanishing(Part):
    """A part whose mount ends between two looks at it."""

    looks = 0

    @property
    def flist(self) -> Flist | None:
        self.looks += 1
        return FLIST if self.looks == 1 else None

    @flist.setter
    def flist(self, value: Flist | None) -> None:
        pass


def test_a_part_that_goes_down_meanwhile_is_shown_or_not() -> None:
    status = Status(PARAMETERS, Problems(), [])
    trying = Trying(Reporter(PARAMETERS, MachineNames("", "", ""), "1.0"), status.problems)
    preparer = Preparer(PARAMETERS)
    wanted = Wanted(CORE, "core")
    status.parts = [Vanishing(Client(), wanted, preparer, trying, lambda *_: None)]
    row = {"role": CORE, "name": "core", "sha256": "ab" * 32, "version": ""}
    assert [status.rows()["set"], status.rows()["set"]] == [[row], []]
