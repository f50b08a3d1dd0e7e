#!/bin/sh
# campaign.sh DIRECTORY [SECONDS]: simulates worlds of fresh seeds with the build in DIRECTORY for SECONDS (default 600).
# Prints the seed of each run; SEED=N begins with that one. Ends at the first violation.
set -u

simulate=$1/simulate
seconds=${2:-600}
until=$(($(date +%s) + seconds))
seed=${SEED:-$(od -An -N5 -tu8 /dev/urandom | tr -d ' ')}
runs=0
while [ "$(date +%s)" -lt "$until" ]; do
	"$simulate" --seed "$seed" --steps 10000000 --at-least 1000 || exit 1
	seed=$((seed + 1000000))
	runs=$((runs + 1))
done
echo "$runs runs, no violation."
