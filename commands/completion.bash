# Completes command lines of otrpipe in bash, from version 4 on:
#
#     source <(otrpipe completion bash)
#
# What can come next the program says itself.

_otrpipe() {
	COMPREPLY=()
	local found action i line=${COMP_LINE:0:COMP_POINT}
	# The flags of a script are those of the command that it runs.
	case ${COMP_WORDS[0]##*/} in
	otr-prekeys)
		if ((COMP_CWORD == 1)) && [[ $2 != -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W 'put get count' -- "$2")
			return
		fi
		line="otrpipe prekeys publish${line#"${COMP_WORDS[0]}"}"
		;;
	otr-irc | otr-xmpp) line="otrpipe chat${line#"${COMP_WORDS[0]}"}" ;;
	otr-*) line="otrpipe connect${line#"${COMP_WORDS[0]}"}" ;;
	esac
	mapfile -t found < <(command otrpipe __complete -- bash "$2" "$line" 2>/dev/null)
	action=${found[0]-}
	COMPREPLY=("${found[@]:1}")
	case $action in
	files*) compopt -o default ;;
	folders*) compopt -o dirnames ;;
	command*)
		for ((i = 1; i < COMP_CWORD; i++)); do
			[[ ${COMP_WORDS[i]} == -- ]] && break
		done
		if ((i < COMP_CWORD)) && declare -F _comp_command_offset >/dev/null; then
			_comp_command_offset $((i + 1))
		elif ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then
			_command_offset $((i + 1))
		elif ((${#COMPREPLY[@]} == 0)); then
			compopt -o default
		fi
		;;
	esac
}

complete -F _otrpipe otrpipe
complete -o bashdefault -o default -F _otrpipe otr-nc otr-ssh otr-fifo otr-irc otr-xmpp otr-prekeys
