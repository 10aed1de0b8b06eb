"""Many small computations on several threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def at_once(functions: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the functions returns, in their order, from as many threads as PyTorch has.

    Every function has one thread for itself: the eigenvalues of a small kernel gain little from more, and what a
    replica logs does not depend on how many others there are. What a function raises is raised.

    >>> at_once([lambda: 1, lambda: 2])
    [1, 2]
    """
    threads = torch.get_num_threads()
    # PyTorch gives a new thread the number that was set last, so that all of them have to say the same until they end.
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(lambda function: function(), functions))
    finally:
        torch.set_num_threads(threads)
