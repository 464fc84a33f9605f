package peers;

import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;

/** Reduces visits from one topic to a second, and writes what can't be reduced to a third. */
public final class ReduceVisits {
    private ReduceVisits() {}

    /** The arguments are the brokers, the topics of input, output and dead letters, the application's id, and a folder for state. */
    public static void main(String[] args) {
        KafkaStreams streams = new KafkaStreams(topology(args[1], args[2], args[3]), properties(args[0], args[4], args[5]));
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
    }

    private static Topology topology(String input, String output, String deadLetters) {
        var bytes = Serdes.ByteArray();
        var produced = Produced.with(bytes, bytes);
        var builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(bytes, bytes))
                .mapValues(Verdict::of)
                .split()
                .branch((key, verdict) -> verdict.isReduced(), Branched.withConsumer(
                        reduced -> reduced.mapValues(Verdict::value).to(output, produced)))
                .defaultBranch(Branched.withConsumer(
                        failed -> failed.mapValues(Verdict::value).to(deadLetters, produced)));
        return builder.build();
    }

    private static Properties properties(String brokers, String id, String stateFolder) {
        var properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, id);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, stateFolder);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        // Its default with exactly once, and that of the host.
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 100);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // Fewer polls: by default 1000 records a call.
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_BYTES_CONFIG), 8 << 20);
        // Large batches, which the commit sends at the latest: Streams' own linger of 100 ms gives a fifth more than one of 5 ms.
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return properties;
    }
}
