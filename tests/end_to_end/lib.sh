# What the shell tests of whole meshes share. Sourced by bash with `set -euo pipefail` on; the test
# then calls start_test. Everything lives in one temporary directory and ends with the test.

readonly nodes=(hq coop platform service)
readonly deadline_s=120 # for what takes a moment; only a failure waits so long

# start_test BIN_DIRECTORY CONTRACT_FILE
start_test() {
  readonly tally=$1/tally tallyd=$1/tallyd contract=$2
  scratch=$(mktemp -d)
  mesh=$scratch/mesh
  export TALLYMESH_MESH=$mesh
  background=() # processes of the test itself, to end with it
  trap clean_up EXIT
  trap 'exit 143' INT TERM
}

clean_up() {
  local code=$? each
  trap - EXIT INT TERM
  for each in "${background[@]}"; do kill "$each" 2> /dev/null || true; done
  for each in "${nodes[@]}"; do signal_node CONT "$each" 2> /dev/null || true; done
  "$tally" down "$mesh" --within 10 --force > /dev/null 2>&1 || true
  if [ "$code" -ne 0 ]; then tail -n 20 "$mesh"/*/tallyd.log >&2 || true; fi
  rm -rf -- "$scratch"
  exit "$code"
}

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# expect CODE COMMAND...: the command's output goes to $scratch/out and its errors to $scratch/err.
expect() {
  local wanted=$1 code=0
  shift
  "$@" > "$scratch/out" 2> "$scratch/err" || code=$?
  [ "$code" -eq "$wanted" ] ||
    fail "exit $code instead of $wanted: $* $(cat "$scratch/out" "$scratch/err")"
}

# out_has TEXT..., err_has TEXT...: what the last `expect` printed holds each text.
out_has() { file_has "$scratch/out" "$@"; }
err_has() { file_has "$scratch/err" "$@"; }
file_has() {
  local file=$1 text
  shift
  for text in "$@"; do grep -qF -e "$text" "$file" || fail "no '$text' in: $(tail -n 20 "$file")"; done
}

# within SECONDS COMMAND...: asks again until the command succeeds, for what announces no event.
within() {
  local end_ms=$(($(date +%s%3N) + $1 * 1000))
  shift
  until "$@"; do
    [ "$(date +%s%3N)" -lt "$end_ms" ] || fail "not in time: $*"
    sleep 0.05
  done
}

make_mesh() {
  "$tally" init "$mesh" --nodes hq:level1,coop:level2,platform:level3,service:service \
    --contract "$contract" > /dev/null
}
up() { "$tally" up "$mesh" "$@" --within "$deadline_s" > "$scratch/up" || fail "up: $(cat "$scratch/up")"; }
down() { "$tally" down "$mesh" "$@" --within 10 > /dev/null || fail "down $*"; }

pid_of() { cat "$mesh/$1/tallyd.pid"; }
signal_node() { kill "-$1" "$(pid_of "$2")"; }
log_of() { printf '%s\n' "$mesh/$1/tallyd.log"; }

# setting NODE KEY: a quoted value of its config.
setting() { sed -n "s/^$2 = \"\(.*\)\"/\1/p" "$mesh/$1/node.toml"; }
url_of() { printf 'http://%s\n' "$(setting "$1" listen)"; }
token_of() { sed -n 's/^operator //p' "$mesh/$1/tokens"; }
link_address_of() { grep -A 3 "^name = \"$1\"" "$mesh/genesis.toml" | sed -n 's/^address = "\(.*\)"/\1/p'; }

# status_of NODE: one line of JSON.
status_of() { "$tally" status --url "$(url_of "$1")" --token "$(token_of "$1")" -o json 2> /dev/null; }
status_has() { status_of "$1" | grep -qF -e "$2"; }

# street_rows FIRST LAST: CSV rows with the names of its fields before.
street_header=code,name,areaCode,provinceCode,cityCode
street_rows() {
  printf '%s\n' "$street_header"
  seq -f '%09.0f' "$1" "$2" | sed 's/$/,street,110101,11,1101/'
}

# identical RECORDS: all four nodes hold the same, and so many records.
identical() {
  expect 0 "$tally" compare --within "$deadline_s" -o json
  out_has '"verdict":"identical"'
  if [ $# -gt 0 ]; then
    expect 0 "$tally" status -o json
    [ "$(grep -o "\"records\":$1\b" "$scratch/out" | wc -l)" -eq 4 ] ||
      fail "not every node holds $1 records: $(cat "$scratch/out")"
  fi
}

# start_load FIRST: stores streets through all nodes in the background until stop_load.
start_load() {
  mkfifo "$scratch/rows"
  "$tally" store - --format csv --table divisions.streets --all-nodes --request-rows 50 \
    --give-up-after "$deadline_s" < "$scratch/rows" > "$scratch/load" 2>&1 &
  load_pid=$!
  background+=("$load_pid")
  # Writes until the load is told to stop: then it says how many rows there were.
  rm -f "$scratch/stop"
  (
    exec 3> "$scratch/rows"
    printf '%s\n' "$street_header" >&3
    next=$1
    while [ ! -e "$scratch/stop" ]; do
      street_rows "$next" $((next + 99)) | tail -n +2 >&3
      next=$((next + 100))
    done
    printf '%d\n' "$((next - $1))" > "$scratch/fed"
  ) &
  feed_pid=$!
  background+=("$feed_pid")
}

# stop_load: every row must have been stored; sets fed_rows.
stop_load() {
  touch "$scratch/stop"
  wait "$feed_pid" || fail "storing ended early: $(cat "$scratch/load")"
  wait "$load_pid" || fail "not every row was stored: $(cat "$scratch/load")"
  fed_rows=$(< "$scratch/fed")
  rm -f "$scratch/rows"
  background=()
}
