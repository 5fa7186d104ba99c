# Sourced by the otr-* scripts in this folder: the common part of their command lines.
# shellcheck shell=bash
# shellcheck disable=SC2034 # variables set here are used there
set -eo pipefail
# Before bash 4.4, set -u treats an empty array as unset.
((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)) || set -u

me=${0##*/}
otrpipe=${OTRPIPE:-otrpipe}
codes="Exit codes are otrpipe's: 0 all of it arrived, 1 any other failure, 2 wrong
usage, 3 the peer's key was refused, 4 the secrets differ, 5 the stream broke,
6 a key or passphrase is missing, 7 a time limit, 127 a program is missing, 130
interrupted. The otrpipe is the one on the PATH, or \$OTRPIPE."

# die CODE TEXT [HINT]
die() {
  printf '%s: %s\n' "$me" "$2" >&2
  [ $# -lt 3 ] || printf '%s: hint: %s\n' "$me" "$3" >&2
  exit "$1"
}

# shown NAME: prints NAME safely for a terminal, quoted if it contains characters that cannot
# be displayed.
shown() {
  local LC_ALL=C
  case $1 in
  *[[:cntrl:]]* | *$'\xc2'[$'\x80'-$'\x9f']*) printf %q "$1" ;;
  *)
    if command -v iconv >/dev/null && ! printf %s "$1" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
      printf %q "$1"
    else
      printf %s "$1"
    fi
    ;;
  esac
}

# The flags of otrpipe that need no value, and those that need one. go generate ./commands
# writes them.
switches=(
  --quiet -q --verbose -v --ephemeral --stay --raw --send-only --recv-only
  --progress
)
valued=(
  --home --identity -i --identity-file --passphrase-file --passphrase-fd
  --contact --trust --expect --smp-secret-file --smp-secret-fd --smp-question
  --account --peer-account --session -s --otr --timeout --wait --heartbeat
  --expire --dead --mode --max-size --pad --linger --drain --html --keylog
  --events
)
# End of the flags.

# take_arguments WORD...: sorts a command line into three arrays: flags, which are passed to
# otrpipe; words; and command, which is everything after -- or, if most_words is set, after
# that many words. own lists the flags of the script itself.
own='' most_words=-1
flags=() words=() command=() listen='' dir=. plain='' file='' server=''
take_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
    --?*=*)
      set -- "${1%%=*}" "${1#*=}" "${@:2}"
      continue
      ;;
    -h | --help)
      usage
      exit
      ;;
    --)
      command=("${@:2}")
      return
      ;;
    -l | --listen | -d | --dir | -f | --file | --server)
      [[ " $own " == *" $1 "* ]] || no_flag "$1"
      case $1 in
      -l | --listen) listen=yes ;;
      *)
        [ $# -ge 2 ] || die 2 "$1 needs a value"
        case $1 in
        -d | --dir) dir=$2 ;;
        --server) server=$2 ;;
        *) file=$2 ;;
        esac
        shift
        ;;
      esac
      ;;
    --plain)
      [[ " $own " == *" $1 "* ]] || no_flag "$1"
      plain=yes
      ;;
    -?*)
      if listed "$1" "${switches[@]}"; then
        flags+=("$1")
      elif listed "$1" "${valued[@]}"; then
        [ $# -ge 2 ] || die 2 "$1 needs a value"
        flags+=("$1=$2")
        shift
      else
        no_flag "$1"
      fi
      ;;
    *)
      if [ "${#words[@]}" = "$most_words" ]; then
        command=("$@")
        return
      fi
      words+=("$1")
      ;;
    esac
    shift
  done
}

# listed WORD ANOTHER...: succeeds if WORD is one of the others.
listed() {
  local word=$1 another
  shift
  for another; do
    [ "$another" != "$word" ] || return 0
  done
  return 1
}

no_flag() { die 2 "there is no flag $(shown "$1"); see $me --help"; }

