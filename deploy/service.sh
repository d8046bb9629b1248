# shellcheck shell=bash
# What deploy/upgrade, deploy/rollback and deploy/nightly-backup share: where things lie, and how the service is run.
# Sourced, never run. Whoever sources it has set `usage`.

bin=/usr/local/bin/sanasend
config=/etc/sanasend/sanasend.toml
backups=/var/backups/sanasend
passphrase=/etc/sanasend/backup.passphrase
user=sanasend
stop_command="systemctl stop sanasend.service"
start_command="systemctl start sanasend.service"
wait_seconds=60

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# shared_option NAME VALUE: sets one of the options that all of the scripts have; ends non-zero when it is none.
shared_option() {
  case $1 in
    --bin) bin=$2 ;;
    --config) config=$2 ;;
    --backups) backups=$2 ;;
    --passphrase-file) passphrase=$2 ;;
    --user) user=$2 ;;
    --stop) stop_command=$2 ;;
    --start) start_command=$2 ;;
    --wait) wait_seconds=$2 ;;
    *) return 1 ;;
  esac
}

# as_user COMMAND...: as the service's own user, with nothing of this shell's environment.
as_user() {
  local clean=(env -i PATH=/usr/local/bin:/usr/bin:/bin HOME=/nonexistent)
  if [ "$(id -u)" = 0 ] && [ "$user" != root ]; then
    setpriv --reuid="$user" --regid="$(id -gn "$user")" --init-groups "${clean[@]}" "$@"
  else
    "${clean[@]}" "$@"
  fi
}

# as_service PROGRAM ARGUMENTS...: a command of `sanasend` with the settings of the service.
as_service() { as_user SANASEND_CONFIG="$config" "$@"; }

# apart FOLDER PROGRAM ARGUMENTS...: a command of `sanasend` that knows nothing but a folder of its own.
apart() {
  local folder=$1 program=$2
  shift 2
  as_user SANASEND_LISTEN=127.0.0.1:0 "$program" --data-dir "$folder" "$@"
}

stop_service() { say "stopping"; bash -c "$stop_command"; }
start_service() { say "starting"; bash -c "$start_command"; }

# healthy PROGRAM: waits until the server says that it can work, for so long as was set.
healthy() { as_service "$1" health --wait "$wait_seconds"; }

# A name for a backup that sorts by time.
stamp() { date -u +%Y-%m-%dT%H%M%SZ; }

version_of() { as_user "$1" --version 2>/dev/null; }
