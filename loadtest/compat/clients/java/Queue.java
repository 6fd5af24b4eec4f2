import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A worker of a queue of jobs: a member of a share group that tells of each job what it did with it, and what became of the word.
 *
 * <p>Arguments: the brokers, the topic, the group. A job whose name ends in "r" is released at its first delivery, one that ends in "x" is
 * rejected, all others are accepted. It ends when its standard input does.
 */
public final class Queue {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, StandardCharsets.UTF_8);

  public static void main(String[] args) {
    Properties p = new Properties();
    p.put("bootstrap.servers", args[0]);
    p.put("group.id", args[2]);
    p.put("share.acknowledgement.mode", "explicit");
    p.put("max.poll.records", "20");
    p.put("key.deserializer", StringDeserializer.class.getName());
    p.put("value.deserializer", StringDeserializer.class.getName());
    AtomicBoolean stop = new AtomicBoolean();
    Thread watcher = new Thread(() -> {
      try {
        while (System.in.read() >= 0) { }
      } catch (IOException e) {
        e.printStackTrace();
      }
      stop.set(true);
    });
    watcher.setDaemon(true);
    watcher.start();
    try (KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(p)) {
      consumer.subscribe(List.of(args[1]));
      while (!stop.get()) {
        boolean any = false;
        for (ConsumerRecord<String, String> r : consumer.poll(Duration.ofMillis(500))) {
          any = true;
          short delivery = r.deliveryCount().orElse((short) -1);
          AcknowledgeType type = AcknowledgeType.ACCEPT;
          if (r.value().endsWith("r") && delivery <= 1) {
            type = AcknowledgeType.RELEASE;
          } else if (r.value().endsWith("x")) {
            type = AcknowledgeType.REJECT;
          }
          tell(JSON.createObjectNode().put("job", r.value()).put("p", r.partition()).put("o", r.offset()).put("delivery", delivery).put("did", type.name()));
          consumer.acknowledge(r, type);
        }
        if (any) {
          try {
            for (Map.Entry<TopicIdPartition, Optional<KafkaException>> e : consumer.commitSync().entrySet()) {
              ObjectNode line = JSON.createObjectNode().put("committed", e.getKey().partition());
              e.getValue().ifPresent(error -> line.put("error", error.toString()));
              tell(line);
            }
          } catch (KafkaException e) {
            tell(JSON.createObjectNode().put("committed", -1).put("error", e.toString()));
          }
        }
      }
    }
  }

  private static void tell(ObjectNode line) {
    OUT.println(line);
  }
}
