"""One run of an ensemble: a chunk of replicas after the other, each trained to its end, and then one result of all."""

import shutil
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from lightning_fabric.plugins.environments import LightningEnvironment
from omegaconf import DictConfig, OmegaConf
from torch import nn

from orthontk.callbacks import ScheduledCallback, Tau
from orthontk.checks import InvalidValue
from orthontk.ensemble.checkpoints import ChunkCheckpoints
from orthontk.ensemble.data import EnsembleData
from orthontk.ensemble.drawing import Drawing
from orthontk.ensemble.endings import Endings
from orthontk.ensemble.measure import Work
from orthontk.ensemble.module import EnsembleModule
from orthontk.ensemble.optimizer import check_elementwise
from orthontk.ensemble.per_replica import PerReplica, check_hooks, chosen_replicas
from orthontk.ensemble.plan import FILE as PLAN
from orthontk.ensemble.plan import Plan, make_plan, most_in_memory, room_for_networks
from orthontk.ensemble.processes import Processes
from orthontk.ensemble.progress import EnsembleProgress
from orthontk.ensemble.refusals import require_trains_as_alone
from orthontk.ensemble.replicas import Replica, grid
from orthontk.ensemble.report import report
from orthontk.ensemble.results import chunk_folder, chunk_is_done, require_rows, write_chunk
from orthontk.ensemble.rows import ReplicaRows
from orthontk.ensemble.settings import config_of
from orthontk.ensemble.stack import StackedNetwork
from orthontk.identity import first_difference, run_identity
from orthontk.run.assemble import build_data, build_network, interruptible, make_trainer, steps_in
from orthontk.run.checkpoint_files import checkpoint_to_resume
from orthontk.run.directory import CONFIG, METRICS
from orthontk.run.initializations import init_settings
from orthontk.run.optimization import build_loss, build_optimization, total_steps
from orthontk.run.settings import naming


