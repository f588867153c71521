#compdef service-monitor-mqtt
# Completion of service-monitor-mqtt(8) for zsh.

_service_monitor_mqtt_commands() {
  local -a commands=(
    'check:connect to the broker once, and say what is wrong'
    'clear:remove what the broker has retained of this gateway'
    'help:show the help'
    'version:show the version'
  )
  _describe command commands
}

local store config feed cursor help version
store=('(-p --persistence-file)'{-p,--persistence-file=}'[counters and last states]:state file:_files')
config=('--config=[the configuration]:configuration file:_files')
feed=('--feed=[the socket of the monitor]:socket:_files')
cursor=('--cursor=[how far the broker has confirmed]:directory:_files -/')
help=('(-)'{-h,--help}'[show the help]')
version=('(-)'{-v,--version}'[show the version]')

# The flags of a command that is named are its own.
if (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then
  shift words
  (( CURRENT-- ))
  case $words[1] in
    check) _arguments $help $version $store $config $feed $cursor ;;
    clear) _arguments $help $version $store $config $feed $cursor ;;
    help) ;;
    version) ;;
  esac
  return
fi

_arguments \
  $help $version $store $config $feed $cursor \
  '(-)--check[connect once, and say what is wrong]' \
  '1:command:_service_monitor_mqtt_commands'
