"""The table of what makes long commands short enough to be tested: nothing is left out, some is made smaller.

Each command that begins as the key does, or as the longest of several keys, gets the arguments behind it; every other
one runs as it stands in the page, but for DIR, a folder of images, and SWEEP.
"""

FEW_STEPS = "trainer.max_steps=3 data.train_size=60 data.val_size=20 data.test_size=20 data.batch_size=20"
# What the nodes of the tests' cluster have, and of the addresses of the machine the one that is nowhere but here.
ON_THE_CLUSTER = (
    "hydra.launcher.gpus_per_node=null hydra.launcher.cpus_per_task=1 hydra.launcher.mem_gb=1 "
    "hydra.launcher.poll_seconds=1"
)
ON_LOOPBACK = "+hydra.launcher.ray.init._node_ip_address=127.0.0.1 +hydra.launcher.ray.init.include_dashboard=false"
SWEEP = {"ENTITY/PROJECT/ID": "lab/orthontk/sweep"}  # as the tests' W&B backend calls every sweep
APPENDED = {
    "python train.py -m hydra/launcher=slurm": ON_THE_CLUSTER,
    "python train.py -m hydra/launcher=ray": ON_LOOPBACK,
    "make run": "ARGS='trainer.max_steps=10'",
    "make test": "PYTEST_ARGS='tests/test_checks.py'",
    "make reproduce DATA=DIR": "STUDIES=dynamical_isometry",
    "make reproduce": "STUDIES=depth_fluctuation",
    "python train.py -m experiment=kernel_drift scale=paper": (
        f"{FEW_STEPS} data.train_size=20 data.batch_size=full data.val_size=0 model.width=16,32"
    ),
    "python train.py -m experiment=learning_speed": (
        "ensemble.seeds=2 trainer.max_steps=5 model.depth=10 data.normalize=none ensemble.learning_rates=[0.1]"
    ),
}
