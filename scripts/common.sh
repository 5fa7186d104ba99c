# Sourced by the other scripts in this folder. It has what they share: paths, free loopback
# ports, and the processes that they start.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# build FILE: builds the program from this tree, in the same way as scripts/release.
build() {
  (cd "$root" && CGO_ENABLED=0 go build -buildvcs=false -tags urfave_cli_no_docs -o "$1" .) || fail "the program does not build"
}

# listening PORT: succeeds if something listens there. It asks the kernel, because a trial
# connection would use up a netcat that waits for only one.
listening() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port: prints a loopback port on which nothing listens.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000)) # below the range from which the kernel assigns ports
    if ! listening "$port"; then
      echo "$port"
      return
    fi
  done
  fail "no port is free"
}

wait_port() {
  for _ in $(seq 200); do
    listening "$1" && return
    sleep 0.05
  done
  fail "nothing listens on port $1"
}

# The ids of processes that a script has started. They are ended when the script ends, for any
# reason.
started=()
end_started() {
  local pid
  for pid in "${started[@]}"; do
    kill "$pid" 2>/dev/null || true
  done
  for pid in "${started[@]}"; do
    wait "$pid" 2>/dev/null || true
  done
  started=()
}
