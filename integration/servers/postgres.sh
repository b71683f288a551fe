#!/bin/bash
# A real PostgreSQL server on loopback, with wal_level=logical, superuser `postgres` and trust authentication.
#   postgres.sh install [VERSION]                       Debian's package, unless that version (or any) is there
#   postgres.sh start DIR PORT [VERSION [NAME=VALUE…]]  PORT 0: a free one; prints the port. DIR is made when missing
#   postgres.sh stop DIR | kill DIR                     a fast shutdown | SIGKILL
#   postgres.sh bin                                     the folder of psql, pg_recvlogical …: the newest installed ones
# VERSION is a major version: one under /usr/lib/postgresql, or 18 from a private Debian sid tree, with pgvector and
# PostGIS (sid.sh). Default: the newest under /usr/lib/postgresql. NAME=VALUE are server settings.
# PostgreSQL refuses to run as root: then it runs as the user `tapline`, which is made.
. "$(dirname "$0")/lib.sh"
. "$HERE/sid.sh"

# versions: the installed major versions, newest first
versions() { for d in /usr/lib/postgresql/*/bin/postgres; do [ -x "$d" ] && basename "${d%/bin/postgres}"; done | sort -rn; }
bin() { echo "/usr/lib/postgresql/${1:-$(versions | head -1)}/bin"; }
# of_sid VERSION: whether it is the tree's
of_sid() { [ "$1" = 18 ] && [ ! -x "$(bin 18)/postgres" ]; }

install() {
  local want=${1:-} c=/etc/postgresql-common/createcluster.d
  # a server of the tree is asked for its state by the machine's own pg_isready
  if [ -n "$want" ] && of_sid "$want"; then sid_ready; want=; fi
  if [ -n "$want" ]; then [ -x "$(bin "$want")/postgres" ] && return 0
  else [ -z "$(versions)" ] || return 0; fi
  # Debian's package starts a server of its own on port 5432 unless told not to.
  if [ ! -d /etc/postgresql-common ]; then
    as_root mkdir -p $c
    echo 'create_main_cluster = false' | as_root tee $c/tapline.conf >/dev/null
  fi
  packages "postgresql${want:+-$want}"
}

start() {
  local dir=$1 port=${2:-0} v=${3:-} as seen set; shift $(($# < 3 ? $# : 3))
  install "$v"; v=${v:-$(versions | head -1)}
  [ "$port" != 0 ] || port=$(free_port)
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  touch "$dir/postgres.log"
  unprivileged; as=("${UNPRIVILEGED[@]}") seen=$dir
  if of_sid "$v"; then sid_command "$dir"; as=("${SID_COMMAND[@]}") seen=/server; fi
  [ "$(id -u)" != 0 ] || chown tapline "$dir" "$dir/postgres.log"
  if [ ! -f "$dir/db/PG_VERSION" ]; then
    "${as[@]}" "$(bin "$v")/initdb" -D "$seen/db" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
      die "initdb failed: $(tail -5 "$dir/initdb.log")"
    cat >>"$dir/db/postgresql.conf" <<P
listen_addresses = '$HOST'
unix_socket_directories = '$seen'
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
  local settings=(); for set in "$@"; do settings+=(-c "$set"); done
  # the children of a killed server take a moment to notice, hold the data folder until then, and talk on in the log
  if ! running "$dir" postgres; then
    for _ in $(seq 100); do
      rm -f "$dir/postgres.pid"
      spawn "$dir" postgres "${as[@]}" "$(bin "$v")/postgres" -D "$seen/db" -p "$port" "${settings[@]}"
      for _ in $(seq 600); do
        running "$dir" postgres || break
        "$(bin)/pg_isready" -q -h $HOST -p "$port" && break 2
        sleep 0.1
      done
      tail -20 "$dir/postgres.log" | grep -q 'pre-existing shared memory\|lock file' || break
      sleep 0.1
    done
  fi
  wait_for "$dir" postgres 60 "$(bin)/pg_isready" -q -h $HOST -p "$port"
  echo "$port"
}

case ${1:-} in
  install) install "${2:-}" ;;
  start) [ $# -ge 3 ] || usage "$0"; shift; start "$@" ;;
  stop) halt "$2" postgres INT ;;
  kill) halt "$2" postgres KILL ;;
  bin) bin ;;
  *) usage "$0" ;;
esac