# given FLAG...: succeeds if one of the flags was given to otrpipe.
given() {
  local flag name
  for flag in "${flags[@]}"; do
    for name in "$@"; do
      [ "${flag%%=*}" != "$name" ] || return 0
    done
  done
  return 1
}

# meets_any_client: succeeds if the peer may use any client, perhaps one that only speaks
# version 2, and no check of its key is required. If a check is required, an attacker must not
# be able to select that version by changing a query. otrpipe chat decides in the same way.
meets_any_client() {
  local flag contact='' home=()
  ! given --otr --expect --smp-secret-file --smp-secret-fd --smp-question || return 1
  for flag in ${flags[@]+"${flags[@]}"}; do
    case $flag in
    --trust=new) ;;
    --trust=*) return 1 ;;
    --contact=*) contact=${flag#*=} ;;
    --home=*) home=("$flag") ;;
    esac
  done
  [ -z "$contact" ] || ! "$otrpipe" contacts list "$contact" ${home[@]+"${home[@]}"} >/dev/null 2>&1
}

# take_netcat WORD...: sets command to the netcat for HOST PORT or, if it has to listen,
# [ADDRESS] PORT. A listening end waits for an hour instead of a minute. announce may contain
# a text to show while it waits, and work a folder.
forms='a HOST and a PORT, or -l and a PORT' announce='' work=''
take_netcat() {
  local port=${*: -1} text
  if [ $# != 2 ] && [ "$listen$#" != yes1 ]; then
    die 2 "needs $forms; see $me --help"
  fi
  if ! [[ $port =~ ^0*[1-9][0-9]{0,4}$ ]] || [ "$((10#$port))" -gt 65535 ]; then
    die 2 "a PORT is a number from 1 to 65535, not \"$(shown "$port")\"; see $me --help"
  fi
  command -v nc >/dev/null || die 127 "nc is not installed: apt-get install netcat-openbsd"
  text="waiting for $*"
  [ -z "$listen" ] || text=${announce:+"$announce $port"}
  ! given -q --quiet || text=
  # -N passes on the end of our input
  command=(bash -c "$(declare -f netcat); netcat \"\$@\"" "$me" "$work" "$text" -N ${listen:+-l} "$@")
  if [ -n "$listen" ] && ! given --timeout --wait; then
    flags+=(--wait=1h)
  fi
}

# netcat WORK TEXT ARGUMENT...: the transport, in its own bash. If it dials, it tries again
# while nobody listens, until otrpipe's time limit. A netcat that found nobody fails silently
# and has not read our input, so nothing is lost, and no secret has been tried on anyone. TEXT
# is shown to the user while it waits. While there is no connection, the file idle in WORK
# contains our process id.
netcat() {
  work=$1 text=$2 child='' fault=
  shift 2
  trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 143' TERM
  trap '[ -z "$fault" ] || rm -f "$fault"' EXIT
  say() {
    [ -z "$text" ] || [ ! -t 2 ] || printf '\r\033[K' >&2
    [ -z "$text" ] || printf '%s: %s\n' "$0" "$text" >&2
    text=
  }
  if [ "$2" = -l ]; then
    say
    nc "$@" <&0 &
    child=$!
    [ -z "$work" ] || echo "$$" >"$work/idle"
    wait "$child"
    exit
  fi
  fault=$(mktemp) || exit
  while :; do
    nc "$@" <&0 2>"$fault" &
    child=$!
    wait "$child"
    code=$?
    if [ "$code" != 1 ] || [ -s "$fault" ] || ! kill -0 "$PPID" 2>/dev/null; then
      cat "$fault" >&2
      exit "$code"
    fi
    say
    sleep 0.5 &
    child=$!
    [ -z "$work" ] || echo "$$" >"$work/idle"
    wait "$child"
    [ -z "$work" ] || rm -f "$work/idle"
  done
}
