"""Neural tangent kernels of finite and infinite networks."""
