"""Debian's python3-redis as a client under test: redis_py.py host port

Orders come as lines of JSON on standard input; each is answered by one line.
"""
import json
import logging
import sys
import threading
import time

from redis.cluster import RedisCluster

HOST, PORT = sys.argv[1], int(sys.argv[2])
CHUNK = 1000
WRITERS = 2
PAUSE = 0.004

# The library logs every redirection with a stack trace.
logging.disable(logging.CRITICAL)


def connect(**more):
    return RedisCluster(host=HOST, port=PORT, decode_responses=True, **more)


def chunks(keys):
    for i in range(0, len(keys), CHUNK):
        yield keys[i : i + CHUNK]


def fill(order):
    client = connect()
    for chunk in chunks(order["keys"]):
        pipeline = client.pipeline()
        for key in chunk:
            pipeline.set(key, key)
        if not all(pipeline.execute()):
            raise RuntimeError("a SET in a pipeline was not answered with OK")
    # This version has no transactions in its cluster client; the connection to
    # the node that owns the hash tag has.
    first, second = order["pair"]
    node = client.get_redis_connection(client.get_node_from_key(first))
    with node.pipeline(transaction=True) as multi:
        answers = multi.incr(first).incrby(second, 2).execute()
    if answers != [1, 2]:
        raise RuntimeError(f"MULTI answered {answers}")
    client.close()


def read_replicas(order):
    client = connect(read_from_replicas=True)
    for key in order["keys"]:
        value = client.get(key)
        if value != key:
            raise RuntimeError(f"{key} reads {value}")
    client.close()


class Loop:
    def __init__(self, prefix):
        self.prefix = prefix
        self.next = 0
        self.lock = threading.Lock()
        self.record = {"acks": [], "failures": []}
        self.stop = threading.Event()
        # Connected before the faults begin, like any client that runs already.
        self.threads = [threading.Thread(target=self.write, args=(connect(),)) for _ in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, client):
        while not self.stop.is_set():
            with self.lock:
                seq = self.next
                self.next += 1
            key = f"{self.prefix}:{seq}"
            try:
                client.set(key, key)
                entry, kind = {"seq": seq}, "acks"
            except Exception as error:
                entry, kind = {"seq": seq, "text": f"{type(error).__name__}: {error}"}, "failures"
            entry["at"] = int(time.time() * 1000)
            with self.lock:
                self.record[kind].append(entry)
            time.sleep(PAUSE)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        return self.record


loop = None
for line in sys.stdin:
    order = json.loads(line)
    answer = {}
    try:
        if order["do"] == "fill":
            fill(order)
        elif order["do"] == "readReplicas":
            read_replicas(order)
        elif order["do"] == "startWrites":
            loop = Loop(order["prefix"])
        elif order["do"] == "stopWrites":
            answer["record"] = loop.end()
    except Exception as error:
        answer["error"] = f"{order['do']}: {type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
