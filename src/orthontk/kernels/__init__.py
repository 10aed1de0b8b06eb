"""Neural tangent kernels of finite and infinite networks."""

from orthontk.kernels.empirical import empirical_ntk

__all__ = ["empirical_ntk"]
