# Completion of service-monitor(8) for bash.

# The names of the services that systemd knows or could load; nothing where it
# does not run. Of a template only instances run.
_service_monitor_units() {
    {
        systemctl list-units --all --type=service --plain --full --no-legend --no-pager
        systemctl list-unit-files --type=service --full --no-legend --no-pager
    } 2>/dev/null | while read -r unit _; do
        case $unit in
            *@.service) ;;
            *.service) printf '%s\n' "$unit" ;;
        esac
    done | sort -u
}

# The flags of each command, and of the monitor itself.
_service_monitor_flags() {
    case $1 in
        status) echo '-h --help --json -w --watch --wide --no-pager --feed -p --persistence-file --config' ;;
        why) echo '-h --help --crash --full --json --feed -p --persistence-file --config' ;;
        history) echo '-h --help --since --until --crashes -n --lines --all --json -f --follow --no-pager --feed -p --persistence-file --config' ;;
        report) echo '-h --help -o --output --no-lines -p --persistence-file --config' ;;
        check-config) echo '-h --help -l --log-file -p --persistence-file --config --services --feed --debug --reload' ;;
        check-state) echo '-h --help -p --persistence-file --config' ;;
        clear) echo '-h --help -l --log-file -p --persistence-file --config' ;;
        restore-counts) echo '-h --help -p --persistence-file --config --services' ;;
        help) echo '-h --help -l --log-file -p --persistence-file --config --services --feed --debug' ;;
        version) echo '-h --help' ;;
        *) echo '-h --help -v --version -c --clear --check --check-state --restore-counts
            -l --log-file -p --persistence-file --config --services --feed --debug' ;;
    esac
}

_service_monitor() {
    local cur prev words cword split unit typed before=
    local commands='status why history report check-config check-state clear restore-counts help version'
    _init_completion -s -n : || return

    # shellcheck disable=SC2207 # commands and flags have no blanks
    if ! $split && [[ $cword -eq 1 && $cur != -* || $cword -eq 2 && $prev == help && $cur != -* ]]; then
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
        return
    fi
    case $prev in
        --since | --until)
            mapfile -t COMPREPLY < <(compgen -W 'today yesterday 2h' -- "$cur")
            return
            ;;
        -n | --lines | --crash) return ;;
        -o | --output | -l | --log-file | -p | --persistence-file | --config | --feed | --check-state)
            _filedir
            return
            ;;
    esac
    if [[ ${words[1]} == check-state && $cur != -* ]]; then
        _filedir
        return
    fi

    # Names may follow status, why, history and restore-counts, and --services and --restore-counts with other
    # flags in between.
    if [[ $cur == -* || $prev != --services && ${words[1]} != restore-counts && ${words[1]} != history && ${words[1]} != status && ${words[1]} != why &&
        ! " ${words[*]:0:cword} " =~ \ --(services|restore-counts)[\ =] ]]; then
        # shellcheck disable=SC2207
        $split || COMPREPLY=($(compgen -W "$(_service_monitor_flags "${words[1]}")" -- "$cur"))
        return
    fi

    [[ $cur == *,* ]] && before=${cur%,*},
    typed=${cur##*,}
    while read -r unit; do
        # A backslash in a name is typed twice, but in single quotes.
        [[ $cur == \'* ]] || unit=${unit//\\/\\\\}
        [[ $unit == "${typed#[\"\']}"* ]] && COMPREPLY+=("${before#[\"\']}$unit")
    done < <(_service_monitor_units)
    __ltrim_colon_completions "$cur"
} &&
    complete -F _service_monitor service-monitor
