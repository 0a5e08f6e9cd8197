"""A worker process of work_queue_kill_test.py, and the ledger in which it notes what it did.

A worker is killed at any moment, so it notes before it acts: TAKEN before a message is acknowledged or termed, DONE and
GIVEN_UP after the broker confirmed that. A note is in the ledger file as soon as it is written; a killed process loses
none.
"""
import os
import random
import struct
import time

import grpc

from weir_e2e import admin_pb, admin_rpc, connect, pb, rpc

STREAM, CONSUMER = 'jobs', 'workers'
NOTE = struct.Struct('<BxxxIQQQ')  # kind, deliver_count, sequence, number of the job, nanoseconds
TAKEN, DONE, GIVEN_UP = 1, 2, 3
POISON_EVERY = 997
# The broker is away, or ended while it had our call.
EXPECTED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
CALL_SECONDS_MAX = 60


def is_poison(job):
    """Jobs that no worker can do: they are termed, and therefore parked."""
    return job % POISON_EVERY == 13


def job_of(message):
    return int(message.payload[:20])


class Worker:
    def __init__(self, address, ledger, seed):
        self.chance = random.Random(seed)
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        channel = connect(address)
        self.streams = rpc.WaymakerStreamsServiceStub(channel)
        self.admin = admin_rpc.AdminStub(channel)

    def note(self, kind, messages, when):
        os.write(self.ledger, b''.join(NOTE.pack(kind, m.deliver_count, m.seq, job_of(m), when) for m in messages))

    def settle(self, messages, asked):
        """Works on messages of a request made at the time `asked`."""
        if not messages:
            return
        self.note(TAKEN, messages, asked)
        if self.chance.random() < 0.3:
            time.sleep(self.chance.uniform(0, 0.1))  # work, during which it may be killed
        good = [m for m in messages if not is_poison(job_of(m))]
        bad = [m for m in messages if is_poison(job_of(m))]
        if len(good) == 1:
            answer = self.streams.Ack(pb.AckRequest(stream=STREAM, consumer=CONSUMER, seq=good[0].seq),
                                      timeout=CALL_SECONDS_MAX)
        else:
            answer = self.admin.AckMany(admin_pb.AckManyRequest(stream=STREAM, consumer=CONSUMER,
                                                                seqs=[m.seq for m in good]), timeout=CALL_SECONDS_MAX)
        assert answer.success, answer.message
        self.note(DONE, good, time.monotonic_ns())
        for message in bad:
            answer = self.streams.Term(pb.TermRequest(stream=STREAM, consumer=CONSUMER, seq=message.seq),
                                       timeout=CALL_SECONDS_MAX)
            assert answer.success, answer.message
            self.note(GIVEN_UP, [message], time.monotonic_ns())

    def fetch(self):
        asked = time.monotonic_ns()
        request = pb.FetchRequest(stream=STREAM, consumer=CONSUMER, batch_size=self.chance.choice([1, 16, 64, 256, 512]),
                                  max_wait_ms=self.chance.choice([0, 200, 1000]))
        answer = self.streams.Fetch(request, timeout=CALL_SECONDS_MAX)
        assert answer.success, answer.message
        self.settle(answer.messages, asked)
        if not answer.messages:
            time.sleep(0.02)

    def subscribe(self):
        """Until the queue is empty."""
        asked = time.monotonic_ns()
        together = self.chance.choice([1, 10, 100])
        request = pb.SubscribeRequest(stream=STREAM, consumer=CONSUMER, batch_size=self.chance.choice([0, 1, 100]),
                                      stop_when_empty=True)
        messages = []
        for event in self.streams.Subscribe(request):
            if event.WhichOneof('event') == 'stopped':
                assert event.stopped.reason == 'empty', event.stopped.reason
                break
            messages.append(event.message)
            if len(messages) >= together:
                self.settle(messages, asked)
                messages = []
        self.settle(messages, asked)
        time.sleep(0.05)


def work(address, ledger, seed, subscribes):
    """The life of a worker process."""
    worker = Worker(address, ledger, seed)
    while True:
        try:
            if subscribes:
                worker.subscribe()
            else:
                worker.fetch()
        except grpc.RpcError as failure:
            assert failure.code() in EXPECTED, f'{failure.code()} {failure.details()}'
            time.sleep(0.05)
