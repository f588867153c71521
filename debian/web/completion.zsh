#compdef service-monitor-web
# Completion of service-monitor-web(8) for zsh.

_service_monitor_web_commands() {
  local -a commands=(
    'metrics:print the metrics once'
    'help:show the help'
    'version:show the version'
  )
  _describe command commands
}

local store config feed states names help version
store=('(-p --persistence-file)'{-p,--persistence-file=}'[counters and last states]:state file:_files')
config=('--config=[the configuration]:configuration file:_files')
feed=('--feed=[the socket of the monitor]:socket:_files')
states=('--no-unit-states[no series for each state of a service]')
names=('--systemd-exporter-names[the names of systemd_exporter, too]')
help=('(-)'{-h,--help}'[show the help]')
version=('(-)'{-v,--version}'[show the version]')

# The flags of a command that is named are its own.
if (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then
  shift words
  (( CURRENT-- ))
  case $words[1] in
    metrics) _arguments $help $version $store $config $feed $states $names '(-o --output)'{-o,--output=}'[write them into a file]:file:_files' ;;
    help) ;;
    version) ;;
  esac
  return
fi

_arguments \
  $help $version $store $config $feed $states $names \
  '--listen=[serve there]:address:(127.0.0.1)' \
  '--allow-host=[answer requests for these hosts, too]:hosts:' \
  '--idle-exit=[end when nobody asks for so long]:duration:(30s 2m 0)' \
  '1:command:_service_monitor_web_commands'
