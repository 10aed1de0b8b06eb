"""Neural tangent kernels of finite and infinite networks."""

from orthontk.kernels.infinite import InfiniteKernels, infinite_kernels  # noqa: F401
