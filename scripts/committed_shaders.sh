#!/bin/sh
# Makes the shader binaries in shaders/committed/ from their sources, or compares the two.
#
# Some shaders need a newer compiler than distributions ship. Their binaries are committed, so that every build has the
# same; the list of them is in shaders/CMakeLists.txt (COMMITTED), and configuring writes it to the build folder.
#
#   scripts/committed_shaders.sh [--check] [BUILD_FOLDER]     default: build/release
#
# The compiler is of fixed versions, from Python packages: scripts/setup.sh --peers installs it in build/peers.
set -eu
cd "$(dirname "$0")/.."
check=0
if [ "${1:-}" = --check ]; then
    check=1
    shift
fi
build=${1:-build/release}
list=$build/shaders/committed.txt
[ -f "$list" ] || { echo "committed_shaders: no $list: configure first (cmake --preset release)" >&2; exit 1; }

prefix=$(echo build/peers/lib/python3*/site-packages/cmeel.prefix)
if [ ! -x "$prefix/bin/glslang" ]; then
    echo "committed_shaders: the shader compiler is not there: run scripts/setup.sh --peers" >&2
    [ "${CI:-}" = true ] && exit 1
    exit 77 # a test that is skipped
fi
export LD_LIBRARY_PATH="$prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

made=shaders/committed
if [ $check = 1 ]; then
    made=$(mktemp -d)
    trap 'rm -rf "$made"' EXIT
fi
mkdir -p "$made"
n=0
while read -r name source target defines; do
    # shellcheck disable=SC2086 # the defines are words
    "$prefix/bin/glslang" --quiet -V --target-env "$target" -Ishaders -Iengine $defines \
        -o "$made/$name.raw" "shaders/$source"
    "$prefix/bin/spirv-opt" -O --target-env="$target" "$made/$name.raw" -o "$made/$name.spv"
    rm "$made/$name.raw"
    "$prefix/bin/spirv-val" --target-env "$target" "$made/$name.spv"
    if [ $check = 1 ] && ! cmp -s "$made/$name.spv" "shaders/committed/$name.spv"; then
        echo "committed_shaders: shaders/committed/$name.spv is not what shaders/$source gives:" \
             "run scripts/committed_shaders.sh" >&2
        exit 1
    fi
    n=$((n + 1))
done < "$list"
[ $n -gt 0 ] || { echo "committed_shaders: $list names none" >&2; exit 1; }
echo "committed_shaders: $n shaders $([ $check = 1 ] && echo agree with || echo made from) their sources"
