"""The settings of a job of a second: a narrow network, few images, few steps; and of what is interrupted in one."""

SMALL = (
    "model.width=8",
    "model.depth=3",
    "data.train_size=60",
    "data.val_size=20",
    "data.test_size=20",
    "data.batch_size=10",
    "trainer.max_steps=6",
    "trainer.val_check_interval=2",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "callbacks.ntk.probe_size=10",
    "callbacks.ntk.steps=[0,6]",
    "checkpoint.every_n_steps=2",
    "logger=csv",
    "figures=false",
)

LONGER = ("trainer.max_steps=24", "callbacks.ntk.steps=3", "checkpoint.every_n_steps=4", "trainer.val_check_interval=6")
