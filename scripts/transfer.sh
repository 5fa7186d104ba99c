# Sourced by otr-send and otr-receive: what the two ends of a transfer share.
#
# Inside the stream the sender says one line, of at most 4096 bytes with its
# line feed,
#
#   otr-file 1 SIZE SHA256 NAME
#
# SIZE in decimal digits, SHA256 in 64 hexadecimal ones, NAME all the rest. The
# receiver answers with a line: "go", or "no REASON". After "go" the sender says
# the SIZE bytes of the file and ends its direction. When they are all there, are
# nothing more, have the checksum and have got their name, the receiver answers
# "ok", else "no REASON", which may come sooner too; then it ends its own.
# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is used there
# shellcheck source-path=SCRIPTDIR source=helpers.sh
. "$(dirname "$(readlink -f "$0")")/helpers.sh"
export LC_ALL=C # bytes are bytes

longest_header=4096
partial='' echo_on='' code=0
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
clean_up() {
  [ -z "$echo_on" ] || stty "$echo_on" </dev/tty
  [ -z "$partial" ] || rm -f "$partial"
  [ -z "$work" ] || rm -rf "$work"
}

# tell TEXT: for the person at the terminal, where otrpipe may have drawn its
# progress line.
tell() {
  given -q --quiet && return
  [ ! -t 2 ] || printf '\r\033[K' >&2
  printf '%s: %s\n' "$me" "$1" >&2
}

# human BYTES
human() {
  awk -v n="$1" 'BEGIN {
    split("kB MB GB TB PB EB", unit, " ")
    if (n < 1000) { print n " B"; exit }
    for (i = 1; (n /= 1000) >= 999.95 && i < 6; ) i++
    printf "%.1f %s\n", n, unit[i]
  }'
}

# checksum FILE
checksum() {
  local line
  if command -v sha256sum >/dev/null; then line=$(sha256sum <"$1"); else line=$(shasum -a 256 <"$1"); fi
  printf %s "${line%% *}"
}

