"""Every study at scale=quick, one multirun each, and one table of claims at the end: `make reproduce`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from hydra import compose, initialize_config_dir

from orthontk.checks import InvalidValue
from orthontk.cli import command
from orthontk.counted import counted
from orthontk.grids import grids_at_scale
from orthontk.overrides import quoted
from orthontk.reproduce.progress import WholeProgress

ROOT = Path(__file__).resolve().parents[3]
# Seconds that each study takes on two cores: how much of the whole it is, to tell the time left.
SECONDS = {
    "kernel_convergence": 45,
    "depth_fluctuation": 40,
    "kernel_drift": 150,
    "dynamical_isometry": 60,
    "lazy_full_batch": 120,
    "lazy_sgd": 240,
    "learning_speed": 240,
}
ON_GAUSSIAN_INPUTS = ("kernel_convergence", "depth_fluctuation")
# A quarter right is as hard to reach on CIFAR-10 as half is on the digits, of which 1,000 are for tests, too.
FOR_CIFAR10 = {"learning_speed": ["callbacks.tau.threshold=0.25", "data.test_size=1000"]}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.reproduce",
        description="Run every study at scale=quick and judge its claims. Interrupted, the same command goes on: "
        "finished jobs are skipped.",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="a folder with CIFAR-10 (default: embedded digits)")
    parser.add_argument(
        "--studies", nargs="+", metavar="STUDY", choices=SECONDS, help="only these: " + ", ".join(SECONDS)
    )
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="where results go (default: outputs)")
    return parser.parse_args()


@command
def main() -> None:
    options = arguments()
    if options.data is not None:
        check_data(options.data)
    out = (options.out / f"reproduce-{'digits' if options.data is None else 'cifar10'}").resolve()
    out.mkdir(parents=True, exist_ok=True)
    if options.data is None:
        print("Data: 5,000 digits embedded in a package, not the paper's images; DATA=DIR takes CIFAR-10 from DIR.")
    jobs = count_jobs(options.studies or SECONDS)
    many = f"{counted(sum(jobs.values()), 'job')} of {counted(len(jobs), 'study', 'studies')}"
    print(f"{many}; what they print goes to {out}/<study>.log")
    failed = run_all(options.data, out, jobs)
    reported = judge(out)
    for study in failed:
        print(f"{study}: some of its jobs failed: python -m orthontk.sweep status {out / study}", file=sys.stderr)
    sys.exit(1 if failed or not reported else 0)


def check_data(folder: Path) -> None:
    """Read the labels now: otherwise every job would find out for itself that it has no images."""
    from orthontk.data.hub import hub_images  # slow to import

    try:
        hub_images("cifar10", str(folder))
    except InvalidValue as refusal:
        raise InvalidValue("DATA", folder, refusal.accepted) from refusal


def judge(out: Path) -> bool:
    """Write the report, if a run is finished."""
    from orthontk.report.write import report

    try:
        report(out, out / "report")
    except InvalidValue as refusal:
        print(f"no report of {out}: expected {refusal.accepted}", file=sys.stderr)
        return False
    return True


def count_jobs(studies: Iterable[str]) -> dict[str, int]:
    """How many jobs each study's multirun has."""
    from hydra_plugins.orthontk_sweeper import jobs_of

    counts = {}
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        for study in studies:
            config = compose("config", [f"experiment={study}", "scale=quick"], return_hydra_config=True)
            counts[study] = len(jobs_of(grids_at_scale(config.hydra.sweeper.grids, "quick"), []))
    return counts


def run_all(data: Path | None, out: Path, jobs: dict[str, int]) -> list[str]:
    """Run one study after the other; those of which jobs failed are returned."""
    progress, failed = WholeProgress(out, SECONDS, jobs), []
    try:
        for study in jobs:
            process = start_study(study, data, out)
            try:
                progress.follow(study, lambda: process.poll() is None)  # noqa: B023, called in this round only
            except KeyboardInterrupt:
                process.wait()  # the terminal has interrupted it as well, and it is leaving a checkpoint
                raise
            if process.returncode != 0:
                failed.append(study)
    finally:
        progress.close()
    return failed


def start_study(study: str, data: Path | None, out: Path) -> subprocess.Popen:
    """Start the study's multirun, a job a core, each with one thread."""
    overrides = [f"experiment={study}", "scale=quick", f"paths.output_dir={quoted(out)}", "hydra/launcher=joblib"]
    if data is not None and study not in ON_GAUSSIAN_INPUTS:
        overrides += ["data=cifar10", f"data.path={quoted(data.resolve())}", *FOR_CIFAR10.get(study, [])]
    overrides.append(f"hydra.launcher.n_jobs={len(os.sched_getaffinity(0))}")
    with open(out / f"{study}.log", "ab") as log:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), "-m", *overrides],
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


if __name__ == "__main__":
    main()
