#!/bin/bash
# A real MySQL or MariaDB server on loopback with a row binlog and GTIDs; user `tapline`, password `tapline`, with every
# right.
#   mysql.sh install mysql|mariadb                        MySQL 9 in a private Debian sid tree (sid.sh) | Debian's MariaDB
#   mysql.sh start DIR PORT mysql|mariadb [NAME=VALUE…]   PORT 0: a free one; prints the port. DIR is made when missing
#   mysql.sh stop DIR | kill DIR                          a clean shutdown | SIGKILL
#   mysql.sh sql DIR ARG…                                 the command-line client as root, on the socket DIR/socket
#   mysql.sh binlog DIR PORT FILE                         mysqlbinlog reads the log from FILE to its end, into nothing
# NAME=VALUE are server settings (gtid_mode=OFF). As root the server runs as the user `tapline`, which is made.
. "$(dirname "$0")/lib.sh"
. "$HERE/sid.sh"

install() {
  # its command-line client serves for both
  [ -x /usr/sbin/mariadbd ] && command -v mariadb >/dev/null || {
    # Debian's package starts a server of its own on port 3306 unless told not to
    local policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null; as_root chmod +x $policy; trap "as_root rm -f $policy" EXIT; }
    packages mariadb-server
  }
  case $1 in
    mysql) sid_ready ;;
    mariadb) ;;
    *) usage "$0" ;;
  esac
}
client() { mariadb --no-defaults --socket "$1/socket" --user root "${@:2}"; }
answers() { client "$1" -e 'select 1' >/dev/null; }

start() {
  local dir=$1 port=${2:-0} kind=$3 as seen server set; shift 3
  install "$kind"
  [ "$port" != 0 ] || port=$(free_port)
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  unprivileged; as=("${UNPRIVILEGED[@]}") seen=$dir server=/usr/sbin/mariadbd
  if [ "$kind" = mysql ]; then sid_command "$dir"; as=("${SID_COMMAND[@]}") seen=/server server=/usr/sbin/mysqld; fi
  mkdir -p "$dir/tmp"
  [ "$(id -u)" != 0 ] || chown tapline "$dir" "$dir/tmp"
  [ -f "$dir/my.cnf" ] || "$kind"_settings "$seen" >"$dir/my.cnf"
  if [ ! -d "$dir/db/mysql" ]; then
    if [ "$kind" = mysql ]; then "${as[@]}" $server --defaults-file=$seen/my.cnf --initialize-insecure
    else "${as[@]}" mariadb-install-db --defaults-file="$seen/my.cnf" --skip-test-db --auth-root-authentication-method=normal; fi >"$dir/install.log" 2>&1 ||
      die "$kind could not make its data folder: $(tail -5 "$dir/install.log")"
  fi
  # of a killed server, whose process may not have been reaped when the next one looks for it
  rm -f "$dir/socket.lock"
  local settings=(); for set in "$@"; do settings+=("--$set"); done
  spawn "$dir" mysql "${as[@]}" $server --defaults-file="$seen/my.cnf" --port="$port" "${settings[@]}"
  wait_for "$dir" mysql 90 answers "$dir"
  client "$dir" -e "create user if not exists tapline@'%' identified by 'tapline'; grant all privileges on *.* to tapline@'%' with grant option"
  echo "$port"
}

# The tool names the files it writes like those of the log: these lead to the null device.
binlog() {
  local dir=$1 port=$2 file=$3 out number
  sid_ready
  sid_command "$dir"
  out=$(mktemp -d /dev/shm/tapline.XXXXXX)
  trap "rm -rf $out" EXIT
  for number in $(seq -f %06g 1 99); do ln -s /dev/null "$out/binlog.$number"; done
  chmod 755 "$out"
  "${SID_COMMAND[@]}" mysqlbinlog --no-defaults --read-from-remote-server --raw --to-last-log --get-server-public-key \
    --host "$HOST" --port "$port" --user tapline --password=tapline --result-file="$out/" "$file" 2>"$dir/mysqlbinlog.log" ||
    die "mysqlbinlog failed: $(tail -3 "$dir/mysqlbinlog.log")"
}

settings() {
  cat <<C
[mysqld]
datadir=$1/db
# of its own: one that starts removes the temporary tables that it finds, another server's too
tmpdir=$1/tmp
socket=$1/socket
pid-file=$1/server.pid
bind-address=$HOST
server-id=1
log-bin=binlog
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
character-set-server=utf8mb4
default-time-zone=+00:00
max_connections=60
max_allowed_packet=64M
innodb_buffer_pool_size=256M
# a killed server loses nothing by these, a machine without power would
innodb_flush_log_at_trx_commit=2
sync_binlog=0
C
}
mysql_settings() {
  settings "$1"
  cat <<C
mysqlx=0
gtid_mode=ON
enforce_gtid_consistency=ON
secure_file_priv=NULL
C
}
mariadb_settings() { settings "$1"; echo gtid_strict_mode=ON; }

case ${1:-} in
  install) install "${2:-}" ;;
  start) [ $# -ge 4 ] || usage "$0"; shift; start "$@" ;;
  stop) halt "$2" mysql ;;
  kill) halt "$2" mysql KILL ;;
  binlog) [ $# = 4 ] || usage "$0"; binlog "${@:2}" ;;
  sql) [ $# -ge 2 ] || usage "$0"; client "${@:2}" ;;
  *) usage "$0" ;;
esac
