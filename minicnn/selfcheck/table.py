"""What gradcheck_all found: a table, with a line for each op or layer, device and precision."""

from __future__ import annotations

from dataclasses import dataclass

from minicnn.gradcheck import GradReport


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: of the op or layer, as in the tables of examples.
        device: where it was computed.
        dtype: in which precision.
        verdict: "ok", "WRONG ..." or "skipped: ..." with the reason.
        worst: of float64 the largest error relative to the largest element; otherwise r.
        report: of float64 the whole report.
    """

    name: str
    device: str
    dtype: str
    verdict: str = "ok"
    worst: float = 0.0
    report: GradReport | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; what was skipped is not wrong."""
        return not self.verdict.startswith("WRONG")

    @property
    def skipped(self) -> bool:
        """Whether nothing was checked."""
        return self.verdict.startswith("skipped")


@dataclass(frozen=True)
class Table:
    """All lines; it is true if something was checked, and nothing is wrong."""

    rows: list[Row]

    @property
    def checked(self) -> int:
        """How many lines say more than that something was skipped."""
        return sum(not row.skipped for row in self.rows)

    @property
    def ok(self) -> bool:
        """Whether something was checked, and nothing is wrong: no check proves nothing."""
        return self.checked > 0 and all(row.ok for row in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        lines = [f"{'op or layer':46}{'device':10}{'dtype':9}{'worst':>9}  verdict"]
        lines += [line(row) for row in self.rows]
        wrong = sum(not row.ok for row in self.rows)
        skipped = len(self.rows) - self.checked
        return "\n".join([*lines, f"{self.checked} checked, {wrong} wrong, {skipped} skipped"])


def line(row: Row) -> str:
    """A row as text."""
    worst = "" if row.skipped else f"{row.worst:9.1e}"
    return f"{row.name:46}{row.device:10}{row.dtype:9}{worst:>9}  {row.verdict}"
