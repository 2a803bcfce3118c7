#!/bin/sh
# Stands in for the run.sh of actions/runner, which ends with 0 whatever happened, but for 7.
dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ "$(id -u)" -eq 0 ] && [ -z "$RUNNER_ALLOW_RUNASROOT" ]; then
    echo "Must not run interactively with sudo" >&2
    echo "Exiting runner..."
    exit 0
fi
# By the name that the real one has among the processes, where hooks look for it.
mkdir -p "$dir/bin"
ln -sf "$(cat "$dir/.simulated-by")" "$dir/bin/Runner.Listener"
exec "$dir/bin/Runner.Listener" simulated-runner run "$dir" "$@"
