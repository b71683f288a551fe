#!/bin/bash
# A document server on loopback that speaks MongoDB's protocol: FerretDB over SQLite, built from its Go module, since no
# package has a MongoDB server.
#   ferretdb.sh install
#   ferretdb.sh start DIR PORT       PORT 0: a free one; prints the port. DIR is made when missing
#   ferretdb.sh stop DIR | kill DIR  a clean shutdown | SIGKILL
# Variables: GOPROXY (https://proxy.golang.org).
. "$(dirname "$0")/lib.sh"
VERSION=1.24.0
BIN=$CACHE/ferretdb-$VERSION
GO_VERSION=1.23.4

# A Go that can build it, or fetch the one that can: the path's, else Go's own from the module proxy, as `go` itself does.
go_ready() {
  GO=$(command -v go || true)
  [ -n "$GO" ] || [ ! -x /usr/local/go/bin/go ] || GO=/usr/local/go/bin/go
  if [ -n "$GO" ] && [ "$("$GO" env GOVERSION | sed 's/go1\.\([0-9]*\).*/\1/')" -ge 22 ]; then return 0; fi
  once "$CACHE/go-$GO_VERSION" go_toolchain
  GO=$CACHE/go-$GO_VERSION/bin/go
}
go_toolchain() {
  local arch proxy=${GOPROXY:-https://proxy.golang.org} name
  case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) die "no Go for $(uname -m) is known here" ;; esac
  name=golang.org/toolchain@v0.0.1-go$GO_VERSION.linux-$arch
  need curl curl; need unzip unzip
  say "fetching Go $GO_VERSION from $(sed 's#.*@##' <<<"${proxy%%,*}")"
  curl -fsSL -o "$1/go.zip" "${proxy%%,*}/golang.org/toolchain/@v/${name#*@}.zip" || die "Go could not be fetched"
  unzip -q "$1/go.zip" -d "$1"
  mv "$1/$name"/* "$1"; rm -r "$1/go.zip" "$1/golang.org"; chmod +x "$1"/bin/* "$1"/pkg/tool/*/*
}

build() {
  local dir=$1 module
  go_ready
  say "building FerretDB $VERSION from its Go module (a few minutes)"
  module=$(cd "$dir" && "$GO" mod download -json "github.com/FerretDB/FerretDB@v$VERSION" | sed -n 's/^\t"Dir": "\(.*\)",/\1/p')
  [ -d "$module" ] || die "the module github.com/FerretDB/FerretDB could not be fetched"
  cp -r "$module" "$dir/source"; chmod -R u+w "$dir/source"
  # a release has these files; without them the server stops when it starts
  echo "v$VERSION" >"$dir/source/build/version/version.txt"; echo unknown >"$dir/source/build/version/commit.txt"
  (cd "$dir/source" && GOFLAGS=-mod=mod "$GO" build -buildvcs=false -o "$dir/ferretdb" ./cmd/ferretdb) >&2
  rm -rf "$dir/source"
}
install() { once "$BIN" build; }

start() {
  local dir=$1 port=${2:-0}
  install
  [ "$port" != 0 ] || port=$(free_port)
  mkdir -p "$dir/db"; dir=$(cd "$dir" && pwd)
  spawn "$dir" ferretdb "$BIN/ferretdb" --handler=sqlite --sqlite-url="file:$dir/db/" --listen-addr="$HOST:$port" \
    --debug-addr=- --telemetry=disable --state-dir="$dir" --mode=normal --log-level=warn
  wait_for "$dir" ferretdb 30 listening "$port"
  echo "$port"
}

case ${1:-} in
  install) install ;;
  start) [ $# -ge 3 ] || usage "$0"; start "$2" "$3" ;;
  stop) halt "$2" ferretdb ;;
  kill) halt "$2" ferretdb KILL ;;
  *) usage "$0" ;;
esac
