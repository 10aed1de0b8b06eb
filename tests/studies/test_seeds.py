"""Nothing but another seed counts as one: neither a copy of a run, nor a run with another setting."""

import itertools
import json
import os
import random
import shutil

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from hydra_plugins.orthontk_sweeper import jobs_of
from orthontk.checks import InvalidValue
from orthontk.grids import SCALES, grids_at_scale
from orthontk.report.apart import name_differences
from orthontk.report.claims import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from orthontk.report.gather import Run
from orthontk.report.write import Reporter
from orthontk.studies import Study
from orthontk.studies.from_settings import study_from
from presets import STUDIES


@pytest.fixture
def composed(composed):
    """`composed("experiment=kernel_drift", …)` gives the settings that a run's `config.yaml` holds."""
    return lambda *overrides: OmegaConf.to_container(composed(*overrides), resolve=True)


@pytest.fixture
def drift(composed, tmp_path):
    """Finished runs of `kernel_drift` with kernels that move as 1/n, one for each width and seed."""
    numbers = itertools.count()

    def make(*overrides, seeds=range(3)):
        config = composed("experiment=kernel_drift", "model.depth=3", *overrides)
        for width, seed in itertools.product((64, 128, 256), seeds):
            config["seed"], config["model"]["width"] = seed, width
            moved = (1 + 0.01 * np.random.default_rng([width, seed]).normal()) / width
            _write(tmp_path / "outputs" / f"{next(numbers):03d}", config, f"step,ntk/change\n0,0\n200,{moved}\n")

    return make


def _write(folder, config, metrics):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))
    (folder / "metrics.csv").write_text(metrics)
    (folder / "summary.json").write_text(json.dumps({"status": "finished", "diverged": False, "metrics": {}}))


def judged(tmp_path):
    reporter = Reporter(tmp_path / "outputs", tmp_path / "report")
    reporter.update()
    return reporter


def claims_of(tmp_path):
    (study,) = judged(tmp_path).judged
    return study.claims


def test_a_copy_counts_once(drift, tmp_path):
    drift()
    drift("resume=never", "checkpoint.keep=all", "trainer.accelerator=cpu", "paths.output_dir=elsewhere")
    newer = [tmp_path / "outputs" / f"{number:03d}" for number in range(9, 18)]
    os.utime(newer[0] / "summary.json", (1, 1))  # but this one
    reporter = judged(tmp_path)
    assert {claim.interval.seeds for claim in reporter.judged[0].claims} == {3} and reporter.judged[0].runs == 9
    left_out = {path.name for path, reason in reporter.skipped.items() if "same settings" in reason}
    assert left_out == {"009", *(f"{number:03d}" for number in range(1, 9))}


@pytest.mark.parametrize(
    "setting, label",
    [
        ("model.bias_var=0.1", "bias_var"),
        ("model.weight_var=1.5", "weight_var"),
        ("model.parameterization=standard", "parameterization"),
        ("loss=cross_entropy", "loss"),
        ("optimizer=adam", "optimizer"),
        ("optimizer.lr=0.1", "lr"),
        ("data.batch_size=10", "batch_size"),
        ("data.seed=7", "data.seed"),
        ("trainer.max_steps=100", "max_steps"),
        ("init.coupled=true", "coupled"),
        ("schedule=cosine", "schedule"),
    ],
)
def test_another_setting_is_judged_by_itself(drift, tmp_path, setting, label):
    drift()
    drift(setting)
    claims = claims_of(tmp_path)
    assert len(claims) == 4 and {claim.interval.seeds for claim in claims} == {3}
    assert {claim.verdict for claim in claims} == {UNDECIDED}
    labels = {word for claim in claims for word in claim.where.split(" ") if "=" in word}
    assert len({word for word in labels if word.startswith(f"{label}=")}) == 2
    assert all(word.partition("=")[0] in ("L", "n", label) for word in labels)  # one setting is enough of a name


class OfAnyPanel(Study):
    """A question in which no width, depth or initialization is compared."""

    def table(self, runs):
        return pd.DataFrame([run.settings() for run in runs])

    def claims(self, table):
        return []


