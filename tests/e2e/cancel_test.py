#!/usr/bin/python3
"""Clients that go away: ten thousand Subscribes and waiting Fetches, cancelled in every state they can be in, leave no
call, no subscription, no descriptor and no memory behind, and no message is lost with them.

Run against the sanitized broker too (tools/test): there the memory is not compared.
"""
import os
import random
import re
import unittest
import urllib.request

import grpc

from weir_e2e import Broker, admin_pb, eventually, pb, seed

CALLS = 10_000
AT_A_TIME = 100
STREAMS = 4
MESSAGES = 50
GROWTH_BYTES_MAX = 24 << 20
SANITIZED = 'asan' in os.environ.get('WEIR_SERVER', '')


class Cancelled(unittest.TestCase):
    def setUp(self):
        self.broker = Broker()
        self.addCleanup(self.broker.discard)
        self.broker.start()
        self.stub = self.broker.streams()
        self.admin = self.broker.admin_calls()
        self.chance = random.Random(seed())
        for stream in self.streams():
            self.ok(self.stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=stream))))
            config = pb.ConsumerConfigPb(name='c', unlimited_deliver=True, ack_wait_ms=600_000)
            self.ok(self.stub.CreateConsumer(pb.CreateConsumerRequest(stream=stream, config=config)))
            for _ in range(MESSAGES):
                self.ok(self.stub.Publish(pb.PublishRequest(stream=stream, subject='a', payload=b'x' * 2000)))

    def streams(self):
        return [f's{n}' for n in range(STREAMS)]

    def ok(self, answer):
        self.assertTrue(answer.success, answer.message)
        return answer

    def metric(self, name):
        with urllib.request.urlopen(f'http://{self.broker.admin}/metrics', timeout=30) as answer:
            numbers = re.findall(rf'(?m)^{name}(?:{{shard="\d+"}})? (\d+)$', answer.read().decode())
        self.assertTrue(numbers, name)
        return sum(int(number) for number in numbers)

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.broker.process.pid}/fd'))

    def fetch(self, stream):
        return self.stub.Fetch.future(pb.FetchRequest(stream=stream, consumer='c', batch_size=5, max_wait_ms=60_000))

    def subscribe(self, stream):
        return self.stub.Subscribe(pb.SubscribeRequest(stream=stream, consumer='c', batch_size=self.chance.choice([1, 16])))

    def begin(self):
        """A call in some state: just sent, waiting, or in the middle of messages."""
        stream = self.chance.choice(self.streams())
        kind = self.chance.randrange(4)
        if kind == 0:
            return self.fetch(stream)
        call = self.subscribe(stream)
        if kind == 1:
            call.initial_metadata()
        return call

    def cancel_many(self, calls):
        for _ in range(0, calls, AT_A_TIME):
            some = [self.begin() for _ in range(AT_A_TIME)]
            # What they took is made available again, so that later ones are in the middle of messages, too.
            stream = self.chance.choice(self.streams())
            self.ok(self.admin.ResetConsumer(admin_pb.ResetConsumerRequest(stream=stream, consumer='c', seq=1)))
            self.chance.shuffle(some)
            for call in some:
                call.cancel()
        self.assertTrue(eventually(lambda: self.metric('weir_rpc_open') == 0, 60), 'calls are left')
        self.assertTrue(eventually(lambda: self.metric('weir_waiting') == 0, 60), 'subscriptions are left')

    def test_they_leave_nothing_behind(self):
        self.cancel_many(CALLS // 4)  # buffers and pools have their size after that
        memory, descriptors = self.broker.resident_bytes(), self.descriptors()
        self.cancel_many(CALLS)
        grown = self.broker.resident_bytes() - memory
        print(f'{CALLS} cancelled calls: {grown / (1 << 20):.1f} MiB more', flush=True)
        if not SANITIZED:
            self.assertLess(grown, GROWTH_BYTES_MAX)
        self.assertLessEqual(self.descriptors(), descriptors + 2)
        for stream in self.streams():
            self.ok(self.admin.ResetConsumer(admin_pb.ResetConsumerRequest(stream=stream, consumer='c', seq=1)))
            request = pb.SubscribeRequest(stream=stream, consumer='c', stop_when_empty=True)
            *messages, last = self.stub.Subscribe(request, timeout=60)
            self.assertEqual([event.message.seq for event in messages], list(range(1, MESSAGES + 1)))
            self.assertEqual(last.stopped.reason, 'empty')
        self.assertEqual(self.broker.stop(), 0, self.broker.log())

    def test_a_consumer_deleted_under_them_ends_all(self):
        calls = [self.fetch('s0') if n % 4 == 0 else self.subscribe(self.chance.choice(self.streams())) for n in range(400)]
        self.assertTrue(eventually(lambda: self.metric('weir_waiting') > 0))
        for stream in self.streams():
            self.ok(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=stream, consumer='c')))
        for n, call in enumerate(calls):
            if n % 4 == 0:
                self.assertIn(call.result(timeout=30).result_code, ('ok', 'no_such_consumer'))
                continue
            try:
                self.assertEqual(list(call)[-1].stopped.reason, 'consumer deleted')
            except grpc.RpcError as refused:  # came after the deletion
                self.assertEqual(refused.code(), grpc.StatusCode.NOT_FOUND)
        self.assertTrue(eventually(lambda: self.metric('weir_rpc_open') == 0))
        self.assertEqual(self.metric('weir_waiting'), 0)
        self.assertEqual(self.broker.stop(), 0, self.broker.log())


if __name__ == '__main__':
    unittest.main()
