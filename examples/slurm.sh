#!/bin/bash
# A study on all nodes of a Slurm job: sbatch examples/slurm.sh lstm-width-lr
#SBATCH --job-name=gridscape
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=02:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
# For GPUs: #SBATCH --gpus-per-node=4, and they are found.
set -u

here=${SLURMD_NODENAME:-$(hostname)}
port=$((20000 + SLURM_JOB_ID % 20000))
others=$((SLURM_NNODES - 1))
node=(--block --num-cpus="$SLURM_CPUS_PER_TASK" --disable-usage-stats)
started=()
# Only who has the token of this job may use its Ray; srun hands it to the nodes.
export RAY_AUTH_MODE=token RAY_worker_niceness=0
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN

# Ray on this node, the first one of the job, then on the others.
ray start --head --port="$port" --include-dashboard=false "${node[@]}" \
    >"ray-$SLURM_JOB_ID.log" 2>&1 &
started+=($!)
for _ in $(seq 120); do
    (: <"/dev/tcp/$here/$port") 2>/dev/null && break
    sleep 1
done
if [ "$others" -gt 0 ]; then
    srun --nodes="$others" --ntasks="$others" --exclude="$here" \
        ray start --address="$here:$port" "${node[@]}" >"ray-$SLURM_JOB_ID-nodes.log" 2>&1 &
    started+=($!)
fi

# Nodes that come later are used when they are there.
gridscape run "$@" --executor ray --address "$here:$port" &
run=$!
# Two minutes before the time is over: keep what is trained. The same job goes on.
trap 'kill -TERM "$run"' TERM
wait "$run"
status=$?
while kill -0 "$run" 2>/dev/null; do # the trap ended the first wait
    wait "$run"
    status=$?
done

kill "${started[@]}" 2>/dev/null
if [ "$status" -eq 130 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
