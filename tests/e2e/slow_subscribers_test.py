#!/usr/bin/python3
"""1,000 subscribers that read nothing cost the broker under 128 MB, and a fast one goes on.

The fast subscriber has a consumer of its own in the same stream and takes the same number of messages alone, beside the
stalled ones, and alone again; the rates are printed, not judged: how fast a busy machine is proves nothing.
"""
import time
import unittest

from weir_e2e import Broker, connect, eventually, pb, rpc

STALLED = 1_000
CONNECTIONS = 10
BYTES_MAX = 128 << 20
WINDOW_BYTES = 65_535  # HTTP/2's own default
PAYLOAD = b'x' * 1024
MESSAGES = 20_000
LARGE = b'x' * (16 << 10)  # few of them fill a window, so a group's members are all stalled
LARGE_MESSAGES = 13_000
STREAMS = 4  # a stream has at most 1,000 consumers


class Stalled:
    """Subscribe calls whose answers nobody reads; what HTTP/2 lets through waits in this process."""

    def __init__(self, broker, requests):
        # Without this gRPC's client takes megabytes a call that nobody reads.
        narrow = [('grpc.http2.bdp_probe', 0), ('grpc.http2.lookahead_bytes', WINDOW_BYTES)]
        self.channels = [connect(broker.address, *narrow) for _ in range(CONNECTIONS)]
        subscribe = [broker_stub(channel).Subscribe for channel in self.channels]
        self.calls = [subscribe[n % CONNECTIONS](request) for n, request in enumerate(requests)]
        self.faults = [call for call in self.calls if not call.is_active()]

    def end(self):
        for call in self.calls:
            call.cancel()
        for channel in self.channels:
            channel.close()


def broker_stub(channel):
    return rpc.WaymakerStreamsServiceStub(channel)


class SlowSubscribers(unittest.TestCase):
    def setUp(self):
        self.broker = Broker()
        self.addCleanup(self.broker.discard)
        self.broker.start()
        self.stub = self.broker.streams()
        self.runs = 0
        for n in range(STREAMS):
            config = pb.StreamConfigPb(name=f's{n}')
            self.assertTrue(self.stub.CreateStream(pb.CreateStreamRequest(config=config)).success)
            self.publish(f's{n}', MESSAGES)

    def publish(self, stream, count, payload=PAYLOAD):
        for at in range(0, count, 1000):
            calls = [self.stub.Publish.future(pb.PublishRequest(stream=stream, subject='a', payload=payload), timeout=60)
                     for _ in range(min(1000, count - at))]
            self.assertTrue(all(call.result().success for call in calls))

    def consumer(self, stream, name):
        config = pb.ConsumerConfigPb(name=name, ack_wait_ms=600_000)
        answer = self.stub.CreateConsumer(pb.CreateConsumerRequest(stream=stream, config=config))
        self.assertTrue(answer.success, answer.message)

    def info(self, stream, consumer):
        request = pb.GetConsumerInfoRequest(stream=stream, consumer=consumer)
        return self.stub.GetConsumerInfo(request).consumer

    def fast(self, stream='s0', messages=MESSAGES, payload=PAYLOAD):
        """Takes the whole stream with a new consumer; returns messages a second."""
        self.runs += 1
        name = f'fast-{self.runs}'
        self.consumer(stream, name)
        begun = time.monotonic()
        expected = 1
        for event in self.stub.Subscribe(pb.SubscribeRequest(stream=stream, consumer=name, batch_size=256,
                                                             stop_when_empty=True)):
            if event.WhichOneof('event') == 'stopped':
                self.assertEqual(event.stopped.reason, 'empty')
                break
            self.assertEqual(event.message.seq, expected)
            self.assertEqual(event.message.payload, payload)
            expected += 1
        self.assertEqual(expected, messages + 1)
        return messages / (time.monotonic() - begun)

    def settled_bytes(self):
        """Of the broker, once it no longer grows."""
        before = 0
        while (now := self.broker.resident_bytes()) > before + (1 << 20):
            before = now
            time.sleep(1)
        return now

    def compare(self, what, requests, waiting):
        """`waiting()`: all of them are there."""
        rates = [self.fast(), self.fast()]
        before = self.settled_bytes()
        stalled = Stalled(self.broker, requests)
        try:
            self.assertTrue(eventually(waiting, 60), 'not all subscriptions were opened')
            grown = self.settled_bytes() - before
            beside = [self.fast(), self.fast()]
            grown = max(grown, self.settled_bytes() - before)
            self.assertEqual([call for call in stalled.calls if not call.is_active()], [])
        finally:
            stalled.end()
        self.assertTrue(eventually(lambda: not waiting(), 60))
        after = self.fast()
        print(f'{what}: {grown / (1 << 20):.1f} MiB for {len(requests)} stalled subscribers; a fast one takes '
              f'{max(rates):.0f} messages/s alone, {max(beside):.0f}/s beside them, {after:.0f}/s after them', flush=True)
        self.assertLess(grown, BYTES_MAX)

    def test_a_group_that_reads_nothing(self):
        self.assertTrue(self.stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='large'))).success)
        self.publish('large', LARGE_MESSAGES, LARGE)
        self.fast('large', LARGE_MESSAGES, LARGE)  # fills the caches, which are bounded and not the subscribers'
        self.consumer('large', 'group')
        requests = [pb.SubscribeRequest(stream='large', consumer='group')] * STALLED
        self.compare('one group', requests, lambda: self.info('large', 'group').waiting == STALLED)
        # What they had in hand, not on the wire, comes at once.
        attempts, seqs = [], []
        for event in self.stub.Subscribe(pb.SubscribeRequest(stream='large', consumer='group', stop_when_empty=True)):
            if event.WhichOneof('event') == 'message':
                seqs.append(event.message.seq)
                attempts.append(event.message.deliver_count)
        self.assertEqual(seqs, sorted(set(seqs)))
        self.assertEqual(set(attempts), {1}, 'what was never sent is no attempt')
        self.assertGreater(len(seqs), STALLED)
        self.assertEqual(self.info('large', 'group').pending, LARGE_MESSAGES)

    def test_consumers_of_their_own_that_read_nothing(self):
        names = [(f's{n % STREAMS}', f'c{n}') for n in range(STALLED)]
        for stream, name in names:
            self.consumer(stream, name)
        requests = [pb.SubscribeRequest(stream=stream, consumer=name, batch_size=1024) for stream, name in names]

        def waiting():
            return all(self.info(*one).waiting == 1 for one in (names[0], names[-1]))

        self.compare('a consumer each, batches of 1,024', requests, waiting)


if __name__ == '__main__':
    unittest.main()