# objection NAME: why a file cannot be sent by that name; nothing, if it can.
objection() {
  case $1 in
  '') echo "it has no name" ;;
  */*) echo "its name holds a /" ;;
  .* | -*) echo "its name begins with a ${1:0:1}" ;;
  *[[:cntrl:]]* | *$'\xc2'[$'\x80'-$'\x9f']*) echo "its name holds control characters" ;;
  # What shows nothing, or shows as a space, makes two names look the same; marks that
  # change the direction of writing make evil.exe look like exe.live. These are the
  # bytes of the characters of Unicode's classes Cf, Zs, Zl and Zp, its fillers and
  # variation selectors, and the blank of Braille. A joiner, or a choice of emoji,
  # belongs between letters and signs beyond ASCII and nowhere else.
  ' '* | *' ' | \
    *$'\xc2'[$'\xa0\xad']* | *$'\xcd\x8f'* | *$'\xd8\x9c'* | *$'\xe1\x85'[$'\x9f\xa0']* | *$'\xe1\x9a\x80'* | \
    *$'\xe1\x9e'[$'\xb4\xb5']* | *$'\xe1\xa0'[$'\x8b'-$'\x8f']* | *$'\xe2\x80'[$'\x80'-$'\x8b\x8e\x8f\xa8'-$'\xaf']* | \
    *$'\xe2\x81'[$'\x9f'-$'\xaf']* | *$'\xe2\xa0\x80'* | *$'\xe3\x80\x80'* | *$'\xe3\x85\xa4'* | \
    *$'\xef\xb8'[$'\x80'-$'\x8d']* | *$'\xef\xbb\xbf'* | *$'\xef\xbe\xa0'* | *$'\xef\xbf'[$'\xb0'-$'\xbb']* | \
    *$'\xf0\x93\x90'[$'\xb0'-$'\xbf']* | *$'\xf0\x93\x91'[$'\x80'-$'\x95']* | *$'\xf0\x9b\xb2'[$'\xa0'-$'\xa3']* | \
    *$'\xf0\x9d\x85'[$'\x99\xb3'-$'\xba']* | *$'\xf3\xa0'* | \
    *[[:ascii:]]$'\xe2\x80'[$'\x8c\x8d']* | $'\xe2\x80'[$'\x8c\x8d']* | *$'\xe2\x80'[$'\x8c\x8d'] | *$'\xe2\x80'[$'\x8c\x8d'][[:ascii:]]* | \
    *$'\xe2\x80'[$'\x8c\x8d']$'\xe2\x80'[$'\x8c\x8d']* | *[[:ascii:]]$'\xef\xb8'[$'\x8e\x8f']* | $'\xef\xb8'[$'\x8e\x8f']*)
    echo "its name has invisible characters, or a space at an end" ;;
  *)
    if [ "${#1}" -gt 255 ]; then
      echo "its name is longer than 255 bytes"
    elif command -v iconv >/dev/null && ! printf %s "$1" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
      echo "its name is not UTF-8"
    fi
    ;;
  esac
}

# take_transport WORD...: command becomes the transport: what stood behind --, or
# a netcat.
take_transport() {
  given --mode --stay --raw --html --linger && die 2 "a file needs --mode stream; see $me --help"
  [ "${#command[@]}" -gt 0 ] && [ $# = 0 ] && [ -z "$listen" ] && return
  [ "${#command[@]}" = 0 ] || die 2 "either a COMMAND or a PORT; see $me --help"
  work=$(mktemp -d)
  take_netcat "$@"
}

# take_secret: whom the file goes to or comes from is checked, by the flags or by
# a secret that is asked for.
take_secret() {
  local secret flag identity=()
  given --smp-secret-file --smp-secret-fd --expect && return
  for flag in "${flags[@]}"; do
    case $flag in
    --trust=known | --trust=verified) return ;;
    --home=* | -i=* | --identity=*) identity+=("$flag") ;;
    esac
  done
  # Who has no key yet hears of it before the question.
  given --identity-file || "$otrpipe" fingerprint "${identity[@]}" >/dev/null || exit
  { : </dev/tty; } 2>/dev/null ||
    die 6 "there is no terminal to ask for the shared secret on; give --smp-secret-file, --expect, or --contact with --trust known"
  echo_on=$(stty -g </dev/tty)
  stty -echo </dev/tty
  trap 'stty -echo </dev/tty' CONT # after Ctrl-Z the shell has left it on
  printf 'Shared secret, the same at both ends: ' >/dev/tty
  # Again and again, for an interrupt just before it is heeded only after it.
  until IFS= read -r -t 1 secret </dev/tty; do [ $? -gt 128 ] || break; done
  printf '\n' >/dev/tty
  trap - CONT
  stty "$echo_on" </dev/tty
  echo_on=
  [ -n "$secret" ] || die 6 "the shared secret is empty"
  exec {secret_fd}< <(printf %s "$secret")
  flags+=("--smp-secret-fd=$secret_fd")
}

# converse FUNCTION: the stream, with FUNCTION's standard input and output as the
# plaintext. It leaves otrpipe's exit code in code, and in outcome what FUNCTION
# has written to the file of that name.
converse() {
  local otr i fd interrupted=
  for i in "${!flags[@]}"; do
    case ${flags[i]} in
    --*-fd=0) # our standard input, which otrpipe's is not
      exec {fd}<&0
      flags[i]=${flags[i]%0}$fd
      ;;
    esac
  done
  [ -n "$work" ] || work=$(mktemp -d)
  mkfifo "$work/said"
  : >"$work/outcome"
  set +o pipefail # only otrpipe's exit code counts
  # shellcheck disable=SC2094 # the one reads what the other writes
  "$1" <"$work/said" | "$otrpipe" connect "${flags[@]}" -- "${command[@]}" >"$work/said" &
  otr=$!
  # In the background otrpipe ignores the interrupt key, so it is told.
  trap 'interrupted=130; stop "$otr"' INT
  trap 'interrupted=143; stop "$otr"' TERM
  trap : HUP
  while wait "$otr" && code=0 || code=$?; [ "$code" -gt 128 ] && kill -0 "$otr" 2>/dev/null; do :; done
  wait # for FUNCTION
  [ -z "$interrupted" ] || code=$interrupted
  outcome=$(cat "$work/outcome")
}

# stop PID: tells an otrpipe to leave. A netcat that waits does not see the end of
# its input, so it is told too, unless there is somebody to say goodbye to.
stop() {
  local port idle
  kill "$1" 2>/dev/null || :
  [ -s "$work/idle" ] || return 0
  idle=$(cat "$work/idle")
  if [ -n "$listen" ]; then
    port=$(printf '%04X' "$((10#${command[*]: -1}))")
    grep -qs ":$port [0-9A-F]*:0000 0A " /proc/net/tcp /proc/net/tcp6 || return 0
  fi
  sleep 0.2 # so that otrpipe leaves for our sake and not for netcat's
  kill "$idle" 2>/dev/null || :
}

# ended WORDS: WORDS are how FUNCTION has ended.
ended() { printf '%s\n' "$*" >"$work/outcome"; }
