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

# Names may follow --services and --restore-counts with other flags in between.
_service_monitor_more() {
  (( ${words[(I)--(services|restore-counts)*]} )) && _service_monitor_units
}

_arguments \
  '(-)'{-h,--help}'[show the flags, the keys and the monitored services]' \
  '(-)'{-v,--version}'[show the version]' \
  '(--check --check-state --restore-counts -c --clear)'{-c,--clear}'[remove log, backups and state file]' \
  '(--check-state --restore-counts -c --clear)--check[check flags and configuration]' \
  '(--check --restore-counts -c --clear)--check-state=[check that the counts in a state file balance]:state file:_files' \
  '(--check --check-state -c --clear)--restore-counts[put back the counts of services that were removed]' \
  '(-l --log-file)'{-l,--log-file=}'[the log]:log file:_files' \
  '(-p --persistence-file)'{-p,--persistence-file=}'[counters and last states]:state file:_files' \
  '--config=[the configuration]:configuration file:_files' \
  '*--services=[names or globs]:service:_service_monitor_units' \
  '--debug[log debug messages too]' \
  '*:service:_service_monitor_more'
