"""The presets of the paper's studies."""

STUDIES = [
    "depth_fluctuation",
    "dynamical_isometry",
    "kernel_convergence",
    "kernel_drift",
    "lazy_full_batch",
    "lazy_sgd",
    "learning_speed",
]
