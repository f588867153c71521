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

_service_monitor() {
    local cur prev words cword split unit typed before=
    _init_completion -s -n : || return

    case $prev in
        -l | --log-file | -p | --persistence-file | --config | --check-state)
            _filedir
            return
            ;;
    esac

    # Names may follow --services and --restore-counts with other flags in between.
    if [[ $cur == -* || $prev != --services && ! " ${words[*]:0:cword} " =~ \ --(services|restore-counts)[\ =] ]]; then
        # shellcheck disable=SC2207 # flags have no blanks
        $split || COMPREPLY=($(compgen -W '-h --help -v --version -c --clear --check --check-state
            --restore-counts -l --log-file -p --persistence-file --config --services --debug' -- "$cur"))
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
