"""Print a table: of finished runs, or one of the paper's with the reported figures beside ours.

python tools/table.py runs/digits_*-s? [--csv results/digits.csv]
python tools/table.py results/digits.csv
python tools/table.py table3 --seeds 0 1 2 --train                 trains what is missing, run after run
python tools/table.py table3 --data digits --seeds 0 1 2 --train   the same methods on the embedded digits
python tools/table.py table3 --data digits --from results/table3_digits_runs.csv
"""

from __future__ import annotations

import _checkout

# isort: split
import argparse
from pathlib import Path
from typing import Sequence

from gluon_nrm.console.tool import ToolParser, add_data_dir, place, run_tool
from gluon_nrm.report.paper_tables import TABLES, get_table
from gluon_nrm.report.reproduce import report, train_missing
from gluon_nrm.runs.tables import collect, group_mean_std, read_csv, to_markdown, write_csv


def main(arguments: Sequence[str]) -> int:
    """Print the table; 0 if every folder could be read."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if str(options.runs[0]) in TABLES:
        if len(options.runs) > 1:
            parser.error(f"{options.runs[0]} takes its runs from --root or --from")
        return _paper(options)
    tables = [path for path in options.runs if path.suffix == ".csv"]
    rows = collect([path for path in options.runs if path not in tables])
    for path in tables:
        rows += read_csv(path)
    print(to_markdown(group_mean_std(rows)), end="")
    if options.csv is not None:
        write_csv(rows, options.csv)
        print(f"\n{len(rows)} runs in {options.csv}")
    return 0


def _paper(options: argparse.Namespace) -> int:
    table = get_table(str(options.runs[0]), options.data)
    if options.train:
        train_missing(table, options.seeds or [0, 1, 2], options.root, _checkout.ROOT / "recipes",
                      rows=options.rows, devices=options.devices, data_dir=options.data_dir)  # fmt: skip
    written = report(table, options.seeds, options.root, options.out, _checkout.ROOT, options.rows)
    print(written[0].read_text(encoding="utf-8"))
    print("\n".join(f"written: {path}" for path in written))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ToolParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    what = f"a run folder, a table written with --csv, or one of {', '.join(TABLES)}"
    parser.add_argument("runs", nargs="+", type=place, metavar="RUN", help=what)
    parser.add_argument("--csv", type=place, metavar="FILE", help="also write one line a run to this file")
    paper = parser.add_argument_group("with a table of the paper")
    paper.add_argument("--data", help="make it on another data set: digits")
    paper.add_argument("--seeds", type=int, nargs="+", metavar="N", help="of runs and labelled draws (all)")
    paper.add_argument("--train", action="store_true", help="train the runs that are missing (seeds 0 1 2)")
    paper.add_argument("--root", type=place, default=Path("runs"), metavar="DIR", help="of all runs (runs)")
    paper.add_argument("--from", type=place, dest="rows", metavar="CSV", help="further runs, as --csv writes")
    paper.add_argument("--out", type=place, metavar="DIR", help="for table, CSV and plot (default: --root)")
    paper.add_argument("--devices", help="with --train, as for tools/train.py")
    add_data_dir(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
