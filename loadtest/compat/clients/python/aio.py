"""aiokafka: asyncio."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError

import worker


async def create(o):
    admin = AIOKafkaAdminClient(bootstrap_servers=o["brokers"])
    await admin.start()
    try:
        answer = await admin.create_topics([NewTopic(o["topic"], o["partitions"], 1, topic_configs=o.get("configs") or {})])
        for _, code, *message in answer.topic_errors:
            if code != 0:
                raise RuntimeError(f"create topic: code={code} {message}")
    finally:
        await admin.close()


async def produce(o):
    producer = AIOKafkaProducer(
        bootstrap_servers=o["brokers"],
        enable_idempotence=True,
        compression_type=None if o["codec"] == "none" else o["codec"],
        linger_ms=20,
        request_timeout_ms=o["timeout_ms"],
    )
    await producer.start()
    futures = []
    for partition, key, value, headers, timestamp in worker.records():
        futures.append(
            await producer.send(o["topic"], value, key, partition=partition, timestamp_ms=timestamp, headers=headers)
        )
    for index, future in enumerate(futures):
        try:
            meta = await future
            worker.emit({"i": index, "p": meta.partition, "o": meta.offset})
        except KafkaError as error:
            worker.emit({"i": index, "error": repr(error), "retriable": bool(error.retriable)})
    await producer.stop()


def emit(batches):
    count = 0
    for batch in batches.values():
        for r in batch:
            worker.emit_record(r.partition, r.offset, r.key, r.value, r.headers, r.timestamp)
            count += 1
    return count


def consumer(o, **more):
    return AIOKafkaConsumer(bootstrap_servers=o["brokers"], enable_auto_commit=False, auto_offset_reset="earliest", **more)


async def consume(o):
    c = consumer(o)
    await c.start()
    c._client.add_topic(o["topic"])  # without a subscription the client learns of no topic by itself
    await c._client.force_metadata_update()
    partitions = [TopicPartition(o["topic"], n) for n in c.partitions_for_topic(o["topic"])]
    c.assign(partitions)
    if o["from"] == "beginning":
        await c.seek_to_beginning(*partitions)
    elif o["from"] == "offset":
        for tp in partitions:
            c.seek(tp, o["offsets"][str(tp.partition)])
    else:
        for tp, found in (await c.offsets_for_times({tp: o["time"] for tp in partitions})).items():
            if found is None:
                await c.seek_to_end(tp)
            else:
                c.seek(tp, found.offset)
    left = o["count"]
    while left > 0:
        left -= emit(await c.getmany(timeout_ms=1000))
    await c.stop()


class Listener(ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        pass

    async def on_partitions_assigned(self, assigned):
        worker.emit({"assigned": [tp.partition for tp in assigned]})


async def group(o):
    c = consumer(o, group_id=o["group"], session_timeout_ms=o["session_ms"], heartbeat_interval_ms=500)
    c.subscribe([o["topic"]], listener=Listener())
    await c.start()
    stop = worker.stopped()
    while not stop.is_set():
        if emit(await c.getmany(timeout_ms=200)):
            try:
                await c.commit()
            except (CommitFailedError, IllegalGenerationError) as error:
                sys.stderr.write(f"commit: {error}\n")
    await c.stop()


asyncio.run(worker.main({"create": create, "produce": produce, "consume": consume, "group": group}))
