# Completion of service-monitor-web(8) for bash.

# The flags of each command, and of the server itself.
_service_monitor_web_flags() {
    case $1 in
        metrics) echo '-h --help -v --version -o --output --no-unit-states --systemd-exporter-names --feed -p --persistence-file --config' ;;
        help) echo '' ;;
        version) echo '' ;;
        *) echo '-h --help -v --version --listen --allow-host --idle-exit --no-unit-states --systemd-exporter-names
            --feed -p --persistence-file --config' ;;
    esac
}

_service_monitor_web() {
    local cur prev words cword split
    local commands='metrics help version'
    _init_completion -s || return

    # shellcheck disable=SC2207 # commands and flags have no blanks
    if ! $split && [[ $cword -eq 1 && $cur != -* ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
        return
    fi
    case $prev in
        --listen)
            mapfile -t COMPREPLY < <(compgen -W '127.0.0.1' -- "$cur")
            return
            ;;
        --allow-host | --idle-exit) return ;;
        -o | --output | -p | --persistence-file | --config | --feed)
            _filedir
            return
            ;;
    esac
    # shellcheck disable=SC2207
    $split || COMPREPLY=($(compgen -W "$(_service_monitor_web_flags "${words[1]}")" -- "$cur"))
} &&
    complete -F _service_monitor_web service-monitor-web
