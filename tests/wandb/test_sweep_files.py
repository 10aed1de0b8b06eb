"""Every run that a sweep file can ask for: it composes, passes the settings' checks, and has a directory of its own."""

import itertools
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from hydra_plugins.orthontk_sweeper import jobs_of
from orthontk.identity import run_name
from orthontk.run.assemble import resolved_model
from orthontk.run.settings import check_overrides, check_settings

SWEEPS = Path(__file__).parents[2] / "sweeps"
FILES = sorted(path.stem for path in SWEEPS.glob("*.yaml"))


def read(name):
    return yaml.safe_load((SWEEPS / f"{name}.yaml").read_text(encoding="utf-8"))


def values(parameter):
    """All of a list; of a distribution the ends and points in between, in the digits that W&B sends."""
    if "values" in parameter:
        return parameter["values"]
    if "value" in parameter:
        return [parameter["value"]]
    low, high = parameter["min"], parameter["max"]
    shares = (0.0, 0.123456789, 0.5, 0.987654321, 1.0)
    if parameter["distribution"] == "uniform":
        return [low + share * (high - low) for share in shares]
    assert parameter["distribution"] == "log_uniform_values"
    return [low * (high / low) ** share for share in shares]


def corners(parameter):
    return values(parameter)[:: max(1, len(values(parameter)) - 1)]


def commands(sweep, values_of):
    """What the agent runs for each combination, after `python train.py`."""
    names = list(sweep["parameters"])
    for combination in itertools.product(*map(values_of, sweep["parameters"].values())):
        arguments = {name: {"value": value} for name, value in zip(names, combination, strict=True)}
        flags = create_sweep_command_args({"args": arguments})["args_no_hyphens"]
        parts = [flags if part == "${args_no_hyphens}" else [part] for part in sweep["command"]]
        interpreter, program, *overrides = itertools.chain(*parts)
        assert (interpreter, program, sweep["program"]) == ("python", "${program}", "train.py")
        assert overrides[-1] == "logger.wandb.mode=online"
        yield dict(zip(names, combination, strict=True)), overrides


def test_there_are_a_grid_a_search_and_a_sample():
    assert {read(name)["method"] for name in FILES} == {"grid", "bayes", "random"}