def test_all_that_differs_beside_its_group_is_named(composed):
    """Else a reader would think that a difference is due to the one that is."""
    own = ("schedule=cosine", "+optimizer.weight_decay=0.001", "+loss.label_smoothing=0.1")
    runs = [Run(None, composed(f"seed={seed}", *settings), {}) for seed in range(3) for settings in ((), own)]
    name_differences(runs)
    labels = [where.split(" ", 2)[2] for where, part in OfAnyPanel().panels(OfAnyPanel().table(runs))]
    assert labels == [
        "label_smoothing=0.1 weight_decay=0.001 schedule=cosine",
        "label_smoothing=none weight_decay=none schedule=constant",
    ]


OPTIMIZERS = ("optimizer=sgd", "optimizer=momentum", "optimizer=adam", "optimizer=momentum optimizer.momentum=0.5")


@pytest.mark.parametrize(
    "compared, labels",
    [(3, {"adam", "momentum", "sgd"}), (4, {"adam", "momentum momentum=0.5", "momentum momentum=0.9", "sgd"})],
)
def test_optimizers_are_named_by_their_choice_and_by_settings_that_they_have(composed, compared, labels):
    study = OfAnyPanel()
    study.AXES = ("optimizer.lr",)
    runs = [Run(None, composed(*choice.split(" ")), {}) for choice in OPTIMIZERS[:compared]]
    name_differences(runs, study.AXES)
    assert {where.partition("optimizer=")[2] for where, _ in study.panels(study.table(runs))} == labels


def test_momenta_that_a_study_compares_are_one_panel(composed):
    study = OfAnyPanel()
    study.AXES = ("optimizer.lr", "optimizer.momentum")
    runs = [Run(None, composed(choice), {}) for choice in OPTIMIZERS[:2]]
    name_differences(runs, study.AXES)
    assert [len(part) for _, part in study.panels(study.table(runs))] == [2]


def test_a_setting_that_is_an_axis_has_a_column_though_it_is_the_same_in_all_runs(composed):
    runs = [Run(None, composed(f"seed={seed}", "optimizer.lr=3"), {}) for seed in range(2)]
    study = OfAnyPanel()
    study.AXES = ("init", "optimizer.lr")
    name_differences(runs, study.AXES)
    assert list(study.table_with_axes(runs)["optimizer.lr"]) == ["3", "3"]
    study.AXES = ("init", "learning_rate")
    with pytest.raises(InvalidValue, match=r"AXES=learning_rate: expected a dotted key or .* family, init, "):
        study.table_with_axes(runs)
    with pytest.raises(InvalidValue, match=r"AXES=optimiser\.lr: expected a key in one of .*optimizer, "):
        name_differences(runs, ("optimiser.lr",))


@pytest.mark.parametrize("setting", ["model.width=512", "model.depth=6", "init=orthogonal"])
def test_networks_that_a_study_does_not_compare_are_judged_by_themselves(composed, setting):
    configs = [composed(f"seed={seed}", *own) for seed in range(3) for own in ((), (setting,))]
    runs = [Run(None, config, {}) for config in configs]
    name_differences(runs)
    study = OfAnyPanel()
    assert [len(part) for _, part in study.panels(study.table(runs))] == [3, 3]
    study.AXES = ("init", "depth", "width")
    assert [len(part) for _, part in study.panels(study.table(runs))] == [6]


def test_networks_without_an_activation_are_named_without_one():
    models = ({"_target_": "own.Residual"}, {"_target_": "own.Residual", "activation": "tanh"})
    table = OfAnyPanel().table([Run(None, {"model": model}, {}) for model in models])
    assert [where for where, _ in OfAnyPanel().panels(table)] == ["Residual tanh", "Residual"]


def test_each_seed_with_a_setting_of_its_own_is_one_seed(drift, tmp_path):
    for seed in range(5):
        drift(f"model.bias_var={0.01 * (1 + seed)}", seeds=[seed])
    assert {claim.interval.seeds for claim in claims_of(tmp_path)} == {1}


@pytest.mark.parametrize("setting", ["data.seed={seed}", "optimizer.lr={rate}"])
def test_what_goes_with_the_seed_or_the_width_is_no_other_setting(composed, tmp_path, setting):
    for width, seed in itertools.product((64, 128, 256), range(5)):
        own = setting.format(seed=seed, rate=32 / width), f"model.width={width}", f"seed={seed}"
        config = composed("experiment=kernel_drift", "model.depth=3", *own)
        _write(tmp_path / "outputs" / f"{width}-{seed}", config, f"step,ntk/change\n0,0\n200,{1 / width}\n")
    assert {claim.where for claim in claims_of(tmp_path)} == {"FCN erf L=3 gaussian", "FCN erf L=3 gaussian n=256"}


