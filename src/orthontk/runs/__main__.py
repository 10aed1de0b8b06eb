"""List and compare runs: `python -m orthontk.runs DIR`."""

import argparse
import signal
from pathlib import Path

from orthontk.checks import InvalidValue
from orthontk.cli import command, require_folder_of_runs


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.runs",
        description="List the runs under a folder: the settings in which they differ, how they ended and what they "
        "measured. Those that go on, failed or are damaged are listed as such.",
        epilog="Keys are settings (model.width), groups (init), metrics (test/accuracy) or status. Example: "
        "python -m orthontk.runs outputs --where init=orthogonal 'test/accuracy>0.5' --sort test/accuracy",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a folder of runs, such as outputs")
    parser.add_argument("--sort", metavar="KEY", help="order by a setting or a metric")
    parser.add_argument("--descending", action="store_true", help="the largest first")
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="only these; also != < > <= >="
    )
    parser.add_argument("--show", nargs="+", action="extend", default=[], metavar="KEY", help="further columns")
    parser.add_argument("--csv", action="store_true", help="print CSV: all settings that differ and all metrics")
    return parser.parse_args()


@command
def main() -> None:
    options = arguments()
    require_folder_of_runs(options.directory)
    from orthontk.runs.collect import collect  # torch and Lightning, which --help should not wait for
    from orthontk.runs.select import key_of, ordered, where
    from orthontk.runs.show import show, write_csv

    everything = collect(options.directory)
    if not everything:
        raise InvalidValue("DIR", options.directory, "a folder with runs, such as outputs")
    entries = where(everything, options.where)
    if options.sort:
        entries = ordered(entries, options.sort, options.descending) if entries else []
    extra = [key_of("--show", name, everything) for name in options.show]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` ends it when it has seen enough
    if options.csv:
        write_csv(entries, extra)
    else:
        show(entries, options.directory, extra)


if __name__ == "__main__":
    main()
