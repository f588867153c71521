#compdef service-monitor
# Completion of service-monitor(8) for zsh.

# The names of the services that systemd knows or could load; nothing where it
# does not run. Of a template only instances run.
_service_monitor_units() {
  local -a units expl
  units=(${(f)"$({
    systemctl list-units --all --type=service --plain --full --no-legend --no-pager
    systemctl list-unit-files --type=service --full --no-legend --no-pager
  } 2>/dev/null)"})
  units=(${(Mu)${units%% *}:#*.service})
  units=(${units:#*@.service})
  compset -P '*,'
  _wanted services expl service compadd -a units
}

_service_monitor_commands() {
  local -a commands=(
    'status:show how the services are'
    'why:show why a service crashed'
    'history:show what happened to the services'
    'report:write an archive for whoever is to find a fault'
    'check-config:check flags, configuration and rights to the files'
    'check-state:check that the counts in a state file balance'
    'clear:remove log, state file and history'
    'restore-counts:put back the counts of services that were removed'
    'help:show the help, or that of a command'
    'version:show the version'
  )
  _describe command commands
}

# Names may follow --services and --restore-counts with other flags in between. A
# command comes first.
_service_monitor_more() {
  if (( ${words[(I)--(services|restore-counts)*]} )); then
    _service_monitor_units
  elif (( CURRENT == 2 )); then
    _service_monitor_commands
  fi
}

local log store config services debug feed help
log=('(-l --log-file)'{-l,--log-file=}'[the log]:log file:_files')
store=('(-p --persistence-file)'{-p,--persistence-file=}'[counters and last states]:state file:_files')
config=('--config=[the configuration]:configuration file:_files')
services=('*--services=[names or globs]:service:_service_monitor_units')
debug=('--debug[log debug messages too]')
feed=('--feed=[the socket of the monitor]:socket:_files')
help=('(-)'{-h,--help}'[show the help]')

# The flags of a command that is named are its own.
if (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then
  shift words
  (( CURRENT-- ))
  case $words[1] in
    status) _arguments $help $store $config $feed '--json[as JSON]' '(-w --watch)'{-w,--watch}'[go on, and show each change]' '--wide[show everything, however wide the lines become]' '--no-pager[no pager]' '*:service:_service_monitor_units' ;;
    why) _arguments $help $store $config $feed '--json[as JSON]' '--crash=[the crash with this number]:number:' '--full[show all lines that were kept, and whole]' '1:service:_service_monitor_units' ;;
    history) _arguments $help $store $config $feed '--since=[from then on]:time:(today yesterday 2h)' '--until=[up to then]:time:(today yesterday 2h)' '--crashes[only crashes]' '(-n --lines)'{-n,--lines=}'[only so many of the last lines]:lines:' '--all[each event]' '--json[as JSON]' '(-f --follow)'{-f,--follow}'[go on, and show what comes]' '--no-pager[no pager]' '*:service:_service_monitor_units' ;;
    report) _arguments $help $store $config '(-o --output)'{-o,--output=}'[the archive]:archive:_files' '--no-lines[without lines of the services]' ;;
    check-config) _arguments $help $log $store $config $services $feed $debug '--reload[check as for a reload]' '*:service:_service_monitor_more' ;;
    check-state) _arguments $help $store $config '1:state file:_files' ;;
    clear) _arguments $help $log $store $config ;;
    restore-counts) _arguments $help $store $config $services '*:service:_service_monitor_units' ;;
    help) _arguments $help $log $store $config $services $feed $debug '1:command:_service_monitor_commands' ;;
    version) _arguments $help ;;
  esac
  return
fi

_arguments \
  $help $log $store $config $services $feed $debug \
  '(-)'{-v,--version}'[show the version]' \
  '(--check --check-state --restore-counts -c --clear)'{-c,--clear}'[remove log, state file and history]' \
  '(--check-state --restore-counts -c --clear)--check[check flags and configuration]' \
  '(--check --restore-counts -c --clear)--check-state=[check that the counts in a state file balance]:state file:_files' \
  '(--check --check-state -c --clear)--restore-counts[put back the counts of services that were removed]' \
  '*:service:_service_monitor_more'
