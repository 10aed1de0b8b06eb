"""A report on a folder of runs: `python -m orthontk.report DIR`."""

import argparse
import os
from importlib.util import find_spec
from pathlib import Path

from orthontk.checks import InvalidValue, number
from orthontk.cli import command, require_folder_of_runs

EXTRAS = ("jinja2", "plotly")
SECONDS = 10.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.report",
        description="Gather the runs under a folder, judge the claims of their studies, and write one page that shows "
        "them all, to be opened in a browser: DIR/report/index.html. Half-finished multiruns are judged by what is "
        "there; what is broken is skipped and named.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a folder of runs, such as outputs")
    parser.add_argument("--out", type=Path, help="where to write (default: DIR/report)")
    parser.add_argument(
        "--watch",
        nargs="?",
        const=SECONDS,
        metavar="SECONDS",
        help=f"write again every so many seconds ({SECONDS:g}) until the sweeps are over or Ctrl-C",
    )
    parser.add_argument(
        "--pdf",
        nargs="?",
        const="studies",
        choices=("studies", "all"),
        help="also the studies' figures (all: every run's, too) for a paper, in DIR/report/pdf",
    )
    parser.add_argument("--csv", action="store_true", help="also tidy tables: runs.csv and curves.csv")
    return parser.parse_args()


@command
def main() -> None:
    options = arguments()
    require_folder_of_runs(options.directory)
    if missing := [name for name in EXTRAS if find_spec(name) is None]:
        raise InvalidValue("orthontk.report", f"without {', '.join(missing)}", "pip install 'orthontk[report]' first")
    every = None if options.watch is None else _seconds(options.watch)
    # Kernels are small here, and threads that wait for cores that a sweep is using make their spectra ten times slower.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # pandas and matplotlib take a second to import
    from orthontk.report.watch import watch
    from orthontk.report.write import Reporter, report

    out = options.out or options.directory / "report"
    reporter: Reporter = report(options.directory, out) if every is None else watch(options.directory, out, every)
    for path in reporter.write_files(pdf=options.pdf, csv=options.csv):
        print(path)


def _seconds(text: str) -> float:
    try:
        return number("--watch", float(text), minimum=1)
    except ValueError as error:
        raise InvalidValue("--watch", text, "a number of seconds of at least 1") from error


if __name__ == "__main__":
    main()
