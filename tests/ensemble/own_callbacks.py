"""Callbacks of a user's own, written as for a single run."""

from orthontk.callbacks import ScheduledCallback


class Rate(ScheduledCallback):
    """Logs as Lightning's own callbacks do."""

    def measure(self, trainer, module, step):
        trainer.logger.log_metrics({"own/rate": trainer.optimizers[0].param_groups[0]["lr"]}, step)
