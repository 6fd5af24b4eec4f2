"""What the three Python clients share: the protocol of the compat workers (see ../worker/doc.go)."""

import base64
import json
import sys
import threading


def decode(text):
    return None if text is None else base64.b64decode(text)


def encode(data):
    return None if data is None else base64.b64encode(bytes(data)).decode()


def emit(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def emit_record(partition, offset, key, value, headers, timestamp):
    emit(
        {
            "p": partition,
            "o": offset,
            "k": encode(key),
            "v": encode(value),
            "h": [[name, encode(content)] for name, content in headers or []],
            "t": timestamp,
        }
    )


def records():
    """The records on standard input: (partition, key, value, headers, timestamp)."""
    for line in sys.stdin:
        r = json.loads(line)
        yield r["p"], decode(r["k"]), decode(r["v"]), [(n, decode(v)) for n, v in r.get("h") or []], r["t"]


def stopped():
    """An event that is set when standard input is closed."""
    event = threading.Event()

    def wait():
        sys.stdin.read()
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def main(verbs):
    options = json.loads(sys.argv[2])
    return verbs[sys.argv[1]](options)
