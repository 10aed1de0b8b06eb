"""One run, from the top: refuse, resume, train, test, draw, report."""

import logging
import os
import time
import warnings
from pathlib import Path

import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.utilities import rank_zero_only

from orthontk.checks import InvalidValue
from orthontk.ensemble.replicas import is_ensemble
from orthontk.files import read_json, write_json, write_text
from orthontk.identity import EVALUATED, absolute, content_of
from orthontk.loggers.wandb_run import SWEEP_ID
from orthontk.run.arithmetic import training_arithmetic
from orthontk.run.assemble import Experiment, assemble, build_loggers, interruptible, read_checkpoint, resolved_model
from orthontk.run.checkpoint_files import evaluated_checkpoint
from orthontk.run.claim import begin, claimed, process_number
from orthontk.run.continuing import (
    require_same_beginning,
    require_same_evaluation,
    require_same_network,
    require_steps_left,
)
from orthontk.run.directory import CONFIG, PROVENANCE, RunDirectory, copy_history, is_finished
from orthontk.run.failure import recording_failure
from orthontk.run.initializations import OWN_INITS, own_inits
from orthontk.run.isolation import alone_in_process
from orthontk.run.provenance import provenance
from orthontk.run.same_settings import require_no_others_settings, require_same_settings
from orthontk.run.settings import check_overrides, check_settings
from orthontk.run.study_settings import renew_studies, study_settings
from orthontk.run.summary import show_briefly, show_summary, write_summary


def run(config: DictConfig) -> None:
    """Carry out the run that `config` describes; `train.py` calls it once a job.

    Raises:
        InvalidValue: a setting outside what is accepted.
    """
    _quiet_libraries()
    if (folder := HydraConfig.get().runtime.cwd) != os.getcwd():  # by hydra.job.chdir
        _take_paths_from(folder, config)
    path = Path(HydraConfig.get().runtime.output_dir)
    with alone_in_process(config.seed):
        if not HydraConfig.get().run.dir:  # which the current folder would be taken for
            raise InvalidValue("hydra.run.dir", "", "a folder")
        require_no_others_settings(path)
        if str(config.resume) == "never" or not is_finished(path):
            with claimed(config) as path, recording_failure(path, config, process_number(config)):
                check_settings(config)
                _check_overrides(config)
                _check_study(config)
                if not is_finished(path):  # by another launch, which this one has waited for
                    _require_own_directory(config, path)
                    with training_arithmetic(config.trainer.tf32):
                        _carry_out(config, begin(config, path))
                    return
        require_same_settings(config, path)
        _check_overrides(config)
        _check_study(config)
        renew_studies([(path, study_settings(config))])
        _show_finished(config, path)
        _report_to_agent(config, path)


def _take_paths_from(folder: str, config: DictConfig) -> None:
    """Make paths absolute that lead somewhere from `folder`."""
    for group, key in ((config, "resume"), (config, "ckpt_path"), (config.data, "path")):
        value = None if group is None else group.get(key)
        if isinstance(value, str) and os.path.exists(there := os.path.join(folder, value)):
            group[key] = absolute(there)


def _check_overrides(config: DictConfig) -> None:
    hydra = HydraConfig.get()
    check_overrides(config, hydra.overrides.task, hydra.runtime.choices)


def _check_study(config: DictConfig) -> None:
    """Before anything is measured, not when it shall be judged; of a multirun its sweeper does so."""
    if config.study is not None and not _is_one_of_many():
        from orthontk.studies.from_settings import study_from  # whose figures a run without a study does without

        study_from(study_settings(config))


@rank_zero_only
def _say_whose_grid_is_not_run() -> None:
    """A preset's grid is that of a multirun; an agent of W&B makes single runs of a grid of its own."""
    hydra = HydraConfig.get()
    preset = hydra.runtime.choices.get("experiment")
    if preset and hydra.sweeper.get("grids") and not _is_one_of_many() and SWEEP_ID not in os.environ:
        print(f"experiment={preset} has a grid of jobs, of which this single run takes nothing: -m runs it")


def _carry_out(config: DictConfig, directory: RunDirectory) -> None:
    start = time.perf_counter()
    _say_whose_grid_is_not_run()
    config.model = resolved_model(config.model)
    if config.resume not in ("auto", "never"):
        config.resume = absolute(config.resume)  # which the current folder is no part of
    if is_ensemble(config):
        from orthontk.ensemble import run as ensembles  # which imports this package

        ensembles.require_same_ensemble(config, directory.path)
        ensemble = ensembles.EnsembleRun(config, directory.path, ensembles.Processes(config.trainer))
        if named := own_inits(config):
            OmegaConf.update(config, OWN_INITS, named, force_add=True)
        write_settings(config, directory.path, continues=ensembles.was_begun(directory.path))
        ensembles.run_ensemble(ensemble, start)
        return
    checkpoint = evaluated_checkpoint(config.ckpt_path) if config.mode == "test" else directory.checkpoint
    experiment = assemble(config, directory)
    # Before a refused launch leaves its own settings.
    if config.mode == "test":
        require_same_evaluation(experiment.module, read_checkpoint(checkpoint, "ckpt_path"), checkpoint)
        OmegaConf.update(config, EVALUATED, content_of(checkpoint), force_add=True)
    elif checkpoint is not None:
        before = read_checkpoint(checkpoint, "resume")
        require_same_network(experiment.module, before, checkpoint, "resume")
        require_same_beginning(experiment.module, before.get("config"), checkpoint)
        require_steps_left(config.trainer, experiment, before["global_step"], checkpoint)
    rank_zero_only(copy_history)(directory)
    # With what assembling found the learning rate to be.
    write_settings(config, directory.path, continues=directory.checkpoint is not None)
    failed = True
    try:
        with interruptible():
            if config.mode == "test":
                _test_checkpoint(experiment, checkpoint)
            else:
                _fit_and_test(experiment, directory)
        failed = False
    finally:
        _finish_loggers(experiment.trainer, failed)
    if experiment.trainer.is_global_zero:
        if config.figures:
            draw_figures(directory.path)
        # Last, since this says that the run is finished: one that is killed before it draws its figures again.
        write_summary(directory.path, experiment, seconds=time.perf_counter() - start)
        _show(directory.path)


