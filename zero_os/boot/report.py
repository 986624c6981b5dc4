"""The report of `zos boot`: a JSON object for programs, a table for people."""

import json
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from zero_os.boot.timeline import Timeline

MIB = 1024 * 1024


@dataclass(frozen=True)
class Report:
    """The facts of one boot; sizes in bytes."""

    farm: int
    firmware: str
    acceleration: str
    timeline: Timeline
    kernel_bytes: int  # kernel and initramfs, from the bootstrap server
    flist_bytes: int  # all files in the flist
    fetched_bytes: int  # the flist itself and the blocks, from the hub
    blocks_fetched: int
    answer: str

    def as_json(self) -> str:
        """Return one JSON object on one line."""
        timeline = {stage: round(at_s, 3) for stage, at_s, _ in self.timeline.rows()}
        return json.dumps(
            {
                "farm": self.farm,
                "firmware": self.firmware,
                "acceleration": self.acceleration,
                "timeline": timeline,
                "reported": {name: round(at_s, 3) for name, at_s in self.timeline.reported.items()},
                "kernel_bytes": self.kernel_bytes,
                "flist_bytes": self.flist_bytes,
                "fetched_bytes": self.fetched_bytes,
                "blocks_fetched": self.blocks_fetched,
                "workload": {"name": "redis", "asked": "PING", "answer": self.answer},
            }
        )

    def print_table(self, console: Console) -> None:
        """Print the timeline and the sizes of what was fetched."""
        title = f"farm {self.farm}, {self.firmware.upper()}, {self.acceleration}"
        table = Table("stage", title=title, title_justify="left")
        table.add_column("reached after", justify="right")
        table.add_column("took", justify="right")
        for stage, at_s, took_s in self.timeline.rows():
            table.add_row(stage, f"{at_s:.1f} s", f"{took_s:.1f} s")
        console.print(table)
        if self.timeline.reported:
            console.print("reported to the bootstrap server: " + ", ".join(self.timeline.reported))
        share = 100 * self.fetched_bytes / self.flist_bytes
        kernel, fetched, total = (
            f"{size / MIB:.1f} MiB"
            for size in (self.kernel_bytes, self.fetched_bytes, self.flist_bytes)
        )
        console.print(f"fetched from the bootstrap server: {kernel} (kernel and initramfs)")
        console.print(
            f"fetched from the hub: {fetched} in {self.blocks_fetched} blocks,"
            f" of a flist of {total} ({share:.0f} %)"
        )
        console.print(f"redis PING: {self.answer}")
