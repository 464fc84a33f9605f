"""The reference job: reduces visits from one topic to a second, and writes what can't be reduced to a third.

It reads values only, as the job that this project replaces does, so its outputs have no key.

The arguments are the brokers, the topics of input, output and dead letters, the group, the connector's jar, and a folder for temporary files.
"""

import json
import os
import sys
import sysconfig
from datetime import datetime

from pyflink.common import Configuration, SimpleStringSchema, Types, WatermarkStrategy
from pyflink.datastream import CheckpointingMode, OutputTag, ProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)

# Each checkpoint is a transaction. With one every 100 ms, as in the other jobs, this one has two thirds of its throughput, so it commits
# each second.
CHECKPOINT_MS = 1000
DEAD_LETTERS = OutputTag("dead_letters", Types.STRING())


class ReduceVisit(ProcessFunction):
    """Reduces a visit, or sends it to the dead letters with what Python says of it."""

    def process_element(self, value, ctx):
        try:
            visit = json.loads(value)
            reduced = json.dumps({
                "visit_id": visit["visit_id"],
                "event_time": int(datetime.fromisoformat(visit["event_time"]).timestamp()),
                "page": visit["page"],
            })
        except Exception as error:
            envelope = {
                "processing_time": datetime.utcnow().isoformat(timespec="microseconds"),
                "input_json": value,
                "error_message": str(error),
            }
            yield DEAD_LETTERS, json.dumps(envelope)
        else:
            yield reduced


def sink(brokers, topic, group):
    serializer = KafkaRecordSerializationSchema.builder().set_topic(topic).set_value_serialization_schema(SimpleStringSchema()).build()
    builder = KafkaSink.builder()
    # What `set_record_serializer` does on Java 8 and 11: on 17 it fails, as it asks a lambda for the name of its class.
    builder._j_builder.setRecordSerializer(serializer._j_serialization_schema)
    return (
        builder.set_bootstrap_servers(brokers)
        .set_delivery_guarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .set_transactional_id_prefix(f"{group}-{topic}")
        # Its default of an hour is more than a broker allows.
        .set_property("transaction.timeout.ms", "600000")
        .set_property("linger.ms", "5")
        .set_property("batch.size", "262144")
        .set_property("compression.type", "lz4")
        .build()
    )


def main(brokers, input_topic, output_topic, dead_letter_topic, group, jar, temporary):
    # The interpreter in the JVM, which inherits this, does not look into a virtual environment by itself.
    os.environ["PYTHONPATH"] = sysconfig.get_path("purelib")
    configuration = Configuration()
    configuration.set_string("pipeline.jars", f"file://{jar}")
    configuration.set_string("io.tmp.dirs", temporary)
    # Strings are immutable: the default copies each between two chained operators.
    configuration.set_boolean("pipeline.object-reuse", True)
    # The interpreter in the JVM: a process beside it, to which every record is sent and back, has 0.87 of the throughput.
    configuration.set_string("python.execution-mode", "thread")
    configuration.set_string("python.executable", sys.executable)
    # A failure is one of the benchmark: it ends.
    configuration.set_string("restart-strategy", "none")
    environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    environment.set_parallelism(2)
    environment.enable_checkpointing(CHECKPOINT_MS, CheckpointingMode.EXACTLY_ONCE)
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(brokers)
        .set_topics(input_topic)
        .set_group_id(group)
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .set_property("isolation.level", "read_committed")
        .set_property("max.poll.records", "5000")
        .set_property("fetch.max.bytes", str(8 << 20))
        .build()
    )
    visits = environment.from_source(source, WatermarkStrategy.no_watermarks(), "visits")
    reduced = visits.process(ReduceVisit(), Types.STRING())
    reduced.sink_to(sink(brokers, output_topic, group))
    reduced.get_side_output(DEAD_LETTERS).sink_to(sink(brokers, dead_letter_topic, group))
    environment.execute("reduce_visits")


if __name__ == "__main__":
    main(*sys.argv[1:])
