import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.SimpleStringSchema;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A Flink job that counts words: each word of the topic "words" comes out in "counts" with its number, exactly once. The whole of Flink runs
 * in this process.
 *
 * <p>Arguments: the brokers, the directory of checkpoints, and the checkpoint to go on from, if any.
 */
public final class Job {
  public static void main(String[] args) throws Exception {
    Map<String, String> settings = Stream.of(
            "parallelism.default=2",
            "execution.checkpointing.interval=1 s",
            "execution.checkpointing.storage=filesystem",
            "execution.checkpointing.dir=file://" + args[1],
            "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION",
            "execution.checkpointing.tolerable-failed-checkpoints=1000",
            "restart-strategy.type=fixed-delay",
            "restart-strategy.fixed-delay.attempts=1000",
            "restart-strategy.fixed-delay.delay=1 s",
            "rest.bind-address=127.0.0.1",
            "rest.bind-port=0",
            "taskmanager.memory.network.min=16 mb",
            "taskmanager.memory.network.max=16 mb",
            "taskmanager.memory.managed.size=16 mb",
            args.length > 2 ? "execution.state-recovery.path=" + args[2] : "rest.address=127.0.0.1")
        .collect(Collectors.toMap(s -> s.substring(0, s.indexOf('=')), s -> s.substring(s.indexOf('=') + 1)));
    StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(2, Configuration.fromMap(settings));
    KafkaSource<String> words = KafkaSource.<String>builder()
        .setBootstrapServers(args[0])
        .setTopics("words")
        .setGroupId("counters")
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setValueOnlyDeserializer(new SimpleStringSchema())
        .build();
    KafkaSink<String> counts = KafkaSink.<String>builder()
        .setBootstrapServers(args[0])
        .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .setTransactionalIdPrefix("counts")
        .setProperty("transaction.timeout.ms", "60000")
        .setRecordSerializer(KafkaRecordSerializationSchema.<String>builder()
            .setTopic("counts")
            .setKeySerializationSchema((String s) -> s.split(" ")[0].getBytes())
            .setValueSerializationSchema(new SimpleStringSchema())
            .build())
        .build();
    env.fromSource(words, WatermarkStrategy.noWatermarks(), "words").uid("words")
        .keyBy(word -> word)
        .map(new Count()).uid("count")
        .sinkTo(counts).uid("counts");
    System.out.println("RUNNING");
    env.execute("counts");
  }

  /** Count gives each word its number. */
  public static final class Count extends RichMapFunction<String, String> {
    private transient ValueState<Long> seen;

    @Override
    public void open(OpenContext context) {
      seen = getRuntimeContext().getState(new ValueStateDescriptor<>("seen", Long.class));
    }

    @Override
    public String map(String word) throws Exception {
      long n = seen.value() == null ? 1 : seen.value() + 1;
      seen.update(n);
      return word + " " + n;
    }
  }
}
