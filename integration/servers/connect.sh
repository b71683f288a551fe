#!/bin/bash
# Kafka Connect with Debezium and MongoDB's sink: the peer that `make bench PEERS=1` measures beside us, and that `make soak` changes places with.
#   connect.sh install
#   connect.sh start DIR PORT KAFKA_PORT [NAME=VALUE…]   PORT 0: a free one; prints the port of its REST API
#   connect.sh stop DIR | kill DIR                         a clean shutdown | SIGKILL
# NAME=VALUE are worker settings. Variables: CONNECT_HEAP (2g), JAVA_HOME (Java 17 or newer).
. "$(dirname "$0")/lib.sh"
DEBEZIUM=3.6.1.Final
DEBEZIUM_JDBC=3.6.0.Final
# newest that is served
MONGODB=2.0.1
PLUGINS=$CACHE/connect-plugins
LIBS=$CACHE/kafka-4.3.1

plugin() {
  say "fetching $1 from Maven Central"
  once "$PLUGINS/$(cut -d: -f2 <<<"$1")" maven_archive "$1:tar.gz:plugin"
}
mongodb() {
  mvn -q -B $MAVEN_DEPENDENCY:copy -Dartifact="org.mongodb.kafka:mongo-kafka-connect:$MONGODB:jar:all" -DoutputDirectory="$1" >&2
}
install() {
  "$HERE/kafka.sh" install
  java_ready
  [ -d "$PLUGINS/debezium-connector-postgres" ] || plugin io.debezium:debezium-connector-postgres:$DEBEZIUM
  [ -d "$PLUGINS/debezium-connector-mysql" ] || plugin io.debezium:debezium-connector-mysql:$DEBEZIUM
  [ -d "$PLUGINS/debezium-connector-jdbc" ] || plugin io.debezium:debezium-connector-jdbc:$DEBEZIUM_JDBC
  if [ ! -d "$PLUGINS/mongo-kafka-connect" ]; then
    say "fetching org.mongodb.kafka:mongo-kafka-connect:$MONGODB from Maven Central"
    once "$PLUGINS/mongo-kafka-connect" mongodb
  fi
}
start() {
  local dir=$1 port=$2 kafka=$3 set; shift 3
  install
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  [ "$port" != 0 ] || port=$(free_port)
  cat >"$dir/worker.properties" <<P
bootstrap.servers=$HOST:$kafka
group.id=peer
config.storage.topic=peer-configs
offset.storage.topic=peer-offsets
status.storage.topic=peer-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
listeners=http://$HOST:$port
rest.advertised.host.name=$HOST
plugin.path=$PLUGINS
P
  for set in "$@"; do echo "$set" >>"$dir/worker.properties"; done
  spawn "$dir" connect "$JAVA" -server -Xms256m -Xmx${CONNECT_HEAP:-2g} -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    -Djava.awt.headless=true -Duser.timezone=UTC -Dlog4j2.configurationFile="$LIBS/log4j2.properties" \
    -cp "$LIBS/*" org.apache.kafka.connect.cli.ConnectDistributed "$dir/worker.properties"
  wait_for "$dir" connect 120 curl -sf -o /dev/null "http://$HOST:$port/connectors"
  echo "$port"
}

case ${1:-} in
  install) install ;;
  start) [ $# -ge 4 ] || usage "$0"; shift; start "$@" ;;
  stop) halt "$2" connect ;;
  kill) halt "$2" connect KILL ;;
  *) usage "$0" ;;
esac
