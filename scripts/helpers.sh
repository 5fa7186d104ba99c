# Sourced by the otr-* scripts beside it: what their command lines share.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used there
set -euo pipefail

me=${0##*/}
otrpipe=${OTRPIPE:-otrpipe}
codes="Exit codes are otrpipe's: 0 all of it arrived, 1 any other failure, 2 wrong
usage, 3 the peer's key was refused, 4 the secrets differ, 5 the stream broke,
6 a key or passphrase is missing, 7 a time limit, 127 a program is missing, 130
interrupted. The otrpipe is the one on the PATH, or \$OTRPIPE."

die() {
  printf '%s: %s\n' "$me" "$2" >&2
  exit "$1"
}

# take_arguments WORD...: sorts a command line into flags, which are otrpipe's to
# read; words; and command, which is what follows -- or, where most_words is set,
# what follows so many words. Flags of the script itself are named in own.
own='' most_words=-1
flags=() words=() command=() listen='' dir=.
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
    -l | --listen | -d | --dir)
      [[ " $own " == *" $1 "* ]] || die 2 "there is no flag $1; see $me --help"
      case $1 in
      -l | --listen) listen=yes ;;
      *)
        [ $# -ge 2 ] || die 2 "$1 needs a value"
        dir=$2
        shift
        ;;
      esac
      ;;
    -q | --quiet | -v | --verbose | --stay | --raw | --progress) flags+=("$1") ;;
    -i | --identity | --identity-file | --home | --passphrase-file | --passphrase-fd | -s | --session | \
      --contact | --trust | --expect | --smp-secret-file | --smp-secret-fd | --smp-question | \
      --otr | --mode | --account | --peer-account | --max-size | --pad | --timeout | --heartbeat | \
      --expire | --dead | --linger | --html | --events | --keylog)
      [ $# -ge 2 ] || die 2 "$1 needs a value"
      flags+=("$1=$2")
      shift
      ;;
    -?*) die 2 "there is no flag $1; see $me --help" ;;
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

# given FLAG...: one of them was given to otrpipe.
given() {
  local flag name
  for flag in "${flags[@]}"; do
    for name in "$@"; do
      [ "${flag%%=*}" != "$name" ] || return 0
    done
  done
  return 1
}

# take_netcat WORD...: command becomes the netcat for HOST PORT or, if it shall
# listen, [ADDRESS] PORT. Who listens waits for an hour rather than a minute.
take_netcat() {
  if [ $# != 2 ] && [ "$listen$#" != yes1 ]; then
    die 2 "a HOST and a PORT, or -l and a PORT; see $me --help"
  fi
  case ${*: -1} in
  *[!0-9]*) die 2 "a PORT is a number, not \"${*: -1}\"; see $me --help" ;;
  esac
  command -v nc >/dev/null || die 127 "nc is not installed: apt-get install netcat-openbsd"
  command=(nc -N ${listen:+-l} "$@") # -N passes the end of our input on
  if [ -n "$listen" ] && ! given --timeout; then
    flags+=(--timeout=1h)
  fi
}
