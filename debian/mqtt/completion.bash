# Completion of service-monitor-mqtt(8) for bash.

# The flags of each command, and of the publisher itself.
_service_monitor_mqtt_flags() {
    case $1 in
        check) echo '-h --help -v --version --cursor --feed -p --persistence-file --config' ;;
        clear) echo '-h --help -v --version --cursor --feed -p --persistence-file --config' ;;
        help) echo '' ;;
        version) echo '' ;;
        *) echo '-h --help -v --version --check --cursor --feed -p --persistence-file --config' ;;
    esac
}

_service_monitor_mqtt() {
    local cur prev words cword split
    local commands='check clear help version'
    _init_completion -s || return

    # shellcheck disable=SC2207 # commands and flags have no blanks
    if ! $split && [[ $cword -eq 1 && $cur != -* ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
        return
    fi
    case $prev in
        --cursor)
            _filedir -d
            return
            ;;
        -p | --persistence-file | --config | --feed)
            _filedir
            return
            ;;
    esac
    # shellcheck disable=SC2207
    $split || COMPREPLY=($(compgen -W "$(_service_monitor_mqtt_flags "${words[1]}")" -- "$cur"))
} &&
    complete -F _service_monitor_mqtt service-monitor-mqtt
