#!/bin/sh
# Makes the environments of the libraries that ntk_speed.py compares with: sh ntk_peers.sh FOLDER [PYTHON]
# neural-tangents needs an old JAX, and that an old NumPy; nngeometry runs on the PyTorch of PYTHON's environment.
set -eu
folder=$1
python=${2:-python3}
"$python" -m venv "$folder/neural-tangents"
"$folder/neural-tangents/bin/pip" install --quiet \
    "jax==0.4.23" "jaxlib==0.4.23" "numpy<2" "scipy<1.13" "neural-tangents==0.6.5"
"$python" -m venv "$folder/nngeometry"
"$folder/nngeometry/bin/pip" install --quiet --no-deps "nngeometry==0.4"
ours=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
theirs=$("$folder/nngeometry/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$ours" >"$theirs/torch_of_this_project.pth"
