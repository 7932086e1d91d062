#!/bin/sh
# Plays helm: notes how it was called, then does what the test has planned.
if [ "$1" = version ]; then
    cat "$HOME/version"
    exit
fi
printf '%s\n' "$@" >"$HOME/arguments"
env | sort >"$HOME/environment"
cat >"$HOME/input"
. "$HOME/plan"
