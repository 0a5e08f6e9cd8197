#!/usr/bin/python3
"""kill -9 under load: 8 publishers, 20 streams; every acknowledged message is there once, sequences have no gap.

12 cycles, with WEIR_LONG=1 200. After each kill the streams are read from where the last check ended, and from their
beginning at the end. A consumer acknowledges meanwhile: what it acknowledged never comes again.
"""
import hashlib
import random
import threading
import time
import unittest
from collections import deque

import grpc

from weir_e2e import LONG, SMALL_STORAGE, Broker, pb, seed, types

CYCLES = 200 if LONG else 12
PUBLISHERS = 8
STREAMS = 20
IN_FLIGHT = 16
RUN_SECONDS = (0.1, 1.2)


def digest(payload):
    return hashlib.blake2b(payload, digest_size=12).digest()


def stream_name(number):
    return f'stream-{number}'


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

    def __init__(self, number, broker, ledger, chance):
        super().__init__()
        self.number, self.ledger, self.chance = number, ledger, chance
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
            stream = self.chance.randrange(STREAMS)
            payload = self.next_payload()
            self.ledger.sending(stream, payload)
            request = pb.PublishRequest(stream=stream_name(stream), subject=f'k.{self.chance.randrange(10)}', payload=payload)
            pending.append((stream, payload, self.stub.Publish.future(request, timeout=60)))
            if len(pending) >= IN_FLIGHT:
                alive = self.settle(*pending.popleft())
        for entry in pending:
            self.settle(*entry)


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


class Kill9(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):
        chance = random.Random(seed())
        with Broker('--retention-sweep-ms', '200', *SMALL_STORAGE) as broker:
            self.create_streams(broker)
            ledger, acked = Ledger(), set()
            ends = [0] * STREAMS
            started = time.monotonic()
            for cycle in range(CYCLES):
                publishers = [Publisher(n, broker, ledger, random.Random(chance.random())) for n in range(PUBLISHERS)]
                acker = Acker(broker, acked)
                for thread in [*publishers, acker]:
                    thread.start()
                time.sleep(chance.uniform(*RUN_SECONDS))
                broker.kill()
                for thread in [*publishers, acker]:
                    thread.stopping = True
                for thread in [*publishers, acker]:
                    thread.join()
                broker.close_channels()
                self.assertEqual(ledger.faults + acker.faults, [], f'cycle {cycle}')
                before = time.monotonic()
                broker.start()
                restart = time.monotonic() - before
                stub = broker.streams()
                for stream in range(STREAMS):
                    ends[stream] = self.check(stub, ledger, stream, ends[stream], set())
                print(f'cycle {cycle}: {ledger.total} acknowledged, restart {restart:.2f} s', flush=True)
            for stream in range(STREAMS):
                self.check(stub, ledger, stream, 0, set())
            self.check_acker(stub, acked)
            self.assertGreater(ledger.total, CYCLES * 50)
            self.assertGreater(len(acked), CYCLES)
            self.assertEqual(broker.stop(), 0, broker.log()[-4000:])
            print(f'{CYCLES} kills, {ledger.total} acknowledged, {len(acked)} taken by the consumer, '
                  f'{time.monotonic() - started:.0f} s')

    def create_streams(self, broker):
        stub = broker.streams()
        for stream in range(STREAMS):
            config = pb.StreamConfigPb(name=stream_name(stream), block_size=[0, 100, 1000][stream % 3],
                                       durability=types.DURABILITY_WRITTEN if stream % 4 == 3 else types.DURABILITY_DEFAULT)
            self.assertTrue(stub.CreateStream(pb.CreateStreamRequest(config=config)).success)
        config = pb.ConsumerConfigPb(name='acker', ack_wait_ms=600_000, max_deliver=1_000_000)
        self.assertTrue(stub.CreateConsumer(pb.CreateConsumerRequest(stream=stream_name(0), config=config)).success)

    def check(self, stub, ledger, stream, after, seen):
        """Reads a stream behind sequence `after`: no gap, nothing invented, nothing twice, all acknowledged there."""
        name = stream_name(stream)
        policy = pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=after + 1)
        config = pb.ConsumerConfigPb(name='check', delivery_policy=policy)
        self.assertTrue(stub.CreateConsumer(pb.CreateConsumerRequest(stream=name, config=config)).success)
        last = after
        while True:
            answer = stub.Fetch(pb.FetchRequest(stream=name, consumer='check', batch_size=2000), timeout=60)
            self.assertTrue(answer.success, answer.message)
            self.assertEqual(list(answer.damaged_seqs), [])
            if not answer.messages:
                break
            for message in answer.messages:
                self.assertEqual(message.seq, last + 1, f'{name}: gap')
                last = message.seq
                found = digest(message.payload)
                self.assertIn(found, ledger.sent[stream], f'{name}: message {last} was never sent')
                self.assertNotIn(found, seen, f'{name}: message {last} is there twice')
                seen.add(found)
                expected = ledger.acked[stream].get(last)
                self.assertIn(expected, (None, found), f'{name}: message {last} is another one than was acknowledged')
        highest = max(ledger.acked[stream], default=0)
        self.assertGreaterEqual(last, highest, f'{name}: acknowledged up to {highest}, there is only up to {last}')
        info = stub.GetStreamInfo(pb.GetStreamInfoRequest(name=name), timeout=60)
        self.assertEqual((info.stats.last_seq, info.stats.msg_count), (last, last))
        self.assertTrue(stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=name, consumer='check')).success)
        return last

    def check_acker(self, stub, acked):
        while True:
            answer = stub.Fetch(pb.FetchRequest(stream=stream_name(0), consumer='acker', batch_size=1000), timeout=60)
            if not answer.messages:
                break
            for message in answer.messages:
                self.assertNotIn(message.seq, acked)


if __name__ == '__main__':
    unittest.main()
