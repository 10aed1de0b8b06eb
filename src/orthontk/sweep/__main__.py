"""`python -m orthontk.sweep status DIR` says how far a multirun's jobs are, `… retry DIR` starts the others again."""

import argparse
import os
import shlex
import sys
from pathlib import Path

from orthontk.cli import command
from orthontk.counted import counted
from orthontk.overrides import quoted
from orthontk.sweep.overview import describe_entries, entries_under, sweeps_under
from orthontk.sweep.retry import retry


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m orthontk.sweep", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    status = actions.add_parser("status", help="list done, running, failed, interrupted and missing jobs with reasons")
    again = actions.add_parser("retry", help="start again what is neither done nor running, as it was started")
    for action in (status, again):
        action.add_argument("directory", type=Path, metavar="DIR", help="a folder of runs, such as outputs/default")
    again.add_argument("--launcher", help="instead of the recorded one: basic, joblib, ray, slurm, …")
    return parser.parse_args()


@command
def main() -> None:
    options = arguments()
    root = Path(os.path.normpath(options.directory))
    sweeps = sweeps_under(root)
    entries = entries_under(root, sweeps)
    if options.action == "status":
        print(describe_entries(root, entries))
        return
    left = [entry for entry in entries if entry.is_left_to_do]
    for entry in left:
        if not entry.recorded:
            here = shlex.quote(f"hydra.run.dir={quoted(entry.directory)}")
            how = f"its own command continues it, with {here} in place of any resume=never"
            print(f"{entry.directory}: {entry.state.kind}, not a multirun's; {how}")
    again = sum(entry.recorded for entry in left)
    print(f"{counted(len(entries), 'job')} in {root}, {again} of them to start again", flush=True)
    sys.exit(retry(sweeps, entries, options.launcher))


if __name__ == "__main__":
    main()
