#!/usr/bin/python3
"""kill -9 under load: 8 publishers, 20 streams; every acknowledged message is there once, sequences have no gap.

12 cycles, with WEIR_LONG=1 200; in every second one nearly all goes to one stream, whose blocks are then segments of the
journal. Half of the publishers send single calls, half frames of the fast lane, some of them
atomic: those are there as a whole or not at all. After each kill the streams are read from where the last check ended,
and from their beginning at the end. Two consumers acknowledge meanwhile, one by calls, one on the fast lane: what they
acknowledged never comes again.
"""
import hashlib
import os
import queue
import random
import threading
import time
import unittest
from collections import deque

import grpc

from weir_e2e import LONG, SMALL_STORAGE, Broker, broker_pb, pb, seed, types

CYCLES = 200 if LONG else 12
PUBLISHERS = 8
STREAMS = 20
IN_FLIGHT = 16
RUN_SECONDS = (0.1, 1.2)
UNACKNOWLEDGED_MAX = 500_000  # a consumer gets no more than a million
# Who publishes to: all streams alike, or nearly always to one, which then takes journal segments over as its blocks.
EVEN = list(range(STREAMS))
FAVOURED = EVEN + [2] * (40 * STREAMS)


def digest(payload):
    return hashlib.blake2b(payload, digest_size=12).digest()


def stream_name(number):
    return f'stream-{number}'


def taken_blocks(data):
    """Block files that were segments of the journal."""
    found = 0
    for at, _, names in os.walk(data):
        for name in names:
            if name.startswith('block-'):
                with open(os.path.join(at, name), 'rb') as file:
                    found += file.read(8) == b'WEIRJRN1'
    return found