@pytest.mark.parametrize("values_of", [corners, pytest.param(values, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", FILES)
def test_every_combination_composes(composed, name, values_of):
    """The first and last value of each parameter with those of the others; slow, all values with all."""
    directories, sweep = [], read(name)
    for combination, overrides in commands(sweep, values_of):
        config = composed(*overrides)
        check_settings(config)
        check_overrides(config, overrides)
        resolved_model(config.model)
        for key, value in combination.items():
            assert OmegaConf.select(config, key) == value
        assert config.logger.wandb.mode == "online"
        directories.append(run_name(config))
    assert len(set(directories)) == len(directories)


def test_the_grid_is_that_of_the_figure():
    parameters = read("learning_speed")["parameters"]
    assert parameters["init.scheme"]["values"] == ["gaussian", "orthogonal"]
    assert parameters["model.depth"]["values"] == [50, 100, 200]
    rates = parameters["optimizer.lr"]["values"]
    assert rates == pytest.approx([10 ** (-0.8 - i / 10) for i in range(len(rates))], rel=1e-5) and rates[-1] < 4e-4


def test_a_group_and_its_scheme_are_one_run(composed):
    """What the sweep files say of init.scheme: it names the same run as the group does."""
    assert run_name(composed("init=orthogonal")) == run_name(composed("init.scheme=orthogonal"))


@pytest.mark.parametrize("name", FILES)
def test_multirun_in_the_documentation(composed, request, name):
    """Beside each sweep file stands the same grid for Hydra, and for distributions one within their bounds."""
    page = request.config.rootpath.joinpath("docs", "wandb.md").read_text(encoding="utf-8")
    (command,) = re.findall(rf"^\| `sweeps/{name}\.yaml`.*?`python train\.py -m (.*?)`", page, re.MULTILINE)
    overrides, sweep = shlex.split(command), read(name)
    jobs = jobs_of([{}], OverridesParser.create().parse_overrides(overrides))
    given = {key: set() for key in sweep["parameters"]}
    for job in jobs:
        for key, value in (part.split("=", 1) for part in job):
            given.setdefault("init.scheme" if key == "init" else key, set()).add(yaml.safe_load(value))
    for key, parameter in sweep["parameters"].items():
        if "distribution" in parameter:
            numbers = [float(value) for value in given[key]]
            assert (min(numbers), max(numbers)) == (parameter["min"], parameter["max"])
        else:
            assert given[key] == set(values(parameter))
    fixed = [part for part in sweep["command"][2:] if not part.startswith(("$", "logger"))]
    assert set(fixed) <= set(overrides)
    for job in (jobs[0], jobs[-1]):
        check_settings(composed(*job))


@pytest.fixture
def stub(tmp_path):
    """A folder with a `wandb` that writes down how it was called, and the environment to find it in."""
    (tmp_path / "bin").mkdir()
    wandb = tmp_path / "bin" / "wandb"
    wandb.write_text(
        '#!/bin/bash\necho "$CUDA_VISIBLE_DEVICES|${SLURM_NTASKS-unset}|$OMP_NUM_THREADS|$*" >> "$CALLS"\n'
        'if [ "$CUDA_VISIBLE_DEVICES" = "$BROKEN" ]; then exit 3; fi\nif [ -n "$SLOW" ]; then sleep 60; fi\n'
    )
    wandb.chmod(0o755)
    (tmp_path / "sweeps").mkdir()
    for name in ("agents.sh", "agents.sbatch"):
        (tmp_path / "sweeps" / name).write_bytes((SWEEPS / name).read_bytes())
    search = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    return {**os.environ, "PATH": search, "CALLS": str(tmp_path / "calls"), "BROKEN": "none", "SLOW": ""}


def script(tmp_path, stub, name, *arguments, **environment):
    command = ["bash", str(tmp_path / "sweeps" / name), *arguments]
    done = subprocess.run(command, env={**stub, **environment}, cwd=tmp_path, capture_output=True, text=True)
    calls = tmp_path / "calls"
    return done, sorted(calls.read_text().splitlines()) if calls.exists() else []


def test_one_agent_for_each_gpu(tmp_path, stub):
    done, calls = script(tmp_path, stub, "agents.sh", "lab/p/s1", "--count", "2", CUDA_VISIBLE_DEVICES="0,3")
    assert done.returncode == 0, done.stderr
    assert [call.split("|")[0] for call in calls] == ["0", "3"]
    assert all(call.endswith("|agent --count 2 lab/p/s1") for call in calls)
    assert len(list(tmp_path.glob("outputs/agents/s1/*.log"))) == 2


@pytest.mark.parametrize("visible, devices", [(None, ["0", "1"]), ("", ["", "", ""])])
def test_gpus_that_are_hidden_are_not_used(tmp_path, stub, visible, devices):
    gpus = tmp_path / "bin" / "nvidia-smi"
    gpus.write_text("#!/bin/bash\nprintf '0\\n1\\n'\n")
    gpus.chmod(0o755)
    stub.pop("CUDA_VISIBLE_DEVICES", None)
    hidden = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    done, calls = script(tmp_path, stub, "agents.sh", "lab/p/s1", AGENTS="3", **hidden)
    assert done.returncode == 0, done.stderr
    assert [call.split("|")[0] for call in calls] == devices


def test_an_agent_that_fails_is_told_and_the_others_go_on(tmp_path, stub):
    done, calls = script(tmp_path, stub, "agents.sh", "lab/p/s1", CUDA_VISIBLE_DEVICES="0,1,2", BROKEN="0")
    assert done.returncode == 1 and len(calls) == 3


def test_the_end_of_the_script_is_the_end_of_its_agents(tmp_path, stub):
    command = ["bash", str(tmp_path / "sweeps" / "agents.sh"), "lab/p/s1"]
    process = subprocess.Popen(command, env={**stub, "CUDA_VISIBLE_DEVICES": "0,1", "SLOW": "1"}, cwd=tmp_path)
    while not (tmp_path / "calls").exists() or len((tmp_path / "calls").read_text().splitlines()) < 2:
        assert process.poll() is None
    process.terminate()
    assert process.wait(10) == 1


def test_array_task_is_one_agent(tmp_path, stub):
    slurm = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_NTASKS": "1", "SLURM_CPUS_PER_TASK": "4"}
    done, calls = script(tmp_path, stub, "agents.sbatch", "lab/p/s1", "--count", "1", CUDA_VISIBLE_DEVICES="2", **slurm)
    assert done.returncode == 0, done.stderr
    assert calls == ["2|unset|4|agent --count 1 lab/p/s1"]


@pytest.mark.parametrize("name", ["agents.sh", "agents.sbatch"])
def test_usage(tmp_path, stub, name):
    done, calls = script(tmp_path, stub, name)
    assert done.returncode == 2 and not calls
    assert done.stderr.startswith("usage: ") and "ENTITY/PROJECT/SWEEP" in done.stderr
