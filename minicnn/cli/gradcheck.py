"""Check the gradients of ops and layers, on every device that can be had.

In float64 they are compared with finite differences, ops to second order; in float32, on every
device, with float64. Each line says how large the worst error is: in float64 relative to the
largest element (below 1e-7 is very good), in float32 in units of what rounding explains (up to 8 is
right). Layers are checked as well as ops; if nothing was checked, the exit code is 1.
"""

from __future__ import annotations

import argparse

from minicnn.cli.problems import UserError
from minicnn.selfcheck.everything import DEVICES, rows
from minicnn.selfcheck.table import Table, line

SUMMARY = "check the gradients of all ops and layers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Tell argparse about the options."""
    parser.add_argument("ops", nargs="*", metavar="OP", help="as conv2d or Dense (default: all)")
    parser.add_argument(
        "--device",
        choices=DEVICES,
        action="append",
        help="where to compute; may be given several times (default: all there are)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: 0)")
    parser.add_argument(
        "--html", metavar="FILE", help="write the report of the first op that is wrong"
    )


def run(settings: argparse.Namespace) -> int:
    """Check; return the exit code."""
    table = Table([])
    print(str(table).splitlines()[0])
    try:
        for row in rows(settings.device or DEVICES, settings.ops or None, settings.seed):
            table.rows.append(row)
            print(line(row), flush=True)
    except ValueError as error:
        raise UserError(str(error)) from None
    print(str(table).splitlines()[-1])
    if not table.checked:
        print("Nothing was checked, which proves nothing: name other ops, or another --device.")
    reports = [row.report for row in table.rows if row.report is not None and not row.ok]
    if reports:
        print(f"\n{reports[0]}")
        if settings.html:
            reports[0].to_html(settings.html)
            print(f"written: {settings.html}")
    return 0 if table.ok else 1
