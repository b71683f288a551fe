#!/bin/bash
# Apache Kafka: one broker that is its own controller (KRaft), on loopback, from Maven Central's jars.
#   kafka.sh install
#   kafka.sh start DIR PORT [NAME=VALUE…]   PORT 0: a free one; prints the port. DIR is made when missing
#   kafka.sh stop DIR | kill DIR            a clean shutdown | SIGKILL
#   kafka.sh tool CLASS ARG…                one of Kafka's own tools, e.g. org.apache.kafka.tools.TopicCommand
#   kafka.sh classpath
# NAME=VALUE are broker settings. Variables: KAFKA_HEAP (512m), JAVA_HOME (Java 17 or newer).
. "$(dirname "$0")/lib.sh"
VERSION=4.3.1
LIBS=$CACHE/kafka-$VERSION

jars() {
  local k=org.apache.kafka v=$VERSION l=org.apache.logging.log4j
  say "fetching Apache Kafka $v and Kafka Connect's runtime from Maven Central (about 100 jars, 150 MB)"
  maven_jars $k:kafka_2.13:$v $k:kafka-tools:$v $k:connect-runtime:$v $k:connect-json:$v $k:connect-transforms:$v \
    $k:connect-file:$v $l:log4j-core:2.25.1 $l:log4j-slf4j-impl:2.25.1 $l:log4j-1.2-api:2.25.1 "$1"
  cat >"$1/log4j2.properties" <<'L'
status=error
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p [%c{1}] %m%n
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
L
}
install() {
  java_ready
  [ -d "$LIBS" ] || need mvn maven
  once "$LIBS" jars
}
tool() { "$JAVA" -Xmx256m -XX:TieredStopAtLevel=1 -Dlog4j2.level=ERROR -cp "$LIBS/*" "$@"; }

start() {
  local dir=$1 port=$2 heap=${KAFKA_HEAP:-512m} set; shift 2
  install
  mkdir -p "$dir"; dir=$(cd "$dir" && pwd)
  [ "$port" != 0 ] || port=$(free_port)
  if [ ! -f "$dir/server.properties" ]; then
    local controller; controller=$(free_port)
    cat >"$dir/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$HOST:$controller
listeners=PLAINTEXT://$HOST:$port,CONTROLLER://$HOST:$controller
advertised.listeners=PLAINTEXT://$HOST:$port
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/log
num.partitions=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=20000000
# a killed broker may come back as soon as its old session is over, 9 s by default
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
replica.fetch.max.bytes=20000000
P
    for set in "$@"; do echo "$set" >>"$dir/server.properties"; done
    tool kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$dir/server.properties" --ignore-formatted >"$dir/format.log" 2>&1 ||
      die "format failed: $(tail -5 "$dir/format.log")"
  fi
  spawn "$dir" kafka "$JAVA" -server -Xms$heap -Xmx$heap -XX:+UseG1GC -XX:MaxGCPauseMillis=20 \
    -Djava.awt.headless=true -Dlog4j2.configurationFile="$LIBS/log4j2.properties" -Dkafka.logs.dir="$dir" \
    -cp "$LIBS/*" kafka.Kafka "$dir/server.properties"
  wait_for "$dir" kafka 90 listening "$port"
  echo "$port"
}

case ${1:-} in
  install) install ;;
  start) [ $# -ge 3 ] || usage "$0"; shift; start "$@" ;;
  stop) halt "$2" kafka ;;
  kill) halt "$2" kafka KILL ;;
  tool) shift; install; tool "$@" ;;
  classpath) install; echo "$LIBS/*" ;;
  *) usage "$0" ;;
esac
