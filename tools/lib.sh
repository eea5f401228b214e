# Shell functions that tools/demo and tools/test share. Sourced by bash, with `set -euo pipefail` on.

project_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '== %s\n' "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# as_root COMMAND...: as it is for root, through sudo for others.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo -- "$@"
  else
    fail "this needs root: $* (run it as root, or install sudo)"
  fi
}

# The names in tools/packages that are not installed yet, one a line.
missing_packages() {
  local name
  sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$project_dir/tools/packages" |
    while read -r name; do
      [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2> /dev/null)" = installed ] ||
        printf '%s\n' "$name"
    done
}

# install_packages: installs what tools/packages lists; asks the network nothing if all is there.
install_packages() {
  local missing
  command -v dpkg-query > /dev/null ||
    fail "this runs on Debian 12; elsewhere install what tools/packages lists and use cmake"
  mapfile -t missing < <(missing_packages)
  if [ "${#missing[@]}" -eq 0 ]; then return; fi
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

# continue_as_owner SCRIPT ARGUMENT...: when root works in somebody else's checkout (sudo, a mounted
# directory), goes on as the checkout's owner, so that no file of root's stays behind in it. Returns
# if there is nothing to change. Call it after install_packages.
continue_as_owner() {
  local owner group home
  owner=$(stat -c %u "$project_dir")
  group=$(stat -c %g "$project_dir")
  if [ "$(id -u)" -ne 0 ] || [ "$owner" -eq 0 ]; then
    [ -w "$project_dir" ] || fail "$project_dir is not yours to write; clone it anew or use sudo"
    if [ -e "$project_dir/build" ] && [ ! -w "$project_dir/build" ]; then
      fail "$project_dir/build belongs to another user; remove it or use sudo"
    fi
    return 0
  fi
  if [ -d "$project_dir/build" ]; then
    find "$project_dir/build" ! -uid "$owner" -exec chown -h "$owner:$group" {} +
  fi
  home=$(getent passwd "$owner" | cut -d: -f6) || true
  # An owner without an account, or without a home, keeps caches in the build directory.
  if [ ! -d "${home:-}" ]; then home=$project_dir/build; fi
  exec setpriv --reuid "$owner" --regid "$group" --clear-groups \
    env HOME="$home" USER="$(id -un "$owner" 2> /dev/null || printf '%s' "$owner")" "$@"
}

# How many compilers at once: one a core, and two slots of free memory for each.
build_jobs() {
  local cores slots
  cores=$(nproc)
  slots=$(awk '/^MemAvailable:/ { print int($2 / 2097152) }' /proc/meminfo)
  if [ "${slots:-1}" -lt 1 ]; then slots=1; fi
  printf '%d\n' "$((cores < slots ? cores : slots))"
}

# build PRESET [TARGET...]: configures build/PRESET and builds the targets there, or all of them.
build() {
  local preset=$1
  shift
  local log=build/$preset.configure.log
  cd "$project_dir" && mkdir -p build || return
  say "building $preset${*:+: $*}"
  if ! cmake --preset "$preset" > "$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  cmake --build --preset "$preset" --parallel "$(build_jobs)" ${1:+--target "$@"}
}
