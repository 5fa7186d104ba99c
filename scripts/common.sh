# Sourced by the other scripts in this folder. It has what they share: paths, free loopback
# ports, and the processes that they start.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s\n' "$*"; }

fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# build FILE: builds the program from this tree, in the same way as scripts/release. FILE is a
# copy of what the linker has written, as an installed program is: see place.
build() {
  (cd "$root" && CGO_ENABLED=0 go build -buildvcs=false -tags urfave_cli_no_docs -o "$1.linked" .) || fail "the program does not build"
  place "$1.linked" "$1"
  rm "$1.linked"
}

# place PROGRAM FILE: makes FILE a copy of a program that anyone may run. FILE is replaced whole
# or not at all, even while it runs. The copy is written in large blocks: the linker writes
# through a memory map, which leaves the file in small pages in memory, and a program starts
# faster from large ones.
place() {
  placing=$(mktemp "$2.XXXXXX")
  { [ ! -d "$2" ] && dd if="$1" of="$placing" bs=4194304 2>/dev/null && chmod 755 "$placing" && mv -f "$placing" "$2"; } || {
    rm -f "$placing"
    fail "cannot write $2"
  }
  placing=
}
placing= # the file that place is writing; a script that is interrupted removes it

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
