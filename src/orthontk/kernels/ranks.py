"""Sharing tiles among the processes of `torch.distributed`."""

import torch
import torch.distributed as dist
from torch import Tensor

from orthontk.checks import InvalidValue


def rank_and_world() -> tuple[int, int]:
    """This process's rank and how many there are; (0, 1) without `torch.distributed`."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def check_same_problem(fingerprint: dict[str, str]) -> None:
    """Raises InvalidValue unless all ranks have the same network and inputs."""
    fingerprints: list[dict[str, str] | None] = [None] * dist.get_world_size()
    dist.all_gather_object(fingerprints, fingerprint)
    if any(other != fingerprint for other in fingerprints):
        raise InvalidValue("net, x1, x2", "different values on different ranks", "the same on all ranks")


def share_refusal(refusal: InvalidValue | None) -> None:
    """Raises, on every rank, what rank 0 was refused, so that none waits for it; the others give None."""
    shared = [refusal]
    dist.broadcast_object_list(shared)
    if shared[0] is not None:
        raise shared[0]


def gather(theta: Tensor) -> None:
    """Sums over ranks, in place: each rank has its own tiles and zeros elsewhere, so that nothing is rounded."""
    dist.all_reduce(theta)


def any_rank(happened: bool, device: torch.device) -> bool:
    """Whether it happened on any rank, so that none waits for one that has stopped."""
    if rank_and_world()[1] == 1:
        return happened
    count = torch.tensor(float(happened), device=device)
    dist.all_reduce(count)
    return count.item() > 0


def barrier() -> None:
    dist.barrier()