class Ledger:
    """What the publishers know: sent payloads, and under which sequence each was acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = [set() for _ in range(STREAMS)]
        self.acked = [{} for _ in range(STREAMS)]
        self.total = 0
        self.faults = []

    def sending(self, stream, payload):
        with self.lock:
            self.sent[stream].add(digest(payload))

    def acknowledged(self, stream, seq, payload):
        with self.lock:
            if seq in self.acked[stream]:
                self.faults.append(f'{stream_name(stream)}: sequence {seq} was acknowledged twice')
            self.acked[stream][seq] = digest(payload)
            self.total += 1


class Publisher(threading.Thread):
    """Keeps IN_FLIGHT messages unanswered until the broker dies; a payload is never sent twice."""

    def __init__(self, number, broker, ledger, targets, chance):
        super().__init__()
        self.number, self.ledger, self.targets, self.chance = number, ledger, targets, chance
        self.stub = broker.streams()
        self.sent = 0
        self.stopping = False

    def next_payload(self):
        self.sent += 1
        return b'%d:%d:%d:' % (self.number, time.monotonic_ns(), self.sent) + self.chance.randbytes(
            self.chance.choice([0, 50, 50, 200, 2000]))

    def settle(self, stream, payload, future):
        try:
            answer = future.result()
        except grpc.RpcError as failure:
            if failure.code() != grpc.StatusCode.UNAVAILABLE:
                self.ledger.faults.append(f'publish: {failure.code()} {failure.details()}')
            return False
        if not answer.success:
            self.ledger.faults.append(f'publish: {answer.result_code} {answer.message}')
            return False
        self.ledger.acknowledged(stream, answer.seq, payload)
        return True

    def run(self):
        pending = deque()
        alive = True
        while alive and not self.stopping:
            stream = self.chance.choice(self.targets)
            payload = self.next_payload()
            self.ledger.sending(stream, payload)
            request = pb.PublishRequest(stream=stream_name(stream), subject=f'k.{self.chance.randrange(10)}', payload=payload)
            pending.append((stream, payload, self.stub.Publish.future(request, timeout=60)))
            if len(pending) >= IN_FLIGHT:
                alive = self.settle(*pending.popleft())
        for entry in pending:
            self.settle(*entry)


class LanePublisher(threading.Thread):
    """The same on the fast lane: keeps IN_FLIGHT frames unanswered."""

    def __init__(self, number, broker, ledger, targets, chance):
        super().__init__()
        self.number, self.ledger, self.targets, self.chance = number, ledger, targets, chance
        self.stub = broker.broker_calls()
        self.room = threading.Semaphore(IN_FLIGHT)
        self.unanswered = deque()
        self.sent = 0
        self.stopping = False

    def frames(self):
        while not self.stopping:
            if not self.room.acquire(timeout=0.05):
                continue
            self.sent += 1
            stream = self.chance.choice(self.targets)
            count = self.chance.choice([1, 2, 10, 40])
            atomic = self.chance.random() < 0.3
            head = b'%s%d:%d:%d' % (b'A' if atomic else b'L', self.number, time.monotonic_ns(), self.sent)
            payloads = [b'%s:%d:%d:' % (head, n, count) + self.chance.randbytes(self.chance.choice([0, 50, 200]))
                        for n in range(count)]
            for payload in payloads:
                self.ledger.sending(stream, payload)
            self.unanswered.append((stream, payloads))
            yield broker_pb.PublishBatch(stream=stream_name(stream), frame=self.sent, atomic=atomic, messages=[
                broker_pb.PublishRecord(subject=f'k.{self.chance.randrange(10)}', payload=p) for p in payloads])

    def run(self):
        try:
            for answer in self.stub.Publish(self.frames(), timeout=60):
                stream, payloads = self.unanswered.popleft()
                if not answer.success or answer.count != len(payloads):
                    self.ledger.faults.append(f'frame: {answer.result_code} {answer.message}')
                for n, payload in enumerate(payloads):
                    self.ledger.acknowledged(stream, answer.first_seq + n, payload)
                self.room.release()
        except grpc.RpcError as failure:
            if failure.code() != grpc.StatusCode.UNAVAILABLE:
                self.ledger.faults.append(f'lane: {failure.code()} {failure.details()}')
        self.stopping = True


class LaneAcker(threading.Thread):
    """Consumes from one stream on the fast lane; what it acknowledged counts once that is confirmed."""

    def __init__(self, broker, acked):
        super().__init__()
        self.stub, self.acked = broker.broker_calls(), acked
        self.requests = queue.Queue()
        self.stopping = False
        self.faults = []

    def run(self):
        self.requests.put(broker_pb.ConsumeRequest(stream=stream_name(1), consumer='acker', credit_messages=200,
                                                   credit_bytes=1 << 40))
        unconfirmed = deque()
        frame = 0
        try:
            for batch in self.stub.Consume(iter(self.requests.get, None), timeout=60):
                while unconfirmed and unconfirmed[0][0] <= batch.confirmed:
                    self.acked.update(unconfirmed.popleft()[1])
                seqs = [message.seq for message in batch.messages]
                again = self.acked.intersection(seqs)
                if again:
                    self.faults.append(f'messages {sorted(again)} came again after their acknowledgement')
                if seqs:
                    frame += 1
                    unconfirmed.append((frame, seqs))
                    self.requests.put(broker_pb.ConsumeRequest(ack_seqs=seqs, credit_messages=len(seqs), frame=frame))
        except grpc.RpcError as failure:
            if failure.code() != grpc.StatusCode.UNAVAILABLE:
                self.faults.append(f'lane acker: {failure.code()} {failure.details()}')
        self.requests.put(None)


class Acker(threading.Thread):
    """Fetches from one stream and acknowledges everything."""

    def __init__(self, broker, acked):
        super().__init__()
        self.stub, self.acked = broker.streams(), acked
        self.stopping = False
        self.faults = []

    def run(self):
        try:
            while not self.stopping:
                answer = self.stub.Fetch(pb.FetchRequest(stream=stream_name(0), consumer='acker', batch_size=50), timeout=60)
                for message in answer.messages:
                    if message.seq in self.acked:
                        self.faults.append(f'message {message.seq} came again after its acknowledgement')
                futures = [(m.seq, self.stub.Ack.future(pb.AckRequest(stream=stream_name(0), consumer='acker', seq=m.seq),
                                                        timeout=60)) for m in answer.messages]
                for seq, future in futures:
                    if future.result().success:
                        self.acked.add(seq)
                if not answer.messages:
                    time.sleep(0.02)
        except grpc.RpcError as failure:
            if failure.code() != grpc.StatusCode.UNAVAILABLE:
                self.faults.append(f'acker: {failure.code()} {failure.details()}')


class Whole:
    """Looks at payloads in their order: those of an atomic frame stand together, all of them."""

    def __init__(self):
        self.expected = None
        self.broken = []

    def next(self, payload):
        # A<publisher>:<time>:<frame>:<n>:<count>:...
        parts = payload.split(b':', 5)
        atomic = payload.startswith(b'A')
        frame, n, count = (tuple(parts[:3]), int(parts[3]), int(parts[4])) if atomic else (None, 0, 0)
        if (self.expected or (frame, 0)) != (frame, n):
            self.broken.append(f'expected {self.expected}, found {parts[:5]}')
        self.expected = (frame, n + 1) if atomic and n + 1 < count else None

    def faults(self):
        return self.broken + ([f'cut: {self.expected}'] if self.expected else [])


class Kill9(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        chance = random.Random(seed())
        with Broker('--retention-sweep-ms', '200', *SMALL_STORAGE) as broker:
            self.create_streams(broker)
            ledger, acked, lane_acked = Ledger(), set(), set()
            ends = [0] * STREAMS
            started = time.monotonic()
            for cycle in range(CYCLES):
                targets = [EVEN, FAVOURED][cycle % 2]
                publishers = [[Publisher, LanePublisher][n % 2](n, broker, ledger, targets, random.Random(chance.random()))
                              for n in range(PUBLISHERS)]
                ackers = [Acker(broker, acked), LaneAcker(broker, lane_acked)]
                for thread in [*publishers, *ackers]:
                    thread.start()
                time.sleep(chance.uniform(*RUN_SECONDS))
                broker.kill()
                for thread in [*publishers, *ackers]:
                    thread.stopping = True
                for thread in [*publishers, *ackers]:
                    thread.join()
                broker.close_channels()
                self.assertEqual(ledger.faults + [f for one in ackers for f in one.faults], [], f'cycle {cycle}')
                before = time.monotonic()
                broker.start()
                restart = time.monotonic() - before
                stub = broker.streams()
                for stream in range(STREAMS):
                    ends[stream] = self.check(stub, ledger, stream, ends[stream], set())
                print(f'cycle {cycle}: {ledger.total} acknowledged, restart {restart:.2f} s', flush=True)
            for stream in range(STREAMS):
                self.check(stub, ledger, stream, 0, set())
            self.check_acker(stub, acked, stream_name(0))
            self.check_acker(stub, lane_acked, stream_name(1))
            self.assertGreater(ledger.total, CYCLES * 50)
            self.assertGreater(len(acked), CYCLES)
            self.assertGreater(len(lane_acked), CYCLES)
            self.assertEqual(broker.stop(), 0, broker.log()[-4000:])
            taken = taken_blocks(broker.data)
            self.assertGreater(taken, 0)
            print(f'{CYCLES} kills, {ledger.total} acknowledged, {len(acked)} and {len(lane_acked)} by the consumers, '
                  f'{taken} blocks were journal segments, {time.monotonic() - started:.0f} s')

    def create_streams(self, broker):
        stub = broker.streams()
        for stream in range(STREAMS):
            config = pb.StreamConfigPb(name=stream_name(stream), block_size=[0, 100, 1000][stream % 3],
                                       durability=types.DURABILITY_WRITTEN if stream % 4 == 3 else types.DURABILITY_DEFAULT)
            self.assertTrue(stub.CreateStream(pb.CreateStreamRequest(config=config)).success)
        config = pb.ConsumerConfigPb(name='acker', ack_wait_ms=600_000, max_deliver=1_000_000)
        for stream in (0, 1):
            self.assertTrue(stub.CreateConsumer(pb.CreateConsumerRequest(stream=stream_name(stream), config=config)).success)

    def check(self, stub, ledger, stream, after, seen):
        """Reads a stream behind sequence `after`: no gap, nothing invented, nothing twice, all acknowledged there."""
        name = stream_name(stream)
        self.begin_check(stub, name, after)
        last = begun = after
        whole = Whole()
        while True:
            if last - begun >= UNACKNOWLEDGED_MAX:
                self.end_check(stub, name)
                self.begin_check(stub, name, last)
                begun = last
            answer = stub.Fetch(pb.FetchRequest(stream=name, consumer='check', batch_size=2000), timeout=60)
            self.assertTrue(answer.success, answer.message)
            self.assertEqual(list(answer.damaged_seqs), [])
            if not answer.messages:
                break
            for message in answer.messages:
                self.assertEqual(message.seq, last + 1, f'{name}: gap')
                last = message.seq
                whole.next(message.payload)
                found = digest(message.payload)
                self.assertIn(found, ledger.sent[stream], f'{name}: message {last} was never sent')
                self.assertNotIn(found, seen, f'{name}: message {last} is there twice')
                seen.add(found)
                expected = ledger.acked[stream].get(last)
                self.assertIn(expected, (None, found), f'{name}: message {last} is another one than was acknowledged')
        self.assertEqual(whole.faults(), [], name)
        highest = max(ledger.acked[stream], default=0)
        self.assertGreaterEqual(last, highest, f'{name}: acknowledged up to {highest}, there is only up to {last}')
        info = stub.GetStreamInfo(pb.GetStreamInfoRequest(name=name), timeout=60)
        self.assertEqual((info.stats.last_seq, info.stats.msg_count), (last, last))
        self.end_check(stub, name)
        return last

    def begin_check(self, stub, stream, after):
        policy = pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=after + 1)
        config = pb.ConsumerConfigPb(name='check', delivery_policy=policy)
        self.assertTrue(stub.CreateConsumer(pb.CreateConsumerRequest(stream=stream, config=config)).success)

    def end_check(self, stub, stream):
        self.assertTrue(stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=stream, consumer='check')).success)

    def check_acker(self, stub, acked, stream):
        while True:
            answer = stub.Fetch(pb.FetchRequest(stream=stream, consumer='acker', batch_size=1000), timeout=60)
            if not answer.messages:
                break
            for message in answer.messages:
                self.assertNotIn(message.seq, acked)


if __name__ == '__main__':
    unittest.main()
