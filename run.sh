#!/usr/bin/env bash
# From a fresh clone to a model that answers: installs what is missing, builds, gets the default model and asks it a
# question. `./run.sh "Your question"` asks another one; `./run.sh --chat` starts a chat.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

question="What is the capital of France, and what is it known for?"
case ${1:-} in
--help | -h) sed -n '2,3s/^# //p' "$0"; exit 0 ;;
--chat) question= ;;
?*) question=$* ;;
esac

scripts/setup.sh
mkdir -p build
cmake --preset release >build/configure.log 2>&1 || { cat build/configure.log >&2; exit 1; }
cmake --build --preset release -j "$(nproc)" --target pumice_command plugins/all >&2
build/release/bin/pumice pull >/dev/null

if [ -n "$question" ]; then
    echo >&2
    echo "pumice run --prompt \"$question\"" >&2
    exec build/release/bin/pumice run --prompt "$question"
fi
exec build/release/bin/pumice run
