"""When does orthogonal initialization change how a deep network trains?

The numerical core (`networks`, `init`, `kernels`) needs torch, SciPy and safetensors only. Training, configuration
and tracking are built on it in the other packages.
"""