@pytest.fixture
def speed(composed, tmp_path):
    """An ensemble of `learning_speed` with a τ for each seed and initialization."""

    def make(*overrides, seeds, taus):
        config = composed("experiment=learning_speed", f"ensemble.seeds={seeds}".replace(" ", ""), *overrides)
        rows = [f"9,{seed},{init},0.1,{tau + seed},0" for init, tau in taus.items() for seed in seeds]
        head = "step,seed,init,learning_rate,train/tau,train/censored"
        folder = tmp_path / "outputs" / str(len(list(tmp_path.glob("outputs/*"))))
        _write(folder, config, "\n".join([head, *rows]) + "\n")

    return make


FASTER, SLOWER = {"gaussian": 100, "orthogonal": 20}, {"gaussian": 20, "orthogonal": 100}


def test_opposite_results_of_two_parameterizations_stay_apart(speed, tmp_path):
    speed(seeds=[*range(8)], taus=FASTER)
    speed("model.parameterization=ntk", seeds=[*range(8)], taus=SLOWER)
    verdicts = {(c.where, c.verdict) for c in claims_of(tmp_path) if "equal η, mean" in c.statistic}
    where = "FCN tanh L=50 n=400 parameterization={} orthogonal, train τ"
    assert verdicts == {(where.format("standard"), SUPPORTED), (where.format("ntk"), NOT_SUPPORTED)}


def test_a_replica_of_two_ensembles_counts_once(speed, tmp_path):
    speed(seeds=[0, 1, 2, 3], taus=FASTER)
    speed("ensemble.chunk=4", seeds=[2, 3, 4, 5], taus=FASTER)
    assert {claim.interval.seeds for claim in claims_of(tmp_path)} == {6}


def test_kernels_that_were_measured_are_not_replaced_by_none(drift, tmp_path):
    drift(seeds=range(5))
    for folder in sorted((tmp_path / "outputs").iterdir()):
        again = tmp_path / "outputs" / f"again-{folder.name}"
        shutil.copytree(folder, again)
        (again / "metrics.csv").write_text("step\n0\n200\n")
        os.utime(again / "summary.json", (9e9, 9e9))
    assert {claim.interval.seeds for claim in claims_of(tmp_path)} == {5}


def test_seeds_with_batches_of_their_own_are_one_panel_beside_those_with_shared_ones(composed):
    configs = [composed(f"seed={seed}", f"data.seed={own}") for seed in range(1, 4) for own in (0, seed)]
    for config in configs[1::2]:
        config["ensemble"]["shared_batches"] = False
    runs = [Run(None, config, {}) for config in configs]
    name_differences(runs)
    study = OfAnyPanel()
    assert [len(part) for _, part in study.panels(study.table(runs))] == [3, 3]


def test_a_learning_rate_that_was_found_is_no_other_setting(composed):
    configs = [composed(f"seed={seed}", "optimizer.lr_fraction=0.5", f"optimizer.lr={1 + seed}") for seed in range(3)]
    runs = [Run(None, config, {}) for config in configs]
    name_differences(runs)
    assert [len(part) for _, part in OfAnyPanel().panels(OfAnyPanel().table(runs))] == [3]


AXES = {"normalize": "data.normalize", "critical": "model.critical"}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("preset", STUDIES)
def test_the_presets_panels_tell_their_runs_apart(composed, request, preset, scale):
    """What else varies in their grids goes with the panel or the width."""
    grids = OmegaConf.load(request.config.rootpath / f"conf/experiment/{preset}.yaml").hydra.sweeper.grids
    grids = grids_at_scale(OmegaConf.to_container(grids), scale)
    jobs = [job for job in jobs_of(grids, []) if not any(s.startswith("seed=") and s != "seed=0" for s in job)]
    jobs = random.Random(0).sample(jobs, min(len(jobs), 12))  # each takes a tenth of a second
    runs = [Run(None, composed(f"experiment={preset}", f"scale={scale}", *job), {}) for job in jobs]
    name_differences(runs)
    rows = [
        run.settings()
        | {name: str(run.get(key)) for name, key in {**AXES, "learning_rate": "ensemble.learning_rates"}.items()}
        for run in runs
    ]
    study, table = study_from(runs[0].get("study")), pd.DataFrame(rows).assign(kernel="ntk", unit="η")
    assert set(study.panel_columns(table)) <= {*study.PANEL, "data"}
