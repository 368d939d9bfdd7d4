#!/bin/sh
# with_model.sh NAME PUMICE COMMAND ARGUMENT...: runs the command with each argument MODEL replaced by the path of a known
# model, which `pumice pull NAME` prints (getting it first where it is not there yet).
name=$1 pumice=$2
shift 2
model=$(LD_PRELOAD= "$pumice" pull "$name") || exit 1 # preloads are for the tests, not for pip
for argument; do
    shift
    [ "$argument" != MODEL ] || argument=$model
    set -- "$@" "$argument"
done
exec "$@"
