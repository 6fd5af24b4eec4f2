"""Reads a topic's only partition from the beginning until it has a record, and prints its offset. It knows of no traces.

Usage: consumer.py BROKERS TOPIC
"""

import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": "audit", "client.id": "audit", "enable.auto.commit": False})
consumer.assign([TopicPartition(sys.argv[2], 0, OFFSET_BEGINNING)])
message = consumer.poll(120)
if message is None or message.error():
    sys.exit(f"nothing was read: {message and message.error()}")
print(message.offset())
consumer.close()
