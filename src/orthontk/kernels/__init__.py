"""Neural tangent kernels of finite and infinite networks."""

from orthontk.kernels.empirical import empirical_ntk
from orthontk.kernels.explain import explain_ntk
from orthontk.kernels.infinite import InfiniteKernels, infinite_kernels
from orthontk.kernels.layer_shares import ntk_and_layer_shares
from orthontk.kernels.operator import NTKOperator

__all__ = ["InfiniteKernels", "NTKOperator", "empirical_ntk", "explain_ntk", "infinite_kernels", "ntk_and_layer_shares"]
