#!/usr/bin/env bash
# One W&B agent for each GPU of this machine, working on a sweep until it has no more runs.
#
#   sweeps/agents.sh SWEEP [ARGUMENT…]     SWEEP is what `wandb sweep FILE` prints: ENTITY/PROJECT/ID
#   sweeps/agents.sh me/orthontk/ab12cd34 --count 10
#
# Further arguments go to `wandb agent`; --count N ends each agent after N runs. CUDA_VISIBLE_DEVICES chooses among the
# GPUs; without one, as on a machine that has none or with CUDA_VISIBLE_DEVICES= (none), there is a single agent on the
# CPU, or N with AGENTS=N.
# What agent i prints goes to outputs/agents/<sweep>/<host>-<i>.log. Ctrl-C or SIGTERM ends all of them; each run keeps
# its last checkpoint. The exit code is 1 if any agent failed.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -lt 1 ] || [ "${1:0:1}" = - ]; then
  echo "usage: sweeps/agents.sh ENTITY/PROJECT/SWEEP [ARGUMENT of wandb agent]…" >&2
  exit 2
fi
sweep=$1
shift

# The GPUs to use: those that are named, or else all; "none" stands for the CPU.
if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
  IFS=, read -ra devices <<<"$CUDA_VISIBLE_DEVICES"
elif [ -z "${CUDA_VISIBLE_DEVICES+set}" ] && command -v nvidia-smi >/dev/null &&
  gpus=$(nvidia-smi --query-gpu=index --format=csv,noheader) && [ -n "$gpus" ]; then
  readarray -t devices <<<"$gpus"
else
  readarray -t devices < <(yes none | head -n "${AGENTS:-1}")
fi

logs=outputs/agents/${sweep##*/}
mkdir -p "$logs"
agents=()
for i in "${!devices[@]}"; do
  [ "${devices[$i]}" = none ] || export CUDA_VISIBLE_DEVICES=${devices[$i]}
  log=$logs/$(hostname -s)-$i.log
  echo "agent $i on device ${devices[$i]}: $log"
  # A process group of its own, so that a signal to it reaches the training, too.
  setsid wandb agent "$@" "$sweep" >>"$log" 2>&1 &
  agents+=($!)
done

end_all() {
  trap '' INT TERM
  for agent in "${agents[@]}"; do kill -TERM -- "-$agent" 2>/dev/null || true; done
}
trap end_all INT TERM

failed=0
for agent in "${agents[@]}"; do
  while true; do  # a trapped signal ends a wait before the agent has ended
    code=0
    wait "$agent" || code=$?
    kill -0 "$agent" 2>/dev/null || break
  done
  [ "$code" = 0 ] || failed=1
done
exit $failed
