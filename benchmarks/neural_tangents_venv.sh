#!/usr/bin/env bash
# Create a virtual environment with neural-tangents 0.6.5, the archived reference for NTKs in JAX.
# It does not import on current JAX, and needs NumPy 1.
#   usage: benchmarks/neural_tangents_venv.sh TARGET_DIRECTORY
set -euo pipefail
target=${1:?usage: $0 TARGET_DIRECTORY}
python3 -m venv "$target"
"$target/bin/pip" install --quiet "neural-tangents==0.6.5" "jax==0.4.23" "jaxlib==0.4.23" "numpy<2" "scipy<1.13"
"$target/bin/python" -c "import neural_tangents; print('neural-tangents', neural_tangents.__version__)"
