import java.io.IOException;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * A shop on Kafka Streams, exactly once.
 *
 * <pre>
 *   customers (table: customer, region) ---+
 *                                          |
 *   orders (customer, "order,amount") --- join --- by region, repartitioned --- count and sum of each minute --- totals
 *        |
 *        +--- by order, repartitioned --- join within five minutes --- paid
 *                                          |
 *   payments (order, amount) --------------+
 * </pre>
 *
 * <p>Arguments: the brokers, the application's id, the directory of its state, the group protocol. It prints each of its states and ends
 * when its standard input does.
 */
public final class Shop {
  public static void main(String[] args) throws Exception {
    Properties p = new Properties();
    p.put("bootstrap.servers", args[0]);
    p.put("application.id", args[1]);
    p.put("state.dir", args[2]);
    p.put("group.protocol", args[3]);
    p.put("processing.guarantee", "exactly_once_v2");
    p.put("default.key.serde", Serdes.StringSerde.class.getName());
    p.put("default.value.serde", Serdes.StringSerde.class.getName());
    p.put("commit.interval.ms", "200");
    p.put("statestore.cache.max.bytes", "0");
    p.put("num.stream.threads", "1");
    p.put("max.task.idle.ms", "200");
    p.put("producer.transaction.timeout.ms", "10000");
    p.put("producer.linger.ms", "20");
    if (args[3].equals("classic")) {
      p.put("consumer.session.timeout.ms", "6000");
      p.put("consumer.heartbeat.interval.ms", "1000");
      p.put("num.standby.replicas", "1");
    }
    KafkaStreams streams = new KafkaStreams(topology(), p);
    streams.setStateListener((now, before) -> System.out.println(now));
    streams.setUncaughtExceptionHandler(e -> {
      e.printStackTrace();
      return StreamThreadExceptionResponse.REPLACE_THREAD;
    });
    CountDownLatch stop = new CountDownLatch(1);
    Thread watcher = new Thread(() -> {
      try {
        while (System.in.read() >= 0) { }
      } catch (IOException e) {
        e.printStackTrace();
      }
      stop.countDown();
    });
    watcher.setDaemon(true);
    watcher.start();
    streams.start();
    stop.await();
    streams.close(Duration.ofSeconds(30));
  }

  private static org.apache.kafka.streams.Topology topology() {
    StreamsBuilder b = new StreamsBuilder();
    KTable<String, String> customers = b.table("customers");
    KStream<String, String> orders = b.stream("orders");
    KStream<String, String> payments = b.stream("payments");
    // What comes late counts all the same: how late it is depends on who was killed when.
    Duration late = Duration.ofHours(24);

    orders.join(customers, (order, region) -> region + "," + order.split(",")[1])
        .map((customer, v) -> KeyValue.pair(v.split(",")[0], v.split(",")[1]))
        .groupByKey()
        .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), late))
        .aggregate(() -> "0,0", (region, amount, sum) -> {
          String[] parts = sum.split(",");
          return (Long.parseLong(parts[0]) + 1) + "," + (Long.parseLong(parts[1]) + Long.parseLong(amount));
        })
        .toStream((window, sum) -> window.key() + "@" + window.window().start())
        .to("totals");

    orders.map((customer, order) -> KeyValue.pair(order.split(",")[0], order.split(",")[1]))
        .join(payments, (amount, paid) -> amount + "," + paid, JoinWindows.ofTimeDifferenceAndGrace(Duration.ofMinutes(5), late))
        .to("paid");
    return b.build();
  }
}
