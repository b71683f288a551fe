# A private Debian sid tree for servers newer than the machine's own: PostgreSQL 18 with pgvector and PostGIS, MySQL 9.
# Sourced, never run.
#
# The tree lies in $CACHE/sid with a C library of its own; the machine's own packages are not touched. A server runs
# under chroot, in a mount namespace of its own in which its folder is /server, so that nothing stays mounted and the
# folder may lie anywhere. Making the tree needs root; running in it does not, where the kernel lets users make namespaces.

SID=$CACHE/sid
SID_PACKAGES=(postgresql-18 postgresql-18-pgvector postgresql-18-postgis-3 mysql-server-core)

# sid_ready: the tree with all its packages, made when missing.
sid_ready() {
  [ ! -f "$SID/.tapline" ] || return 0
  need debootstrap debootstrap
  need unshare util-linux
  mkdir -p "$CACHE"
  (
    flock 9
    [ ! -f "$SID/.tapline" ] || exit 0
    say "making a Debian sid tree in $SID (1.3 GB, a minute or two): ${SID_PACKAGES[*]}"
    as_root rm -rf "$SID"
    as_root debootstrap --variant=minbase --include=ca-certificates sid "$SID" >"$CACHE/sid.log" 2>&1 || die "debootstrap failed: $(tail -5 "$CACHE/sid.log")"
    as_root bash -c "$(declare -f sid_settings); sid_settings '$SID'"
    {
      sid_root apt-get update -q &&
        sid_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${SID_PACKAGES[@]}" &&
        sid_root apt-get clean
    } >>"$CACHE/sid.log" 2>&1 || die "apt-get in $SID failed: $(tail -5 "$CACHE/sid.log")"
    as_root touch "$SID/.tapline"
  ) 9>"$SID.lock"
}

# sid_settings TREE: no service starts, Debian makes no cluster of its own; the machine's way to its mirrors.
sid_settings() {
  printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
  chmod +x "$1/usr/sbin/policy-rc.d"
  mkdir -p "$1/etc/postgresql-common/createcluster.d" "$1/server"
  echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.d/tapline.conf"
  cp /etc/resolv.conf "$1/etc/resolv.conf" 2>/dev/null || true
  # by convention what a machine's owner has set, a proxy for instance
  cp /etc/apt/apt.conf.d/99* "$1/etc/apt/apt.conf.d/" 2>/dev/null || true
}

# sid_root CMD…: run CMD as the tree's root.
sid_root() {
  as_root unshare --mount bash -c 'mount --rbind /proc "$0/proc"; mount --rbind /dev "$0/dev"; exec chroot "$0" "$@"' "$SID" "$@"
}

# sid_command DIR: set SID_COMMAND to the words that run what follows them in the tree as an unprivileged user, with DIR
# as /server. The process is the caller's own child: its pid is the server's.
sid_command() {
  local user=(--userspec "$(id -u):$(id -g)") spaces=(--user --map-current-user --keep-caps --mount)
  if [ "$(id -u)" = 0 ]; then
    tapline_user
    user=(--userspec "$(id -u tapline):$(id -g tapline)")
    spaces=(--mount)
  fi
  SID_COMMAND=(unshare "${spaces[@]}" bash -c '
    cd / || exit; tree=$0 dir=$1; shift
    mount --rbind /proc "$tree/proc" && mount --rbind /dev "$tree/dev" && mount --bind "$dir" "$tree/server" &&
      mount --bind /etc/passwd "$tree/etc/passwd" && mount --bind /etc/group "$tree/etc/group" && exec chroot "$@"'
    "$SID" "$1" "${user[@]}" "$SID")
}
