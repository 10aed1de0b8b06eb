"""Train one network, or sweep over many: `python train.py --help`."""

import hydra
from omegaconf import DictConfig

from orthontk.cli import command, flags_first, importing, job


@command
@flags_first
@hydra.main(version_base="1.3", config_path="conf", config_name="config")
@job
def main(config: DictConfig) -> None:
    with importing():  # torch and Lightning, which neither --help nor a mistyped key should wait for
        from orthontk.run.execute import run

    run(config)


if __name__ == "__main__":
    main()
