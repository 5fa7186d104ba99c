# Sourced by the scripts beside it. What they share: where things are, free
# ports of loopback, and the processes they started.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# build FILE: the program as it stands in this tree, as scripts/release builds it.
build() {
  (cd "$root" && CGO_ENABLED=0 go build -buildvcs=false -tags urfave_cli_no_docs -o "$1" .) || fail "the program does not build"
}

# listening PORT: something listens there. The kernel is asked, since a netcat
# that waits for one connection would take a trial for it.
listening() {
  local hex
  hex=$(printf ':%04X' "$1")
  awk -v port="$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { found = 1 } END { exit !found }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port: a port of loopback that nothing listens on.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000)) # below what the kernel hands out by itself
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

# Processes a script started, by their ids: ended with it, whatever ends it.
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
