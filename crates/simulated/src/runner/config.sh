#!/bin/sh
# Stands in for the config.sh of actions/runner: same options, a simulated GitHub behind them.
dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if [ "$(id -u)" -eq 0 ] && [ -z "$RUNNER_ALLOW_RUNASROOT" ]; then
    echo "Must not run with sudo" >&2
    exit 1
fi
exec "$(cat "$dir/.simulated-by")" simulated-runner config "$dir" "$@"
