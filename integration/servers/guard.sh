#!/bin/bash
# Ends what a run started when the run ends, however it ends: reads lines from standard input, and acts on all of
# them when that closes (the kernel closes it even when the run was killed).
#   stop DIR NAME [SIGNAL]   the process whose pid stands in DIR/NAME.pid; INT unless said
#   remove DIR
. "$(dirname "$0")/lib.sh"
trap '' INT TERM HUP
lines=()
while IFS= read -r line; do lines+=("$line"); done
for line in "${lines[@]}"; do
  read -r verb dir name signal <<<"$line"
  case $verb in stop) halt "$dir" "$name" "${signal:-INT}" 10 ;; esac
done
for line in "${lines[@]}"; do
  read -r verb dir name <<<"$line"
  case $verb in remove) rm -rf "$dir" ;; esac
done
