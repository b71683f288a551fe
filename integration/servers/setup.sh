#!/bin/bash
# Installs what a fresh Debian machine with a Rust toolchain lacks, and says so. Does nothing when all is there.
#   setup.sh build    what compiling needs: a C toolchain, make and perl (librdkafka with OpenSSL, zlib and zstd)
#   setup.sh demo     that, and PostgreSQL
#   setup.sh test     that, Apache Kafka (Java, Maven), MariaDB, kcat, curl, openssl, FerretDB (Go), and a private Debian
#                     sid tree with PostgreSQL 18, pgvector, PostGIS and MySQL 9
#   setup.sh peers    that, and Kafka Connect with Debezium
. "$(dirname "$0")/lib.sh"

for_build() {
  local missing=()
  command -v cc >/dev/null && command -v c++ >/dev/null && command -v make >/dev/null || missing+=(build-essential)
  # OpenSSL's build uses modules that Debian's perl-base leaves out
  perl -MIPC::Cmd -MFindBin -e1 2>/dev/null || missing+=(perl)
  command -v cargo >/dev/null || say "cargo is not in the path: install a Rust toolchain (rust-toolchain.toml names the version)"
  packages "${missing[@]}"
}
for_demo() { for_build; "$HERE/postgres.sh" install; }
for_test() {
  local missing=()
  command -v kcat >/dev/null || missing+=(kcat)
  command -v curl >/dev/null || missing+=(curl)
  command -v openssl >/dev/null || missing+=(openssl)
  packages "${missing[@]}"
  for_demo
  "$HERE/kafka.sh" install
  "$HERE/mysql.sh" install mariadb
  "$HERE/mysql.sh" install mysql
  "$HERE/postgres.sh" install 18
  "$HERE/ferretdb.sh" install
}
for_peers() { for_test; "$HERE/connect.sh" install; }

case ${1:-} in
  build | demo | test | peers) "for_$1" ;;
  *) usage "$0" ;;
esac
