"""Callbacks of a user's own, written as for a single run."""

from orthontk.callbacks import ScheduledCallback


class Rate(ScheduledCallback):
    """Logs as Lightning's own callbacks do."""

    def measure(self, trainer, module, step):
        trainer.logger.log_metrics({"own/rate": trainer.optimizers[0].param_groups[0]["lr"]}, step)


class Counting(ScheduledCallback):
    def on_train_batch_end(self, trainer, module, *batch):
        super().on_train_batch_end(trainer, module, *batch)


class Closing(ScheduledCallback):
    def on_train_end(self, trainer, module):
        pass
