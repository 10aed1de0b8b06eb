"""Small computations on several threads: each has one thread for itself, and PyTorch's own number is as before."""

import threading

import pytest
import torch

from orthontk.ensemble.at_once import at_once


def test_every_function_has_one_thread_and_several_run_at_a_time():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        both = threading.Barrier(2, timeout=30)  # passed only by two that run at a time

        def compute() -> int:
            both.wait()
            return torch.get_num_threads()

        assert at_once([compute] * 4) == [1] * 4
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_results_keep_their_order_and_do_not_depend_on_how_many_there_are():
    matrices = [torch.randn(90, 90, generator=torch.Generator().manual_seed(seed)) for seed in range(6)]
    functions = [lambda matrix=matrix: torch.linalg.eigvalsh(matrix @ matrix.mT) for matrix in matrices]
    together = at_once(functions)
    for function, result in zip(functions, together, strict=True):
        assert torch.equal(at_once([function])[0], result)


def test_an_error_is_raised_and_the_number_of_threads_is_as_before():
    threads = torch.get_num_threads()
    with pytest.raises(torch.linalg.LinAlgError):
        at_once([lambda: torch.linalg.inv(torch.zeros(2, 2))])
    assert torch.get_num_threads() == threads
