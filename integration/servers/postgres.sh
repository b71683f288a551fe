#!/bin/bash
# A real PostgreSQL server on loopback, with wal_level=logical, superuser `postgres` and trust authentication.
#   postgres.sh install [VERSION]                       Debian's package, unless that version (or any) is there
#   postgres.sh start DIR PORT [VERSION [NAME=VALUE…]]  PORT 0: a free one; prints the port. DIR is made when missing
#   postgres.sh stop DIR | kill DIR                     a fast shutdown | SIGKILL
#   postgres.sh bin [VERSION]                           the folder of initdb, psql, pg_recvlogical …
# VERSION is a major version under /usr/lib/postgresql; default the newest. NAME=VALUE are server settings.
# PostgreSQL refuses to run as root: then it runs as the user `tapline`, which is made.
. "$(dirname "$0")/lib.sh"

# versions: the installed major versions, newest first
versions() { for d in /usr/lib/postgresql/*/bin/postgres; do [ -x "$d" ] && basename "${d%/bin/postgres}"; done | sort -rn; }
version() { if [ -n "${1:-}" ]; then echo "$1"; else versions | head -1; fi; }
bin() { echo "/usr/lib/postgresql/$(version "${1:-}")/bin"; }

install() {
  local want=${1:-} c=/etc/postgresql-common/createcluster.d
  if [ -n "$want" ]; then [ -x "$(bin "$want")/postgres" ] && return 0
  else [ -z "$(versions)" ] || return 0; fi
  # Debian's package starts a server of its own on port 5432 unless told not to.
  if [ ! -d /etc/postgresql-common ]; then
    as_root mkdir -p $c
    echo 'create_main_cluster = false' | as_root tee $c/tapline.conf >/dev/null
  fi
  packages "postgresql${want:+-$want}"
}

unprivileged() {
  if [ "$(id -u)" != 0 ]; then "$@"; return; fi
  local user=tapline
  id -u $user >/dev/null 2>&1 || { say "making the user $user, since PostgreSQL refuses root"; useradd -r -M -d /nonexistent -s /usr/sbin/nologin $user; }
  setpriv --reuid $user --regid $user --clear-groups "$@"
}

start() {
  local dir=$1 port=${2:-0} v; shift 2; v=$(version "${1:-}"); [ $# = 0 ] || shift
  install "$v"; [ -n "$v" ] || v=$(version)
  [ "$port" != 0 ] || port=$(free_port)
  local db=$dir/db; mkdir -p "$dir"; dir=$(cd "$dir" && pwd); db=$dir/db
  [ "$(id -u)" != 0 ] || { unprivileged true; chown tapline "$dir"; }
  if [ ! -f "$db/PG_VERSION" ]; then
    unprivileged "$(bin "$v")/initdb" -D "$db" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
      die "initdb failed: $(tail -5 "$dir/initdb.log")"
    cat >>"$db/postgresql.conf" <<P
listen_addresses = '$HOST'
unix_socket_directories = '$dir'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
max_connections = 100
shared_buffers = 256MB
max_wal_size = 8GB
checkpoint_timeout = 30min
timezone = 'UTC'
P
  fi
  local set=(); for s in "$@"; do set+=(-c "$s"); done
  # the children of a killed server take a moment to notice, and hold the data folder until then
  if ! running "$dir" postgres; then
    for _ in $(seq 100); do
      rm -f "$dir/postgres.pid"
      [ "$(id -u)" != 0 ] || { touch "$dir/postgres.log"; chown tapline "$dir/postgres.log"; }
      spawn "$dir" postgres $([ "$(id -u)" != 0 ] || echo setpriv --reuid tapline --regid tapline --clear-groups) \
        "$(bin "$v")/postgres" -D "$db" -p "$port" "${set[@]}"
      for _ in $(seq 600); do
        running "$dir" postgres || break
        "$(bin "$v")/pg_isready" -q -h $HOST -p "$port" && break 2
        sleep 0.1
      done
      tail -3 "$dir/postgres.log" | grep -q 'pre-existing shared memory\|lock file' || break
      sleep 0.1
    done
  fi
  wait_for "$dir" postgres 60 "$(bin "$v")/pg_isready" -q -h $HOST -p "$port"
  echo "$port"
}

case ${1:-} in
  install) install "${2:-}" ;;
  start) [ $# -ge 3 ] || usage "$0"; shift; start "$@" ;;
  stop) halt "$2" postgres INT ;;
  kill) halt "$2" postgres KILL ;;
  bin) bin "${2:-}" ;;
  *) usage "$0" ;;
esac
