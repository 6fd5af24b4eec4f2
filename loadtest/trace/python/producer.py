"""Sends one record within a span, and prints the id of the trace.

Usage: producer.py BROKERS TOPIC; the span goes where OTEL_EXPORTER_OTLP_ENDPOINT says.
"""

import sys

from confluent_kafka import Producer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

failed = []


def delivered(err, _message):
    if err is not None:
        failed.append(err)


producer = ConfluentKafkaInstrumentor().instrument_producer(
    Producer({"bootstrap.servers": sys.argv[1], "acks": "all", "linger.ms": 0}), tracer_provider=provider
)
with trace.get_tracer("shop").start_as_current_span("place order") as span:
    producer.produce(sys.argv[2], key=b"order-1", value=b'{"book": "Moby Dick"}', on_delivery=delivered)
    left = producer.flush(60)
    trace_id = format(span.get_span_context().trace_id, "032x")
provider.shutdown()
if failed or left:
    sys.exit(f"not delivered: {failed} left={left}")
print(trace_id)
