# Shared by the scripts of this folder: packages, Maven artifacts, processes by pid file. Sourced, never run.
#
# A server binds 127.0.0.1 on the port it is given, keeps everything it writes in the folder it is given, and is
# stopped by the pid found in that folder. What is downloaded once is kept in $TAPLINE_CACHE.

set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HOST=127.0.0.1
CACHE=${TAPLINE_CACHE:-$HOME/.cache/tapline}

say() { echo "[$(basename "$0" .sh)] $*" >&2; }
die() { say "$*"; exit 1; }
# usage SCRIPT: the comment that opens a script is its help
usage() { sed -n '2,/^[^#]/{/^# \{0,1\}/s///p}' "$1" >&2; exit 2; }

# as_root CMD…: run as root, or say what a person has to do.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"
  else die "root is needed for: $*"; fi
}

# tapline_user: the user `tapline`, for servers that refuse root.
tapline_user() {
  id -u tapline >/dev/null 2>&1 || { say "making the user tapline, since database servers refuse root"; useradd -r -M -d /nonexistent -s /usr/sbin/nologin tapline; }
}

# unprivileged: set UNPRIVILEGED to the words that run what follows them as `tapline`: none unless we are root.
unprivileged() {
  UNPRIVILEGED=()
  [ "$(id -u)" = 0 ] || return 0
  tapline_user
  UNPRIVILEGED=(setpriv --reuid tapline --regid tapline --clear-groups)
}

# packages NAME…: install Debian packages, saying so. The package lists are refreshed once in a run of the script.
packages() {
  [ $# -gt 0 ] || return 0
  command -v apt-get >/dev/null || die "please install: $* (these scripts install on Debian only)"
  say "installing Debian packages: $*"
  mkdir -p "$CACHE"
  if [ -z "${APT_FRESH:-}" ]; then as_root apt-get update -qq >"$CACHE/apt.log" 2>&1 || die "apt-get update failed: $(tail -3 "$CACHE/apt.log")"; fi
  export APT_FRESH=1
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >>"$CACHE/apt.log" 2>&1 ||
    die "apt-get install $* failed: $(tail -5 "$CACHE/apt.log")"
}

# need COMMAND PACKAGE: install PACKAGE when COMMAND is not there.
need() { command -v "$1" >/dev/null 2>&1 || packages "$2"; }

# once DIR CMD…: run CMD with a fresh folder as its last argument, and move that to DIR when it succeeded. Two runs
# at the same time do not disturb each other.
once() {
  local dir=$1; shift
  [ -d "$dir" ] && return 0
  mkdir -p "$(dirname "$dir")"
  (
    flock 9
    [ -d "$dir" ] && exit 0
    rm -rf "$dir.part"; mkdir -p "$dir.part"
    "$@" "$dir.part" && mv "$dir.part" "$dir"
  ) 9>"$dir.lock"
}

MAVEN_DEPENDENCY=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

# maven_jars COORDINATE… DIR: the jars and everything they need at run time.
maven_jars() {
  local dir=${*: -1} g a v c
  {
    echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
    echo '<groupId>tapline</groupId><artifactId>servers</artifactId><version>1</version><dependencies>'
    for c in "${@:1:$#-1}"; do
      IFS=: read -r g a v <<<"$c"
      echo "<dependency><groupId>$g</groupId><artifactId>$a</artifactId><version>$v</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$dir/pom.xml"
  mvn -q -B -f "$dir/pom.xml" $MAVEN_DEPENDENCY:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir" >&2
  rm "$dir/pom.xml"
}

# maven_archive COORDINATE DIR: unpack a tar.gz artifact, without its top folder.
maven_archive() {
  mvn -q -B $MAVEN_DEPENDENCY:copy -Dartifact="$1" -DoutputDirectory="$2/.download" >&2
  tar -xzf "$2"/.download/*.tar.gz -C "$2" --strip-components=1
  rm -r "$2/.download"
}

# java 17 or newer: $JAVA_HOME's, else the one in the path, else Debian's.
java_ready() {
  JAVA=${JAVA_HOME:+$JAVA_HOME/bin/java}
  [ -x "${JAVA:-}" ] || JAVA=$(command -v java || true)
  if [ -z "$JAVA" ] || [ "$("$JAVA" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')" -lt 17 ]; then
    packages default-jre-headless; JAVA=/usr/bin/java
  fi
}

# alive PID: a process that has ended and only waits for its parent to ask is not.
alive() { kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# running DIR NAME
running() { [ -s "$1/$2.pid" ] && alive "$(cat "$1/$2.pid")"; }

# spawn DIR NAME CMD…: start in a session of its own; output to DIR/NAME.log, pid to DIR/NAME.pid.
spawn() {
  local dir=$1 name=$2; shift 2
  if running "$dir" "$name"; then return 0; fi
  setsid "$@" >>"$dir/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/$name.pid"
}

# halt DIR NAME [SIGNAL [SECONDS]]: ask the process to end; SIGKILL when it has not after SECONDS.
halt() {
  local pid i
  if running "$1" "$2"; then
    pid=$(cat "$1/$2.pid")
    kill -"${3:-TERM}" "$pid" 2>/dev/null || true
    for ((i = 0; i < ${4:-30} * 10; i++)); do alive "$pid" || break; sleep 0.1; done
    if alive "$pid"; then say "$2 does not stop; killed"; kill -KILL "$pid" 2>/dev/null || true; fi
  fi
  rm -f "$1/$2.pid"
}

# listening PORT
listening() { (exec 3<>"/dev/tcp/$HOST/$1") 2>/dev/null; }

# wait_for DIR NAME SECONDS CMD…: until CMD succeeds; fails with the end of the log when the process dies or time is up.
wait_for() {
  local dir=$1 name=$2 i n=$(($3 * 10)); shift 3
  for ((i = 0; i < n; i++)); do
    if "$@" 2>/dev/null; then return 0; fi
    running "$dir" "$name" || break
    sleep 0.1
  done
  tail -20 "$dir/$name.log" >&2
  die "$name did not come up (log: $dir/$name.log)"
}

# free_port: one below the range that outgoing connections take, so that a server can have it again after a kill.
free_port() {
  local p
  while :; do
    p=$((RANDOM % 12000 + 20000))
    listening "$p" || { echo "$p"; return 0; }
  done
}
