#!/bin/bash
# Kafka Connect with Debezium, started as `tapline worker` is, so that a scenario runs against the original:
#   TAPLINE=integration/servers/connect-worker.sh cargo test --release --test integration NAME
# It needs `bootstrap.servers` in the properties, and has no command line of connectors.
#   connect-worker.sh worker FILE …
. "$(dirname "$0")/lib.sh"
[ "${1:-}" = worker ] || usage "$0"
"$HERE/connect.sh" install
java_ready
file=$2.connect
{
  cat <<P
group.id=$(basename "$(dirname "$2")")
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1
key.converter=org.apache.kafka.connect.json.JsonConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
scheduled.rebalance.max.delay.ms=0
plugin.path=$CACHE/connect-plugins
P
  cat "$2"
} >"$file"
exec "$JAVA" -Xmx2g -Duser.timezone=UTC -Dlog4j2.configurationFile="$CACHE/kafka-4.3.1/log4j2.properties" \
  -cp "$CACHE/kafka-4.3.1/*" org.apache.kafka.connect.cli.ConnectDistributed "$file"
