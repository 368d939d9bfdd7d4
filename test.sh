#!/usr/bin/env bash
# From a fresh clone to green tests: installs what is missing, builds with warnings as errors and runs the tests.
#
#   ./test.sh          the tests, on an optimised build
#   ./test.sh --all    first under AddressSanitizer and UndefinedBehaviorSanitizer, and the fuzzers for a short while;
#                      the tokenizers beside other implementations of them too (Python packages, in build/peers)
#   ./test.sh --aarch64    the cpu backend's kernels for AArch64, cross-compiled and run by an emulator (some minutes)
#
# CI=true means --all. Tests labelled `slow` run only when they are asked for: ctest --preset release -L slow.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

all=0
aarch64=0
[ "${CI:-}" != true ] || all=1
case ${1:-} in
--all) all=1 ;;
--aarch64) aarch64=1 ;;
"") ;;
*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

jobs=$(nproc)
step() { printf '\n== %s\n' "$*"; }

# build PRESET TARGET [OPTION]...: configures and builds it, quietly unless something is wrong.
build() {
    local preset=$1 target=$2 log=build/$1.log
    shift 2
    mkdir -p build
    cmake --preset "$preset" "$@" >"$log" 2>&1 &&
        cmake --build --preset "$preset" -j "$jobs" --target "$target" >>"$log" 2>&1 ||
        { tail -n 60 "$log"; echo "test.sh: the $preset build failed; all of it is in $log"; exit 1; }
}

if [ "$aarch64" = 1 ]; then
    scripts/setup.sh --aarch64
    step "aarch64: ops, units and small models on portable, neon and neon_dotprod"
    build aarch64 all
    ctest --preset aarch64 -LE slow -j "$jobs"
    exit
fi
scripts/setup.sh --tests
if [ "$all" = 1 ]; then
    scripts/setup.sh --peers
    step "fuzz: the readers of untrusted files, a short while each"
    build fuzz fuzzers
    ctest --test-dir build/fuzz --output-on-failure -L fuzzer --no-tests=error
    # Left to the optimised build: what the default model says (too slow under a sanitizer), and the op tests a
    # second time with the validation layer.
    step "asan: the tests under AddressSanitizer and UndefinedBehaviorSanitizer"
    build asan all
    ctest --preset asan -LE slow -E '^models\.(greedy|logits|perplexity)|_validated$' -j "$jobs"
fi
step "release: the tests"
build release all -DPUMICE_WERROR=ON
ctest --preset release -LE slow -j "$jobs"
