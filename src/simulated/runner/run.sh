#!/bin/sh
# Stands in for the run.sh of actions/runner, which ends with 0 whatever happened, but for 7.
dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ "$(id -u)" -eq 0 ] && [ -z "$RUNNER_ALLOW_RUNASROOT" ]; then
    echo "Must not run interactively with sudo" >&2
    echo "Exiting runner..."
    exit 0
fi
exec "$(cat "$dir/.simulated-by")" simulated-runner run "$dir" "$@"
