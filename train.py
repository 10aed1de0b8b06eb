"""Train one network, or sweep over many: `python train.py --help`."""

import hydra

from orthontk.cli import command


@command
@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    from orthontk.run import run  # imports torch and Lightning: --help and composition errors need not wait

    return run(config)


if __name__ == "__main__":
    main()
