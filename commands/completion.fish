# Completes command lines of otrpipe in fish, from version 3.4 on, as the file
# ~/.config/fish/completions/otrpipe.fish, or with
#
#     otrpipe completion fish | source
#
# What can come next the program says itself.

function __otrpipe_complete
    set -l last (commandline -ct | string replace -r '^["\']' '' | string unescape)
    set -l found (command otrpipe __complete -- fish "$(commandline -pc)" 2>/dev/null)
    set -l action (string split -m 1 ' ' -- $found[1])
    switch "$action[1]"
        case files folders
            set -l begun (string sub -s (math 1 + (string length -- "$action[2]")) -- "$last")
            set -l paths
            if test $action[1] = files
                set paths (__fish_complete_path "$begun")
            else
                set paths (__fish_complete_directories "$begun" '')
            end
            for path in $paths
                printf '%s\n' "$action[2]$path"
            end
        case command
            complete -C "$action[2]"
        case '*'
            printf '%s\n' $found[2..-1]
    end
end

complete -c otrpipe -f -a '(__otrpipe_complete)'
# The flags of a script are those of the command that it runs.
complete -c otr-nc -c otr-ssh -c otr-fifo -w 'otrpipe connect'
complete -c otr-irc -c otr-xmpp -w 'otrpipe chat'
complete -c otr-prekeys -n __fish_is_first_arg -f -a 'put get count'
complete -c otr-prekeys -w 'otrpipe prekeys publish'
