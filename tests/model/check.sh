#!/bin/sh
# Explores voting.pml exhaustively and says what came of it.
#
#   check.sh            all rules: no assertion may fail, and nothing may stay unexplored
#   check.sh NO_S7_5    a rule left out: an assertion must fail; prints the steps that lead there
set -eu
model=$(cd "$(dirname "$0")" && pwd)/voting.pml
without=${1:-}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

cp "$model" voting.pml
spin ${without:+-D$without} -a voting.pml > spin.out || { cat spin.out >&2; exit 2; }
cc -O1 -DSAFETY -DMEMLIM=5000 -w -o pan pan.c
./pan -m10000 -w23 > pan.out 2>&1 || true
grep -E 'errors:|states, stored|total actual memory|elapsed|reached' pan.out || cat pan.out

case $without in
NO_*)
  if ! grep -q 'assertion violated' pan.out; then
    echo "check.sh: no assertion fails without ${without#NO_}" >&2
    exit 1
  fi
  echo "Without ${without#NO_} an assertion fails, as it must, when"
  spin -D"$without" -t voting.pml | grep -E '^ *(a node|spin: .*Error)' || true
  ;;
*)
  if ! grep -q 'errors: 0' pan.out || grep -qE 'not completed|max search depth|out of memory' pan.out; then
    cat pan.out >&2
    echo "check.sh: the rules do not hold, or not all was explored" >&2
    exit 1
  fi
  ;;
esac