def _show_finished(config: DictConfig, directory: Path) -> None:
    from orthontk.ensemble.report import show_ensemble  # which imports this package

    print(f"finished already: {directory} (resume=never starts it anew beside it)")
    (show_ensemble if is_ensemble(config) else _show)(directory)


def _show(directory: Path) -> None:
    (show_briefly if _is_one_of_many() else show_summary)(directory)


def _is_one_of_many() -> bool:
    return HydraConfig.get().mode == RunMode.MULTIRUN


def _report_to_agent(config: DictConfig, directory: Path) -> None:
    """A W&B agent whose sweep asks for settings that have been run gets what was measured."""
    if SWEEP_ID not in os.environ:
        return
    for logger in build_loggers(config, directory):
        if hasattr(logger, "log_finished"):
            logger.log_finished()


def _quiet_libraries() -> None:
    """Leave the terminal to the progress bar, the closing table and what needs a user's attention."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # A worker-process loader would only slow this project down: its data are tensors on the device.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*GPU available but not used.*")  # trainer=cpu means it
    warnings.filterwarnings("ignore", message=".*isinstance.treespec.*")
    warnings.filterwarnings("ignore", message="There is a performance drop.*")  # of what `vmap` takes one by one
    warnings.filterwarnings("ignore", message=".*`srun` command is available.*")  # such as on a login node
    warnings.filterwarnings("ignore", message=".*Total length of .* is zero.*")  # trainer.max_steps=0 means it
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")


@rank_zero_only
def write_settings(config: DictConfig, path: Path, continues: bool) -> None:
    made_by = path / PROVENANCE
    now = provenance()
    if continues and made_by.exists():
        before = read_json(made_by)
        if before["git_commit"] != now["git_commit"]:
            print(f"warning: continuing a run begun at commit {before['git_commit']}; now at {now['git_commit']}")
    else:
        write_json(made_by, now)
    if not continues:  # begun anew, perhaps with other settings than what lies there was predicted for
        for file in path.glob("prediction*.safetensors"):
            file.unlink()
    write_text(path / CONFIG, OmegaConf.to_yaml(config, resolve=True))


def _fit_and_test(experiment: Experiment, directory: RunDirectory) -> None:
    trainer, module, data = experiment.trainer, experiment.module, experiment.data
    if directory.checkpoint is not None:
        print(f"continuing from {directory.checkpoint}")
    trainer.fit(module, datamodule=data, ckpt_path=directory.checkpoint, weights_only=True)
    if data.val is not None and trainer.global_step % trainer.val_check_interval != 0:
        trainer.validate(module, datamodule=data, verbose=False)  # the curves end where the training does
    trainer.test(module, datamodule=data, verbose=False)


def _test_checkpoint(experiment: Experiment, checkpoint: Path) -> None:
    experiment.trainer.test(
        experiment.module, datamodule=experiment.data, ckpt_path=checkpoint, verbose=False, weights_only=True
    )


def _require_own_directory(config: DictConfig, path: Path) -> None:
    """Refuse the directory of an unfinished run of another kind, which would then seem to be finished."""
    if not (path / CONFIG).exists():
        return
    before = OmegaConf.load(path / CONFIG)
    mode = before.get("mode")
    if config.mode == "test" and mode != "test":
        accepted = f"{mode}, as in the unfinished run {path} (without hydra.run.dir, mode=test has its own)"
        raise InvalidValue("mode", config.mode, accepted)
    was, is_now = ("an ensemble" if is_ensemble(of) else "a single run" for of in (before, config))
    if was != is_now:
        accepted = f"another directory for {is_now} than that of {was} which is not finished"
        raise InvalidValue("hydra.run.dir", path, f"{accepted} (resume=never starts beside it)")


def _finish_loggers(trainer: pl.Trainer, failed: bool) -> None:
    for logger in trainer.loggers:
        logger.save()
        if hasattr(logger, "finish"):
            logger.finish(failed)


def draw_figures(directory: Path) -> None:
    from orthontk.figures.run import draw_run  # matplotlib takes a second to import

    draw_run(directory)
