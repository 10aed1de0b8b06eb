"""Settings as they are without their interpolations."""

from omegaconf import DictConfig, OmegaConf


def resolved(settings: DictConfig, *left_out: str) -> DictConfig:
    """A copy whose interpolations are what they stand for, without some of its keys."""
    plain = OmegaConf.to_container(settings, resolve=True)
    return OmegaConf.create({key: value for key, value in plain.items() if key not in left_out})
