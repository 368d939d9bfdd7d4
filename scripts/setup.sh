#!/usr/bin/env bash
# Installs what pumice needs and this machine lacks, from the packages of Debian or Ubuntu.
#
#   scripts/setup.sh           what building and running takes
#   scripts/setup.sh --tests   and what the tests take: Vulkan implementations in software, validation layers, clang
#   scripts/setup.sh --peers   Python packages that our tokenizers are compared with, and a newer shader compiler, in
#                              build/peers and nowhere else
#   scripts/setup.sh --aarch64 a cross-compiler, an emulator and arm64 libraries for the preset aarch64 (Debian only)
#
# Asks for root (sudo) only where something is missing, and says what it is about to do. Where all is there it takes
# a moment and changes nothing.
set -euo pipefail

with_tests=0
with_peers=0
with_aarch64=0
for argument in "$@"; do
    case $argument in
    --tests) with_tests=1 ;;
    --peers) with_peers=1 ;;
    --aarch64) with_aarch64=1 ;;
    *) echo "usage: scripts/setup.sh [--tests] [--peers] [--aarch64]" >&2; exit 2 ;;
    esac
done

missing=()   # packages
reasons=()   # what each is for, in the same order

# need PACKAGE "what for" COMMAND...: the package is missing unless the command succeeds.
need() {
    local package=$1 reason=$2
    shift 2
    if ! "$@" >/dev/null 2>&1; then
        missing+=("$package")
        reasons+=("$reason")
    fi
}
have() { command -v "$1"; }
library() { pkg-config --exists "$@"; }
some_file() { compgen -G "$1"; }
compiles_c() { printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c - -o /dev/null; }
compiles_cxx() { printf '#include <cstdio>\nint main() { return 0; }\n' | c++ -x c++ - -o /dev/null; }
new_cmake() { cmake --version | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || (v[1] == 3 && v[2] >= 22)) }'; }
python_pip() { python3 -m pip --version || python3 -c 'import ensurepip, venv'; }
python_venv() { python3 -c 'import ensurepip, venv'; }
links_fuzzer() {
    printf '#include <stddef.h>\n#include <stdint.h>\nint LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return d && n ? 0 : 0; }\n' |
        clang -x c -fsanitize=fuzzer,address - -o /dev/null
}

check() {
    missing=() reasons=()
    need gcc "the C compiler" have cc
    need libc6-dev "the C library's headers" compiles_c
    need cmake "the build, 3.22 or newer" new_cmake
    need ninja-build "the build" have ninja
    need pkg-config "finding libraries" have pkg-config
    need libvulkan-dev "Vulkan headers and loader" library vulkan
    need glslang-tools "compiling shaders" have glslangValidator
    need spirv-tools "optimising and validating shaders" have spirv-opt
    need libzstd-dev "packing shaders" library libzstd
    need libicu-dev "Unicode" library icu-uc icu-i18n
    need libjansson-dev "JSON" library jansson
    need libedit-dev "the interactive prompt" library libedit
    need libcmocka-dev "unit tests" library cmocka
    need python3 "pull" have python3
    need python3-pip "pull" python_pip
    need ca-certificates "pull" test -e /etc/ssl/certs/ca-certificates.crt
    if [ "$with_peers" = 1 ]; then
        need python3-venv "the packages of build/peers" python_venv
        need unicode-data "Unicode's own test strings" some_file '/usr/share/unicode/NormalizationTest.txt*'
    fi
    if [ "$with_aarch64" = 1 ]; then
        local library
        need gcc-aarch64-linux-gnu "the C compiler for AArch64" have aarch64-linux-gnu-gcc
        need libc6-dev-arm64-cross "the C library's headers for AArch64" test -e /usr/aarch64-linux-gnu/include/stdio.h
        need qemu-user-static "running AArch64 programs" have qemu-aarch64-static
        for library in icu-i18n:icu jansson:jansson libedit:edit cmocka:cmocka; do
            need "lib${library#*:}-dev:arm64" "a library for AArch64" \
                test -e "/usr/lib/aarch64-linux-gnu/pkgconfig/${library%:*}.pc"
        done
    fi
    if [ "$with_tests" = 1 ]; then
        need g++ "public headers compiled as C++" compiles_cxx
        need clang "fuzzing" links_fuzzer
        need mesa-vulkan-drivers "lavapipe, a Vulkan implementation in software" \
            some_file '/usr/share/vulkan/icd.d/lvp_icd*.json'
        need vulkan-validationlayers "the Khronos validation layer" \
            some_file '/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json'
        need chromium "SwiftShader, another Vulkan implementation in software" \
            test -e /usr/lib/chromium/libvk_swiftshader.so
    fi
}

# Ubuntu's chromium is a snap without a Vulkan library of its own.
drop_chromium_on_ubuntu() {
    local kept=() kept_reasons=() i
    for i in "${!missing[@]}"; do
        if [ "${missing[$i]}" = chromium ]; then
            echo "setup: Ubuntu has no package with SwiftShader; tests on it will say that they are skipped" >&2
        else
            kept+=("${missing[$i]}")
            kept_reasons+=("${reasons[$i]}")
        fi
    done
    missing=("${kept[@]}") reasons=("${kept_reasons[@]}")
}

# Installs the packages where they are not there, or not in the versions that are asked for.
peers() {
    local root list
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    list=$root/tests/tokenizers/requirements.txt
    cmp -s "$list" "$root/build/peers/installed.txt" && return
    echo "setup: Python packages to compare with, in build/peers" >&2
    python3 -m venv "$root/build/peers" >&2
    "$root/build/peers/bin/pip" install --quiet --disable-pip-version-check -r "$list" >&2
    cp "$list" "$root/build/peers/installed.txt"
}
finish() {
    [ "$with_peers" = 0 ] || peers
    exit 0
}

system=$( . /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}") || system=
check
case " $system " in *" ubuntu "*) drop_chromium_on_ubuntu ;; esac
[ ${#missing[@]} -gt 0 ] || finish

echo "setup: missing on this machine:" >&2
for i in "${!missing[@]}"; do
    printf '  %-24s %s\n' "${missing[$i]}" "${reasons[$i]}" >&2
done

if ! command -v apt-get >/dev/null; then
    echo "setup: this script installs packages on Debian and Ubuntu only. Here, install what the list names (the names" >&2
    echo "are Debian's) with your system's package manager, then run this again." >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "setup: run this as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

# libFuzzer and the sanitizers of clang are a package that clang only recommends; it is named after the version.
for package in "${missing[@]}"; do
    if [ "$package" = clang ]; then
        clang_runtime=1
    fi
done

echo "setup: installing them with apt-get${as_root[0]:+ (sudo asks for your password)}" >&2
[ "$with_aarch64" = 0 ] || "${as_root[@]}" dpkg --add-architecture arm64
"${as_root[@]}" apt-get update -q >&2
if [ "${clang_runtime:-0}" = 1 ]; then
    version=$(apt-cache depends clang | sed -n 's/^ *Depends: clang-\([0-9][0-9]*\)$/\1/p' | head -n 1)
    missing+=("libclang-rt-$version-dev")
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -q -y --no-install-recommends "${missing[@]}" >&2

check
case " $system " in *" ubuntu "*) drop_chromium_on_ubuntu ;; esac
if [ ${#missing[@]} -gt 0 ]; then
    echo "setup: still missing after the installation: ${missing[*]}" >&2
    exit 1
fi
echo "setup: done" >&2
finish
