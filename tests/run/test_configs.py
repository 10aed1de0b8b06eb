"""Every configuration composes, and everything it names can be made."""

import pytest
import torch
from hydra.utils import instantiate

from orthontk.checks import InvalidValue
from orthontk.run.assemble import build_data, build_module, build_network, build_trainer
from orthontk.run.directory import RunDirectory
from orthontk.run.settings import check_settings

SIZES = ["data.train_size=40", "data.test_size=10", "data.val_size=10", "data.batch_size=10"]


def options(root, group):
    return sorted(path.stem for path in (root / "conf" / group).glob("*.yaml"))


def pytest_generate_tests(metafunc):
    root = metafunc.config.rootpath
    groups = ["init", "optimizer", "schedule", "loss", "data", "logger", "trainer", "model", "ensemble"]
    cases = [(group, name) for group in groups for name in options(root, group)]
    cases.remove(("init", "none"))  # for models of a user's own
    if "group" in metafunc.fixturenames:
        metafunc.parametrize("group, name", cases, ids=[f"{group}={name}" for group, name in cases])


@pytest.fixture
def composed(composed):
    return lambda *overrides: composed(*SIZES, *overrides)


def test_composes_and_assembles(composed, group, name, image_folder, tmp_path):
    overrides = [f"{group}={name}"]
    if group == "data" and name in ("mnist", "fashion_mnist", "cifar10"):
        overrides.append(f"data.path={image_folder / 'cifar10' if name == 'cifar10' else image_folder}")
    config = composed("trainer=cpu", *overrides) if group != "trainer" else composed(*overrides)
    if name == "gpu" and not torch.cuda.is_available():
        with pytest.raises(InvalidValue, match=r"trainer\.accelerator=gpu"):
            check_settings(config)
    else:
        check_settings(config)
    data = build_data(config)
    network = build_network(config, data)
    module = build_module(config, network, data)
    x, _, _ = data.probe(10)
    assert module(x).shape == (10, 10)
    if name not in ("gpu", "ddp"):  # made only where there are such devices
        trainer = build_trainer(config, RunDirectory(tmp_path), data, module)
        assert trainer.max_steps == config.trainer.max_steps


def test_experiments_compose(composed, request):
    for name in options(request.config.rootpath, "experiment"):
        config = composed(f"experiment={name}")
        assert config.name == name
        config.ensemble.inits = None  # only within a run is it known where they are looked for
        check_settings(config)


def test_callbacks_instantiate(composed, request):
    for name in options(request.config.rootpath, "callbacks"):
        for node in composed(f"callbacks={name}").callbacks.values():
            assert instantiate(node) is not None
