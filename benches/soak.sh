#!/usr/bin/env bash
# A billion steps of a small task in one run: its memory must stay flat and its counters must not drift.
#
# bash benches/soak.sh PROGRAM DIR [STEPS]     PROGRAM: trainer; DIR: where the run and memory.csv go, taken up again where it stands
#
# Memory is read every ten seconds (resident, in kB, from /proc: Linux). At the end the run's own counts are held beside what they must be:
# every row's steps, and the episodes, of 500 steps each, in which all steps lie but the first and the last few of each environment.
set -euo pipefail

program=$1
dir=$2
steps=${3:-1000000000}
mkdir -p "$dir"

if [ -e "$dir/run/config.json" ]; then
    arguments=(train --resume "$dir/run" --total-steps "$steps")
else
    arguments=(train --env PointCircle1 --num-envs 4096 --total-steps "$steps" --out "$dir/run"
        --set rollout_steps=64 --set policy.hidden=8 --set critic.hidden=8 --set critic.epochs=1
        --set critic.minibatch_size=65536 --set kfcpo.minibatch_size=262144)
fi
"$program" "${arguments[@]}" --threads 1 --device cpu --quiet &
pid=$!
trap 'kill -TERM $pid 2>/dev/null || true' INT TERM
while kill -0 "$pid" 2>/dev/null; do
    resident=$(grep VmRSS "/proc/$pid/status" 2>/dev/null | tr -dc 0-9 || true)
    if [ -n "$resident" ]; then
        echo "$(date +%s),$resident" >>"$dir/memory.csv"
    fi
    sleep 10
done
wait "$pid"

awk -F, 'NR == 1 { first = $1 } { seconds[NR] = $1 - first; kb[NR] = $2 }
    END {
        for (part = 0; part <= 10; part++) {
            row = int(1 + part * (NR - 1) / 10)
            printf "memory after %6d s: %d kB\n", seconds[row], kb[row]
        }
    }' "$dir/memory.csv"
awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    { rows++; if ($column["iteration"] != rows || $column["steps"] != rows * 4096 * 64) wrong++; steps = $column["steps"] }
    END { printf "%d iterations, %d steps, rows that do not follow: %d\n", rows, steps, wrong }' "$dir/run/metrics.csv"
awk -F, 'NR > 1 { episodes++; steps += $5; if ($5 != 500) odd++; last = $2 }
    END { printf "%d episodes, %d of another length, %d steps in them, %d not\n", episodes, odd, steps, last - steps }' "$dir/run/episodes.csv"
