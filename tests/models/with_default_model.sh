#!/bin/sh
# with_default_model.sh PUMICE COMMAND ARGUMENT...: runs the command with each argument MODEL replaced by the path of the
# default model, which `pumice pull` prints (getting it first where it is not there yet).
pumice=$1
shift
model=$(LD_PRELOAD= "$pumice" pull) || exit 1 # preloads are for the tests, not for pip
for argument; do
    shift
    [ "$argument" != MODEL ] || argument=$model
    set -- "$@" "$argument"
done
exec "$@"