class EnsembleRun:
    """What the chunks of an ensemble have in common, made once."""

    def __init__(self, config: DictConfig, path: Path, processes: Processes) -> None:
        self.config, self.path, self.processes = config, path, processes
        self.replicas = grid(config)
        init_of = cache(partial(init_settings, config))
        self.settings_of: Callable[[Replica], DictConfig] = cache(
            lambda replica: config_of(config, replica, init_of(replica.init))
        )
        self.plain_settings_of = cache(lambda replica: OmegaConf.to_container(self.settings_of(replica), resolve=True))
        self.data = self._build_data()
        self.template = self._build_network(self.replicas[0])
        self.loss = build_loss(config, self.data.first)
        self.optimizer, self.schedule = build_optimization(config, self.template, self.data.first)
        self.chosen = chosen_replicas(self.replicas, config.ensemble.kernels)
        self.limits: dict[Any, torch.Tensor] = {}
        self._check()
        self.work = self._work(processes.device)
        if not was_begun(path):
            most_in_memory(self.work, config.ensemble)  # refuses a limit that one replica does not fit in

    def _build_data(self) -> EnsembleData:
        if self.config.ensemble.shared_batches:
            return EnsembleData([(None, build_data(self.config))])
        first_of_seed = {replica.seed: replica for replica in reversed(self.replicas)}
        seeds = dict.fromkeys(replica.seed for replica in self.replicas)
        return EnsembleData((seed, build_data(self.settings_of(first_of_seed[seed]))) for seed in seeds)

    def _build_network(self, replica: Replica) -> nn.Module:
        """The replica's initial network; what its initialization refuses is refused by the key that chose it."""
        try:
            return build_network(self.settings_of(replica), self.data.first)
        except InvalidValue as error:
            if self.config.ensemble.inits is None or not error.name.startswith("init."):
                raise
            raise InvalidValue("ensemble.inits", replica.init, error.accepted) from error

    def _check(self) -> None:
        """Refuse what only fails once training has begun, where the refusal can still name its key."""
        check_elementwise(self.optimizer)
        trained, split = _trained_names(self.template), self.data.first.train
        for replica in {replica.init: replica for replica in self.replicas}.values():
            network = self._build_network(replica)  # refuses a scheme that the network cannot have
            if _trained_names(network) != trained:
                accepted = "initializations that leave the same parameters to be trained"
                raise InvalidValue("ensemble.inits", replica.init, accepted)
            require_trains_as_alone(self.template, network, self.loss, split.images[:2].cpu(), split.labels[:2].cpu())
        self._checkpoints()
        for name, node in (self.config.get("callbacks") or {}).items():
            self._callback(name, node)

    def _work(self, device: torch.device) -> Work:
        loader = self.data.first
        x, y = loader.train.images, loader.train.labels
        if loader.batch_size != "full":
            x, y = x[: loader.batch_size], y[: loader.batch_size]
        network, inputs, labels = self.template.to(device), x.to(device), y.to(device)
        return Work(network, self.optimizer, self.loss, inputs, labels, loader.eval_batch_size, self.data.shared)

    def plan(self) -> Plan:
        """Which chunks to train; what they leave of the memory is for drawn networks."""
        steps, settings = total_steps(self.config.trainer, self.data.first), self.config.ensemble
        plan = make_plan(self.path, self.work, len(self.replicas), steps, self.processes.count, settings)
        room = room_for_networks(self.work, self.replicas, plan, settings.memory_limit)
        self.draw = Drawing(self._build_network, room)
        return plan

    def train(self, number: int, replicas: Sequence[Replica], batched: bool, progress: EnsembleProgress | None) -> None:
        """Train a chunk to its end, from its last checkpoint if there is one, and leave its results on disk."""
        path = chunk_folder(self.path, number)
        path.mkdir(parents=True, exist_ok=True)
        stack = StackedNetwork(self.template, len(replicas), batched)
        for row, replica in enumerate(replicas):
            stack.fill(row, self.draw(replica))
        settings = OmegaConf.to_container(self.config, resolve=True)
        module = EnsembleModule(
            stack, replicas, self.loss, self.optimizer, self.schedule, settings, self.config.ensemble.stop
        )
        checkpoint = checkpoint_to_resume(path)
        if checkpoint is not None:
            print(f"continuing from {checkpoint}")
        rows, data = ReplicaRows(path / METRICS, replicas, steps_in(checkpoint)), self.data.of_chunk(replicas)
        trainer = self._trainer(path, module, rows, progress)
        with interruptible():
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            if module.replicas:
                if self.data.first.val is not None and trainer.global_step % trainer.val_check_interval != 0:
                    trainer.validate(module, datamodule=data, verbose=False)
                trainer.test(module, datamodule=data, verbose=False)
        write_chunk(path, replicas, rows, module.endings(), trainer.global_step)
        if self.config.checkpoint.keep == "last":  # of an ensemble's weights nothing stays unless all of them do
            shutil.rmtree(path / "checkpoints", ignore_errors=True)

    def _trainer(
        self, path: Path, module: EnsembleModule, rows: ReplicaRows, progress: EnsembleProgress | None
    ) -> pl.Trainer:
        checkpoints = self._checkpoints()
        endings = Endings(keeps_weights=checkpoints.keep == "all")
        callbacks = [*self._callbacks(module), endings, *([progress] if progress else []), checkpoints]
        own: dict[str, Any] = {"strategy": "auto", "devices": self.processes.own_devices, "num_nodes": 1}
        own["plugins"] = [LightningEnvironment()]  # SLURM's would want a device of this Trainer for each of its tasks
        own["enable_progress_bar"] = progress is not None  # or Lightning adds a bar of its own
        return make_trainer(self.config, path, self.data.first, callbacks, [rows], **own)

    def _callbacks(self, module: EnsembleModule) -> list[pl.Callback]:
        """Those of the configuration: τ looks at all replicas, any other at one."""
        callbacks: list[pl.Callback] = []
        chosen = [replica for replica in module.replicas if replica in self.chosen]
        for name, node in (self.config.get("callbacks") or {}).items():
            one = self._callback(name, node)
            if isinstance(one, Tau):
                callbacks.append(one)
                continue
            with naming(f"callbacks.{name}"):
                make = partial(instantiate, node)
                callbacks.append(PerReplica(name, make, chosen, self.path, self.plain_settings_of, self.limits))
                callbacks[-1].check(module)
        return callbacks

    def _callback(self, name: str, node: DictConfig) -> pl.Callback:
        """One of the configuration; what is called for each replica is what a scheduled one has."""
        with naming(f"callbacks.{name}"):
            callback = instantiate(node)
            if hasattr(callback, "check_data"):
                callback.check_data(self.data.first)
            if isinstance(callback, ScheduledCallback):
                check_hooks(type(callback))
        if not isinstance(callback, Tau | ScheduledCallback):
            accepted = "a subclass of orthontk.callbacks.ScheduledCallback, in an ensemble"
            raise InvalidValue(f"callbacks.{name}", type(callback).__name__, accepted)
        return callback

    def _checkpoints(self) -> ChunkCheckpoints:
        with naming("checkpoint"):
            return ChunkCheckpoints(**self.config.checkpoint)


def _trained_names(network: nn.Module) -> list[str]:
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


def was_begun(path: Path) -> bool:
    """Whether an ensemble was begun in the directory, whose chunks have the checkpoints."""
    return (path / PLAN).exists() and (path / CONFIG).exists()


def require_same_ensemble(config: DictConfig, path: Path) -> None:
    """Refuse to go on with an ensemble that was begun in the directory with settings that give other numbers.

    Its chunks that are done would be of the old settings, and the others of the new ones.
    """
    if not was_begun(path):
        return
    identities = run_identity(OmegaConf.load(path / CONFIG)), run_identity(config)
    if found := first_difference(*({**identity, "checkpoint": None} for identity in identities)):
        raise InvalidValue("resume", path, f"an ensemble that was begun with the same {found[0]}")


def run_ensemble(ensemble: EnsembleRun, start: float) -> None:
    """Train every chunk that is not done, gather, report."""
    config, path, processes = ensemble.config, ensemble.path, ensemble.processes
    if not processes.is_first:  # what the first one has measured decides for all
        processes.wait_for((path / PLAN).exists)
    plan = ensemble.plan()
    processes.launch()
    chunks = plan.chunks(ensemble.replicas)
    own = processes.share(list(enumerate(chunks)))
    progress = EnsembleProgress(own) if config.trainer.enable_progress_bar and processes.is_first else None
    for number, replicas in own:
        if not chunk_is_done(path, number):
            ensemble.train(number, replicas, plan.batched, progress)
            continue
        require_rows(path, number)
        if progress:
            progress.skip(len(replicas))
    if processes.is_first:
        processes.wait_for(lambda: all(chunk_is_done(path, number) for number in range(len(chunks))))
        report(config, path, plan, len(chunks), seconds=time.perf_counter() - start)
