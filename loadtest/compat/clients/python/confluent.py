"""librdkafka, through confluent-kafka."""

import base64
import json

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

import worker


def connection(o):
    """How the client connects."""
    c = {"bootstrap.servers": o["brokers"]}
    s = o.get("security")
    if s is None:
        return c
    if "ca" in s:
        c["ssl.ca.location"] = s["ca"]
    if "cert" in s:
        c.update({"ssl.certificate.location": s["cert"], "ssl.key.location": s["key"]})
    if "mechanism" not in s:
        return {**c, "security.protocol": "SSL"}
    c.update({"security.protocol": "SASL_SSL" if "ca" in s else "SASL_PLAINTEXT", "sasl.mechanisms": s["mechanism"]})
    if s["mechanism"] == "OAUTHBEARER":
        c["oauth_cb"] = lambda _: token(s["token_file"])
    else:
        c.update({"sasl.username": s["user"], "sasl.password": s["password"]})
    return c


def token(path):
    """The token in a file, and when it ends."""
    with open(path) as file:
        text = file.read().strip()
    claims = text.split(".")[1]
    return text, json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]


def create(o):
    admin = AdminClient(connection(o))
    admin.poll(0)  # which has the token fetched
    topic = NewTopic(o["topic"], num_partitions=o["partitions"], replication_factor=1, config=o.get("configs") or {})
    for future in admin.create_topics([topic]).values():
        future.result(30)


def produce(o):
    producer = Producer(
        {
            **connection(o),
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": o["codec"],
            "linger.ms": 20,
            "message.timeout.ms": o["timeout_ms"],
        }
    )

    def acknowledged(index):
        def report(error, message):
            if error is not None:
                worker.emit({"i": index, "error": str(error), "retriable": error.retriable() or error.name() == "_MSG_TIMED_OUT"})
            else:
                worker.emit({"i": index, "p": message.partition(), "o": message.offset()})

        return report

    for index, (partition, key, value, headers, timestamp) in enumerate(worker.records()):
        producer.produce(
            o["topic"], value, key, partition=partition, headers=headers, timestamp=timestamp, on_delivery=acknowledged(index)
        )
        producer.poll(0)
    producer.flush()


def emit(message):
    if message.error():
        raise KafkaException(message.error())
    worker.emit_record(
        message.partition(), message.offset(), message.key(), message.value(), message.headers(), message.timestamp()[1]
    )


def consumer(o, **more):
    return Consumer({**connection(o), "enable.auto.commit": False, "auto.offset.reset": "earliest", **more})


def consume(o):
    c = consumer(o, **{"group.id": "unused"})
    c.poll(0)  # which has the token fetched
    numbers = c.list_topics(o["topic"], timeout=30).topics[o["topic"]].partitions
    if o["from"] == "beginning":
        start = [TopicPartition(o["topic"], n, OFFSET_BEGINNING) for n in numbers]
    elif o["from"] == "offset":
        start = [TopicPartition(o["topic"], n, o["offsets"][str(n)]) for n in numbers]
    else:
        start = c.offsets_for_times([TopicPartition(o["topic"], n, o["time"]) for n in numbers], timeout=30)
        for partition in start:
            if partition.offset < 0:
                partition.offset = OFFSET_END
    c.assign(start)
    left = o["count"]
    while left > 0:
        for message in c.consume(min(left, 1000), timeout=1):
            emit(message)
            left -= 1
    c.close()


def group(o):
    if "protocol" in o:
        c = consumer(o, **{"group.id": o["group"], "group.protocol": o["protocol"]})
    else:
        c = consumer(o, **{"group.id": o["group"], "session.timeout.ms": o["session_ms"], "heartbeat.interval.ms": 500})
    has = set()

    # The callbacks run before the assignment is in force. An eager assignor gives up all and tells all; otherwise they are told of changes.
    def assigned(_, partitions):
        has.update(tp.partition for tp in partitions)
        worker.emit({"assigned": sorted(has)})

    def revoked(_, partitions):
        has.difference_update(tp.partition for tp in partitions)

    c.subscribe([o["topic"]], on_assign=assigned, on_revoke=revoked, on_lost=revoked)
    stop = worker.stopped()
    while not stop.is_set():
        messages = c.consume(500, timeout=0.2)
        for message in messages:
            emit(message)
        if messages:
            try:
                c.commit(asynchronous=False)
            except KafkaException as error:
                worker.sys.stderr.write(f"commit: {error}\n")
    c.close()


worker.main({"create": create, "produce": produce, "consume": consume, "group": group})
