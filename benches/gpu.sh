#!/usr/bin/env bash
# The first minutes on a card, in one command: does it compute what it should, how fast is it, does it learn?
#
#   benches/gpu.sh pack target/release/trainer gpu-kit.tar.gz   # where it was built: strips and packs it, with this script
#   tar xf gpu-kit.tar.gz && bash gpu-kit/gpu.sh                # on the card, which needs neither network nor toolchain
#
# Writes OUT/gpu.json and OUT/gpu.md. Every part has a time limit; one that fails is noted and the next begins. By the environment:
#   DEVICE=cuda     the device (cpu, wgpu, vulkan, cuda:N)     OUT=gpu-results   where the results go
#   BUDGET=450      seconds of all parts together              SMALL=1           sizes that take a CPU half a minute
#   TRAINER=PATH    the program; without it the one beside this script, or the repository's target/release/trainer
set -uo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# Bytes of the packed program at most: what a lent machine takes.
MOST_BYTES=$((50 * 1024 * 1024))

# Packs the program $1 as $2: by gzip, which is everywhere, or where that is too large by xz.
pack() {
    local program="$1" archive="$2" kit
    kit="$(mktemp -d)"
    mkdir -p "$kit/gpu-kit/compare" || exit 1
    strip -o "$kit/gpu-kit/trainer" "$program" || exit 1
    cp "$here/gpu.sh" "$kit/gpu-kit/" && cp "$here"/compare/kfac_update.py "$kit/gpu-kit/compare/" || exit 1
    tar -C "$kit" -czf "$archive" gpu-kit || exit 1
    if [ "$(stat -c %s "$archive")" -gt "$MOST_BYTES" ]; then
        tar -C "$kit" -cf - gpu-kit | xz -9 -T0 >"$archive" || exit 1
    fi
    rm -rf "$kit"
    local bytes
    bytes="$(stat -c %s "$archive")"
    echo "$archive: $bytes bytes"
    [ "$bytes" -le "$MOST_BYTES" ] || { echo "error: $archive is larger than $MOST_BYTES bytes" >&2; exit 1; }
}

if [ "${1:-}" = pack ]; then
    [ $# -eq 3 ] || { echo "usage: $0 pack PROGRAM ARCHIVE" >&2; exit 2; }
    pack "$2" "$3"
    exit 0
elif [ $# -gt 0 ]; then
    echo "usage: $0 [pack PROGRAM ARCHIVE]" >&2
    exit 2
fi

device="${DEVICE:-cuda}"
out="${OUT:-gpu-results}"
small="${SMALL:-}"
budget="${BUDGET:-450}"
trainer="${TRAINER:-}"
for candidate in "$here/trainer" "$here/../target/release/trainer"; do
    [ -n "$trainer" ] || { [ -x "$candidate" ] && trainer="$candidate"; }
done
[ -x "$trainer" ] || { echo "error: there is no program at \`$trainer\`: TRAINER=PATH names one" >&2; exit 2; }
mkdir -p "$out/parts" || exit 1
rm -rf "$out"/parts/* "$out/run" "$out/run-ncu"
begun=$SECONDS
failed=0

# A text as the inside of a JSON string.
escaped() {
    tr -d '\000-\010\013-\037' | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/\t/ /g' | awk '{ printf "%s%s", sep, $0; sep = "\\n" }'
}

# The number called $1 in the JSON on stdin, the first of that name.
number() {
    grep -o "\"$1\": *-\{0,1\}[0-9.eE+-]*" | head -n 1 | sed 's/.*: *//'
}

rows=()
entries=()
# part NAME LIMIT FIGURE COMMAND...: runs a command that prints JSON, for LIMIT seconds or what is left of the budget, and notes
# its number FIGURE.
part() {
    local name="$1" limit="$2" figure="$3" left code start seconds stdout stderr value note
    shift 3
    left=$((budget - SECONDS + begun))
    [ "$left" -lt "$limit" ] && limit="$left"
    stdout="$out/parts/${name//[^A-Za-z0-9_.-]/_}.json"
    stderr="${stdout%.json}.log"
    start=$SECONDS
    if [ "$limit" -lt 3 ]; then
        code=124
        echo "not begun: the $budget s of all parts are over" >"$stderr"
        : >"$stdout"
    else
        timeout --kill-after=5 "$limit" "$@" >"$stdout" 2>"$stderr"
        code=$?
    fi
    seconds=$((SECONDS - start))
    value="$(number "$figure" <"$stdout")"
    note=ok
    [ "$code" -eq 0 ] || { note="failed ($code)"; failed=$((failed + 1)); }
    [ "$code" -ne 124 ] || note="out of time"
    echo "$name: $note, ${value:--} $figure, $seconds s"
    rows+=("| $name | $note | ${value:--} $figure | $seconds |")
    # Lines that are not JSON go into the log alone.
    local result
    result="$(grep -v '^[^]{}[",0-9 ]' "$stdout")"
    case "$result" in
    *$'\n'\{*) result="[$(printf '%s' "$result" | sed -e '2,$s/^{/,{/')]" ;;
    "") result=null ;;
    esac
    # Cut off in the middle by its time limit.
    [ "$code" -ne 124 ] || result=null
    entries+=("{\"part\": \"$name\", \"exit\": $code, \"seconds\": $seconds, \"command\": \"$(echo "$*" | escaped)\", \"log\": \"$(tail -n 60 "$stderr" | escaped)\", \"result\": $result}")
}

