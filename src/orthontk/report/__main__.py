"""Judge every study in a folder of runs: `python -m orthontk.report DIR`."""

import argparse
from pathlib import Path

from orthontk.checks import InvalidValue
from orthontk.cli import command


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.report",
        description="Gather the runs of the studies under a folder, draw their figures and judge their claims. "
        "Half-finished multiruns are judged by what is there; what is broken is skipped and named.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a folder of runs, such as outputs")
    parser.add_argument("--out", type=Path, help="where to write (default: DIR/report)")
    return parser.parse_args()


@command
def main() -> None:
    options = arguments()
    if not options.directory.is_dir():
        raise InvalidValue("DIR", options.directory, "a folder of runs, such as outputs")
    from orthontk.report.write import report  # pandas and matplotlib take a second to import

    report(options.directory, options.out or options.directory / "report")


if __name__ == "__main__":
    main()
