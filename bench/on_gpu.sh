#!/usr/bin/env bash
# Everything worth knowing on a machine with a GPU, in one command of under nine minutes:
#     bench/on_gpu.sh [FOLDER FOR THE RESULTS]        default: bench/results
# Needs nvcc, Python with jax and the package's dependencies; installs nothing. Peers that are not
# there are left out. BUDGET (seconds, default 520) is divided over the parts; a part that runs
# out of its share, or fails, is said so, and the next one goes on.
set -uo pipefail
cd "$(dirname "$0")/.."
results=$(mkdir -p "${1:-bench/results}" && cd "${1:-bench/results}" && pwd)
export COLUMNS=120 PYTHONPATH=.:kernels${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
export XLA_PYTHON_CLIENT_PREALLOCATE=false  # the peers' processes and the tests share the card
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$(mktemp -d)}
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0
python=${PYTHON:-python3} begun=$SECONDS budget=${BUDGET:-520}
log=$results/gpu.log
: >"$log"

part() { # part NAME SECONDS COMMAND...
    local name=$1 most=$2 left=$((budget - (SECONDS - begun)))
    shift 2
    if ((left < 5)); then echo "== $name: no time left" | tee -a "$log"; return; fi
    local start=$SECONDS status=0
    echo "== $name: $*" | tee -a "$log"
    timeout "$((most < left ? most : left))" "$@" 2>&1 | tail -n "${LINES_OF:-40}" | tee -a "$log" || status=$?
    echo "-- $name: status $status, $((SECONDS - start)) s" | tee -a "$log"
}

part machine 20 nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm --format=csv
part build 150 "$python" -m jaxcpp_kernels.build
part info 40 "$python" -m jaxcpp info
part ceilings 40 "$python" -m bench ceilings
part tests 150 "$python" -m pytest -q -x --no-header -p no:cacheprovider -p no:benchmark \
    tests/kernels/test_device.py tests/mechanism/test_paper.py
part "iowa, cold" 60 "$python" -m jaxcpp plan examples/iowa "$(mktemp -d)/run"
part "iowa, second run" 30 "$python" -m jaxcpp plan examples/iowa "$(mktemp -d)/run"
for size in S:32768 M:16384 L:512 W:512; do
    part "contracts $size" 90 "$python" -m bench contracts --size "${size%:*}" --batch "${size#*:}" \
        --tolerance 1e-6 --peers jaxcpp,ortools --results "$results"
done
part kernels 60 "$python" -m bench kernels
for size in S:32768 M:16384 L:2048 W:512; do
    part "steps $size" 60 "$python" -m bench steps --size "${size%:*}" --batch "${size#*:}" --repeats 3
done
part "iowa by admm" 120 "$python" -m jaxcpp plan examples/iowa "$(mktemp -d)/run" --method admm --tolerance 1e-4
echo "== done in $((SECONDS - begun)) s, results in $results" | tee -a "$log"
