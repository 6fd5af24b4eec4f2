import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The official Java client behind the protocol of the compat workers (see ../worker/doc.go). */
public final class Worker {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final PrintStream OUT = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), false, StandardCharsets.UTF_8);

  private final JsonNode options;
  private final String topic;

  private Worker(JsonNode options) {
    this.options = options;
    this.topic = options.get("topic").asText();
  }

  public static void main(String[] args) throws Exception {
    Worker worker = new Worker(JSON.readTree(args[1]));
    switch (args[0]) {
      case "create" -> worker.create();
      case "produce" -> worker.produce();
      case "consume" -> worker.consume();
      case "group" -> worker.group();
      default -> throw new IllegalArgumentException("unknown verb " + args[0]);
    }
    OUT.flush();
  }

  private Properties properties() {
    Properties p = new Properties();
    p.put("bootstrap.servers", options.get("brokers").asText());
    JsonNode s = options.path("security");
    if (s.isMissingNode()) {
      return p;
    }
    boolean tls = s.has("trust");
    if (tls) {
      p.put("ssl.truststore.type", "PKCS12");
      p.put("ssl.truststore.location", s.get("trust").asText());
      p.put("ssl.truststore.password", s.get("store_pass").asText());
    }
    if (s.has("store")) {
      p.put("ssl.keystore.type", "PKCS12");
      p.put("ssl.keystore.location", s.get("store").asText());
      p.put("ssl.keystore.password", s.get("store_pass").asText());
      p.put("ssl.key.password", s.get("store_pass").asText());
    }
    if (!s.has("mechanism")) {
      p.put("security.protocol", tls ? "SSL" : "PLAINTEXT");
      return p;
    }
    String mechanism = s.get("mechanism").asText();
    p.put("security.protocol", tls ? "SASL_SSL" : "SASL_PLAINTEXT");
    p.put("sasl.mechanism", mechanism);
    String login = switch (mechanism) {
      case "PLAIN" -> "org.apache.kafka.common.security.plain.PlainLoginModule";
      case "OAUTHBEARER" -> "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
      default -> "org.apache.kafka.common.security.scram.ScramLoginModule";
    };
    if (mechanism.equals("OAUTHBEARER")) {
      String url = "file://" + s.get("token_file").asText();
      System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", url);
      p.put("sasl.oauthbearer.token.endpoint.url", url);
      p.put("sasl.login.callback.handler.class", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler");
      p.put("sasl.jaas.config", login + " required;");
    } else {
      p.put("sasl.jaas.config", login + " required username=\"" + s.get("user").asText() + "\" password=\"" + s.get("password").asText() + "\""
          + (s.path("delegation").asBoolean() ? " tokenauth=\"true\"" : "") + ";");
    }
    return p;
  }

  private void create() throws Exception {
    Map<String, String> configs = new HashMap<>();
    options.path("configs").fields().forEachRemaining(e -> configs.put(e.getKey(), e.getValue().asText()));
    try (Admin admin = Admin.create(properties())) {
      admin.createTopics(List.of(new NewTopic(topic, options.get("partitions").asInt(), (short) 1).configs(configs))).all().get();
    }
  }

  private void produce() throws IOException {
    Properties p = properties();
    p.put("acks", "all");
    p.put("enable.idempotence", "true");
    p.put("compression.type", options.get("codec").asText());
    p.put("linger.ms", "20");
    p.put("max.block.ms", options.get("timeout_ms").asText());
    p.put("delivery.timeout.ms", options.get("timeout_ms").asText());
    p.put("request.timeout.ms", "10000");
    p.put("key.serializer", ByteArraySerializer.class.getName());
    p.put("value.serializer", ByteArraySerializer.class.getName());
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p)) {
      int index = 0;
      for (String line = in.readLine(); line != null; line = in.readLine(), index++) {
        JsonNode r = JSON.readTree(line);
        ProducerRecord<byte[], byte[]> record =
            new ProducerRecord<>(topic, r.get("p").asInt(), r.get("t").asLong(), bytes(r.get("k")), bytes(r.get("v")));
        for (JsonNode h : r.path("h")) {
          record.headers().add(h.get(0).asText(), bytes(h.get(1)));
        }
        int i = index;
        producer.send(record, (meta, error) -> {
          ObjectNode ack = JSON.createObjectNode().put("i", i);
          if (error == null) {
            ack.put("p", meta.partition()).put("o", meta.offset());
          } else {
            ack.put("error", error.toString()).put("retriable", error instanceof RetriableException);
          }
          print(ack);
        });
      }
    }
  }

  private KafkaConsumer<byte[], byte[]> consumer(Properties p) {
    p.put("enable.auto.commit", "false");
    p.put("auto.offset.reset", "earliest");
    p.put("key.deserializer", ByteArrayDeserializer.class.getName());
    p.put("value.deserializer", ByteArrayDeserializer.class.getName());
    return new KafkaConsumer<>(p);
  }

  private void consume() {
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(properties())) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (PartitionInfo i : consumer.partitionsFor(topic)) {
        partitions.add(new TopicPartition(topic, i.partition()));
      }
      consumer.assign(partitions);
      switch (options.get("from").asText()) {
        case "beginning" -> consumer.seekToBeginning(partitions);
        case "offset" -> {
          for (TopicPartition tp : partitions) {
            consumer.seek(tp, options.get("offsets").get(Integer.toString(tp.partition())).asLong());
          }
        }
        case "time" -> {
          Map<TopicPartition, Long> times = new HashMap<>();
          partitions.forEach(tp -> times.put(tp, options.get("time").asLong()));
          for (Map.Entry<TopicPartition, OffsetAndTimestamp> e : consumer.offsetsForTimes(times).entrySet()) {
            if (e.getValue() == null) {
              consumer.seekToEnd(List.of(e.getKey()));
            } else {
              consumer.seek(e.getKey(), e.getValue().offset());
            }
          }
        }
        default -> throw new IllegalArgumentException("from " + options.get("from"));
      }
      for (int left = options.get("count").asInt(); left > 0; ) {
        for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofSeconds(1))) {
          print(record(r));
          left--;
        }
      }
    }
  }

  private void group() {
    Properties p = properties();
    p.put("group.id", options.get("group").asText());
    if (options.has("protocol")) {
      p.put("group.protocol", options.get("protocol").asText());
    } else {
      p.put("session.timeout.ms", options.get("session_ms").asText());
      p.put("heartbeat.interval.ms", "500");
    }
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
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(p)) {
      consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> revoked) { }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> added) {
          ArrayNode list = JSON.createArrayNode();
          consumer.assignment().forEach(tp -> list.add(tp.partition()));
          ObjectNode line = JSON.createObjectNode();
          line.set("assigned", list);
          print(line);
        }
      });
      while (!stop.get()) {
        boolean any = false;
        for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
          print(record(r));
          any = true;
        }
        if (any) {
          try {
            consumer.commitSync();
          } catch (org.apache.kafka.clients.consumer.CommitFailedException | org.apache.kafka.common.errors.RebalanceInProgressException e) {
            // A rebalance came between: whoever owns the partition next gets these records again.
            System.err.println("commit: " + e);
          }
        }
      }
    }
  }

  private static ObjectNode record(ConsumerRecord<byte[], byte[]> r) {
    ObjectNode n = JSON.createObjectNode();
    n.put("p", r.partition()).put("o", r.offset()).put("k", text(r.key())).put("v", text(r.value())).put("t", r.timestamp());
    ArrayNode headers = n.putArray("h");
    for (Header h : r.headers()) {
      headers.addArray().add(h.key()).add(text(h.value()));
    }
    return n;
  }

  private static synchronized void print(JsonNode n) {
    OUT.println(n);
    OUT.flush();
  }

  private static byte[] bytes(JsonNode n) {
    return n == null || n.isNull() ? null : Base64.getDecoder().decode(n.asText());
  }

  private static String text(byte[] b) {
    return b == null ? null : Base64.getEncoder().encodeToString(b);
  }
}
