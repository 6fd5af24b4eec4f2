// KafkaJS behind the protocol of the compat workers (see ../worker/doc.go).
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs');
const lz4 = require('lz4-napi');
const snappy = require('kafkajs-snappy');
const zstd = require('@bokuweb/zstd-wasm');

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrame(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
});

const types = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

const decode = (text) => (text === null ? null : Buffer.from(text, 'base64'));
const encode = (data) => (data === null || data === undefined ? null : data.toString('base64'));
const emit = (line) => process.stdout.write(JSON.stringify(line) + '\n');

const emitRecord = (partition, m) => {
  const headers = [];
  // KafkaJS keeps headers by name: the repeated ones as a list, in their order.
  for (const [name, content] of Object.entries(m.headers)) {
    for (const one of Array.isArray(content) ? content : [content]) headers.push([name, encode(one)]);
  }
  emit({ p: partition, o: Number(m.offset), k: encode(m.key), v: encode(m.value), h: headers, t: Number(m.timestamp) });
};

const connection = (s) => {
  if (!s) return {};
  const c = {};
  if (s.ca) c.ssl = { ca: [fs.readFileSync(s.ca)] };
  if (s.cert) Object.assign(c.ssl, { cert: fs.readFileSync(s.cert), key: fs.readFileSync(s.key) });
  if (s.mechanism === 'OAUTHBEARER') {
    c.sasl = { mechanism: 'oauthbearer', oauthBearerProvider: async () => ({ value: fs.readFileSync(s.token_file, 'utf8').trim() }) };
  } else if (s.mechanism) {
    c.sasl = { mechanism: s.mechanism.toLowerCase(), username: s.user, password: s.password };
  }
  return c;
};

const client = (o) =>
  new Kafka({
    clientId: 'compat',
    brokers: [o.brokers],
    logLevel: logLevel.ERROR,
    retry: { retries: 20, initialRetryTime: 100 },
    // The default of ten seconds has it prove anew before each request where proofs are shorter, which no broker allows.
    reauthenticationThreshold: 1000,
    ...connection(o.security),
  });

async function create(o) {
  const admin = client(o).admin();
  await admin.connect();
  const configEntries = Object.entries(o.configs || {}).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic: o.topic, numPartitions: o.partitions, configEntries }] });
  await admin.disconnect();
}

// messagesPerSend makes batches of several records, and several batches.
const messagesPerSend = 20;

async function produce(o) {
  const producer = client(o).producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  const queues = new Map(); // partition → messages that wait, each with its index
  const send = async (partition, waiting) => {
    const [answer] = await producer.send({
      topic: o.topic,
      acks: -1,
      compression: types[o.codec],
      timeout: o.timeout_ms,
      messages: waiting.map((w) => w.message),
    });
    waiting.forEach((w, n) => emit({ i: w.index, p: partition, o: Number(answer.baseOffset) + n }));
  };
  let index = 0;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const r = JSON.parse(line);
    const headers = {};
    for (const [name, content] of r.h || []) (headers[name] ||= []).push(decode(content));
    if (!queues.has(r.p)) queues.set(r.p, []);
    const waiting = queues.get(r.p);
    waiting.push({
      index: index++,
      message: { partition: r.p, key: decode(r.k), value: decode(r.v), timestamp: String(r.t), headers },
    });
    if (waiting.length === messagesPerSend) await send(r.p, waiting.splice(0));
  }
  for (const [partition, waiting] of queues) if (waiting.length > 0) await send(partition, waiting);
  await producer.disconnect();
}

async function consume(o) {
  const kafka = client(o);
  const admin = kafka.admin();
  await admin.connect();
  let start;
  if (o.from === 'offset') {
    start = Object.entries(o.offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: String(offset) }));
  } else if (o.from === 'time') {
    start = await admin.fetchTopicOffsetsByTimestamp(o.topic, o.time);
  } else {
    start = (await admin.fetchTopicOffsets(o.topic)).map(({ partition, low }) => ({ partition, offset: low }));
  }
  await admin.disconnect();
  const consumer = kafka.consumer({ groupId: `unused-${process.pid}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topics: [o.topic], fromBeginning: true });
  const first = new Map(start.map((s) => [s.partition, BigInt(s.offset)]));
  let left = o.count;
  let done;
  const all = new Promise((resolve) => (done = resolve));
  if (left === 0) done();
  // Not after run(): that returns, too, when the first join fails (the coordinator may be loading still) and is tried again later.
  consumer.on(consumer.events.GROUP_JOIN, () => {
    for (const s of start) consumer.seek({ topic: o.topic, ...s });
  });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      // What was fetched before the seek was in force is not what was asked for.
      if (left === 0 || BigInt(message.offset) < first.get(partition)) return;
      emitRecord(partition, message);
      if (--left === 0) done();
    },
  });
  await all;
  await consumer.disconnect();
}

async function group(o) {
  const consumer = client(o).consumer({
    groupId: o.group,
    sessionTimeout: o.session_ms,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 200,
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => emit({ assigned: payload.memberAssignment[o.topic] || [] }));
  await consumer.connect();
  await consumer.subscribe({ topics: [o.topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
      if (!isRunning() || isStale()) return;
      for (const message of batch.messages) {
        emitRecord(batch.partition, message);
        resolveOffset(message.offset);
      }
      await heartbeat();
      await consumer.commitOffsets([
        { topic: o.topic, partition: batch.partition, offset: String(BigInt(batch.lastOffset()) + 1n) },
      ]);
    },
  });
  process.stdin.resume();
  await new Promise((resolve) => process.stdin.on('end', resolve));
  await consumer.disconnect();
}

async function main() {
  await zstd.init();
  await { create, produce, consume, group }[process.argv[2]](JSON.parse(process.argv[3]));
}

main().then(
  () => process.stdout.write('', () => process.exit(0)), // what was emitted is still on its way
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
