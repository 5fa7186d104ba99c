#compdef otrpipe otr-nc otr-ssh otr-fifo otr-irc otr-xmpp otr-prekeys
# Completes command lines of otrpipe in zsh, as the file _otrpipe in a folder of
# $fpath, or after compinit with
#
#     source <(otrpipe completion zsh)
#
# What can come next the program says itself.

_otrpipe() {
	local -a found values shown
	local line action prefix
	integer width=0
	# The flags of a script are those of the command that it runs.
	case ${words[1]:t} in
	otr-prekeys)
		if ((CURRENT == 2)) && [[ $PREFIX != -* ]]; then
			compadd put get count
			return
		fi
		words=(otrpipe prekeys publish "${(@)words[2,-1]}")
		((CURRENT += 2))
		;;
	otr-irc|otr-xmpp) words=(otrpipe chat "${(@)words[2,-1]}"); ((CURRENT++)) ;;
	otr-*) words=(otrpipe connect "${(@)words[2,-1]}"); ((CURRENT++)) ;;
	esac
	found=("${(@f)$(command otrpipe __complete -- zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
	action=$found[1]
	prefix=${action#* }
	[[ $prefix == $action ]] && prefix=
	shift found
	case $action in
	files*)
		[[ -n $prefix ]] && compset -P "${(b)prefix}"
		_files
		return
		;;
	folders*)
		[[ -n $prefix ]] && compset -P "${(b)prefix}"
		_files -/
		return
		;;
	command*)
		shift $((prefix + 1)) words
		((CURRENT -= prefix + 1))
		_normal
		return
		;;
	esac
	for line in "${found[@]}"; do
		[[ -n $line ]] || continue
		values+=("${line%%$'\t'*}")
		((${#values[-1]} > width)) && width=${#values[-1]}
	done
	for line in "${found[@]}"; do
		[[ -n $line ]] || continue
		prefix=${line%%$'\t'*}
		if [[ $line == *$'\t'* ]]; then
			shown+=("${(r:width:)prefix}  -- ${line#*$'\t'}")
		else
			shown+=("$prefix")
		fi
	done
	((${#values})) && compadd -l -d shown -a -- values
}

if [[ ${funcstack[1]} == _otrpipe ]]; then
	_otrpipe "$@"
elif (($+functions[compdef])); then
	compdef _otrpipe otrpipe otr-nc otr-ssh otr-fifo otr-irc otr-xmpp otr-prekeys
fi
