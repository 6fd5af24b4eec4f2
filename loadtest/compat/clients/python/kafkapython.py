"""kafka-python: a client written in Python alone."""

import sys

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import CommitFailedError, KafkaError

import worker


def create(o):
    admin = KafkaAdminClient(bootstrap_servers=o["brokers"])
    admin.create_topics([NewTopic(o["topic"], o["partitions"], 1, topic_configs=o.get("configs") or {})])
    admin.close()


def produce(o):
    producer = KafkaProducer(
        bootstrap_servers=o["brokers"],
        acks="all",
        compression_type=None if o["codec"] == "none" else o["codec"],
        linger_ms=20,
        delivery_timeout_ms=o["timeout_ms"],
        request_timeout_ms=min(10000, o["timeout_ms"] - 1000),
    )
    futures = []
    for partition, key, value, headers, timestamp in worker.records():
        futures.append(producer.send(o["topic"], value, key, headers=headers, partition=partition, timestamp_ms=timestamp))
    producer.flush()
    for index, future in enumerate(futures):
        try:
            meta = future.get(timeout=o["timeout_ms"] / 1000)
            worker.emit({"i": index, "p": meta.partition, "o": meta.offset})
        except KafkaError as error:
            worker.emit({"i": index, "error": repr(error), "retriable": bool(error.retriable)})
    producer.close()


def emit(batches):
    count = 0
    for batch in batches.values():
        for r in batch:
            worker.emit_record(r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
            count += 1
    return count


def consumer(o, **more):
    return KafkaConsumer(bootstrap_servers=o["brokers"], enable_auto_commit=False, auto_offset_reset="earliest", **more)


def consume(o):
    c = consumer(o)
    partitions = [TopicPartition(o["topic"], n) for n in c.partitions_for_topic(o["topic"])]
    c.assign(partitions)
    if o["from"] == "beginning":
        c.seek_to_beginning(*partitions)
    elif o["from"] == "offset":
        for tp in partitions:
            c.seek(tp, o["offsets"][str(tp.partition)])
    else:
        for tp, found in c.offsets_for_times({tp: o["time"] for tp in partitions}).items():
            if found is None:
                c.seek_to_end(tp)
            else:
                c.seek(tp, found.offset)
    left = o["count"]
    while left > 0:
        left -= emit(c.poll(timeout_ms=1000))
    c.close()


class Listener(ConsumerRebalanceListener):
    def on_partitions_revoked(self, revoked):
        pass

    def on_partitions_assigned(self, assigned):
        worker.emit({"assigned": [tp.partition for tp in assigned]})


def group(o):
    c = consumer(o, group_id=o["group"], session_timeout_ms=o["session_ms"], heartbeat_interval_ms=500)
    c.subscribe([o["topic"]], listener=Listener())
    stop = worker.stopped()
    while not stop.is_set():
        if emit(c.poll(timeout_ms=200)):
            try:
                c.commit()
            except CommitFailedError as error:
                sys.stderr.write(f"commit: {error}\n")
    c.close()


worker.main({"create": create, "produce": produce, "consume": consume, "group": group})