bench() { part "bench $*" "$limit" "$figure" "$trainer" bench "$@" --device "$device" --json; }

card="$( (nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || grep -m 1 'model name' /proc/cpuinfo 2>/dev/null | sed 's/.*: //' || uname -m) | head -n 1)"

if [ -n "$small" ]; then
    part check 60 seconds "$trainer" check --device "$device" --json --only kernel/gather,kernel/averages,env/PointGoal0
    part train 60 return_mean "$trainer" train --env PointGoal0 --total-steps 5k --num-envs 16 --set rollout_steps=40 --device "$device" --out "$out/run" --quiet --json
    limit=60 figure=steps_per_s
    bench env --env PointGoal0 --num-envs 64
    limit=60 figure=ms_per_update
    bench kfac --batch 256 --hidden 16,16
else
    part check 150 seconds "$trainer" check --device "$device" --json --quick --part-seconds 60
    part train 90 return_mean "$trainer" train --preset gpu --env PointGoal1 --seed 0 --total-steps 1e7 --device "$device" --out "$out/run" --quiet --json
    figure=steps_per_s
    for envs in 2048 16384 65536; do
        limit=30 && bench train --env PointGoal1 --num-envs "$envs"
    done
    # Launches of the critics' regression recorded and replayed as one.
    limit=30 && bench train --env PointGoal1 --num-envs 2048 --set critic.graph=true
    figure=ms_per_update
    for hidden in 64,64 256,256; do
        for fisher in exact sampled; do
            limit=20 && bench kfac --batch 32768 --hidden "$hidden" --fisher "$fisher"
        done
    done
    if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        part "PyTorch kfac" 45 ms_per_update python3 "$here/compare/kfac_update.py" --device cuda --batch 32768 --seconds 1
    else
        rows+=("| PyTorch kfac | skipped: no torch with CUDA | | |")
    fi
    figure=steps_per_s
    for envs in 65536 4096 1048576; do
        for env in PointGoal0 PointGoal1 CarGoal1 PointPush1; do
            limit=20 && bench env --env "$env" --num-envs "$envs"
        done
    done
fi

# The three kernels that take longest, by Nsight Compute: time, share of the arithmetic's and of the memory's peak, warps in flight.
longest=""
if [ -z "$small" ] && command -v ncu >/dev/null; then
    metrics=gpu__time_duration.sum,sm__throughput.avg.pct_of_peak_sustained_elapsed,dram__throughput.avg.pct_of_peak_sustained_elapsed,sm__warps_active.avg.pct_of_peak_sustained_active
    profiled="$out/parts/ncu.csv"
    timeout --kill-after=5 60 ncu --csv --target-processes all --launch-skip 400 --launch-count 300 --metrics "$metrics" \
        "$trainer" train --preset gpu --total-steps 100k --device "$device" --out "$out/run-ncu" --quiet >"$profiled" 2>"$out/parts/ncu.log"
    # Columns are quoted; the last three are a metric's name, unit and value, the fifth is the kernel.
    longest="$(awk -F'","' '/^"[0-9]+"/ { gsub(/[",]/, "", $NF); v[$5, $(NF - 2)] = $NF; n[$5]; if ($(NF - 2) ~ /duration/ && $NF + 0 > t[$5]) t[$5] = $NF + 0 }
        END { for (k in n) { row = k; for (m in v) { split(m, p, SUBSEP); if (p[1] == k) row = row "; " p[2] " " v[m] } print t[k] "\t" row } }' "$profiled" | sort -rn | head -n 3 | cut -f 2)"
fi

seconds=$((SECONDS - begun))
version="$("$trainer" --version)"
{
    printf '{"card": "%s", "device": "%s", "version": "%s", "date": "%s", "seconds": %d, "failed": %d, "longest_kernels": "%s", "parts": [\n' \
        "$(echo "$card" | escaped)" "$device" "$version" "$(date -u +%F)" "$seconds" "$failed" "$(echo "$longest" | escaped)"
    for i in "${!entries[@]}"; do
        [ "$i" -eq 0 ] || echo ,
        echo "${entries[$i]}"
    done
    echo ']}'
} >"$out/gpu.json"
{
    echo "# $card"
    echo
    echo "$version, device \`$device\`, $(date -u +%F): $((${#entries[@]} - failed)) of ${#entries[@]} parts ok in $seconds s (\`benches/gpu.sh\`)."
    echo
    echo "| part | | figure | seconds |"
    echo "|---|---|---|---|"
    printf '%s\n' "${rows[@]}"
    if [ -n "$longest" ]; then
        printf '\nThe longest kernels, by Nsight Compute:\n\n```\n%s\n```\n' "$longest"
    fi
    printf '\nThe check:\n\n```\n'
    cat "$out/parts/check.log"
    printf '```\n'
} >"$out/gpu.md"
echo "$out/gpu.md, $out/gpu.json: $seconds s, $failed parts failed"
# What the card computes decides; a part that was too slow or is not there does not.
grep -q '"passed": true' "$out/parts/check.json"
