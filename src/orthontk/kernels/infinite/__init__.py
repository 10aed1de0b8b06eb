"""NNGP and NTK of networks of infinite width."""

from orthontk.kernels.infinite.recursion import InfiniteKernels, infinite_kernels

__all__ = ["InfiniteKernels", "infinite_kernels"]
