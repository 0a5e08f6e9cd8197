#!/usr/bin/python3
"""kill -9 with acknowledgements in flight: what was acknowledged never comes again, and ack floors never go back.

8 cycles, with WEIR_LONG=1 100. Four consumers of one stream, each with clients of its own kind: Fetch and single Acks,
Fetch and AckMany, AckMany up to a sequence, Subscribe with both. They leave some messages unacknowledged and nak others,
and their ack_wait is short, so that messages come again all the time: those that were not acknowledged.
"""
import random
import threading
import time
import unittest

import grpc

from weir_e2e import LONG, SMALL_STORAGE, Broker, admin_pb, pb, seed

CYCLES = 100 if LONG else 8
RUN_SECONDS = (0.2, 1.0)
ACK_WAIT_MS = 300
STREAM = 's'
CALL_SECONDS_MAX = 60
DRAIN_SECONDS_MAX = 60
# The broker died, or we ended a call of ours.
EXPECTED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


class Memory:
    """What is known of one consumer, over all cycles."""

    def __init__(self, name):
        self.name = name
        self.acked = {}  # confirmed: sequence -> when
        self.open = set()  # seen and not confirmed
        self.floor = 0  # the highest that was shown
        self.seen = set()
        self.seen_to = 0  # all up to here were seen
        self.came_again = 0
        self.faults = []

    def arrived(self, message, asked):
        """`asked`: when the request for this message was sent."""
        if self.acked.get(message.seq, asked) < asked:
            self.faults.append(f'{self.name}: message {message.seq}, attempt {message.deliver_count}, came after it was '
                               'acknowledged')
        self.came_again += message.seq in self.seen
        self.seen.add(message.seq)
        if message.seq not in self.acked:
            self.open.add(message.seq)

    def confirmed(self, seqs):
        now = time.monotonic_ns()
        for seq in seqs:
            self.acked.setdefault(seq, now)
        self.open.difference_update(seqs)

    def shown(self, floor):
        if floor < self.floor:
            self.faults.append(f'{self.name}: the floor went back from {self.floor} to {floor}')
        self.floor = max(self.floor, floor)


class Feeder(threading.Thread):
    """Publishes until the broker dies, so that nobody runs out of messages before."""

    def __init__(self, broker):
        super().__init__(daemon=True)
        self.stub = broker.streams()
        self.stored = 0  # the highest sequence that was answered

    def run(self):
        request = pb.PublishRequest(stream=STREAM, subject='a', payload=b'x' * 100)
        try:
            while True:
                calls = [self.stub.Publish.future(request, timeout=CALL_SECONDS_MAX) for _ in range(64)]
                self.stored = max([call.result().seq for call in calls])
                time.sleep(0.02)
        except grpc.RpcError:
            pass


class Client(threading.Thread):
    """Takes and acknowledges until the broker dies."""

    def __init__(self, broker, memory, chance):
        super().__init__(daemon=True)
        self.streams, self.admin = broker.streams(), broker.admin_calls()
        self.memory, self.chance = memory, chance

    def run(self):
        try:
            while True:
                self.turn()
                self.look()
        except grpc.RpcError as failure:
            if failure.code() not in EXPECTED:
                self.memory.faults.append(f'{self.memory.name}: {failure.code()} {failure.details()}')
        except Exception as failure:  # the test's own thread reports it
            self.memory.faults.append(f'{self.memory.name}: {failure!r}')

    def look(self):
        answer = self.streams.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=STREAM, consumer=self.memory.name),
                                              timeout=CALL_SECONDS_MAX)
        self.memory.shown(answer.consumer.ack_floor)

    def fetch(self, batch):
        asked = time.monotonic_ns()
        request = pb.FetchRequest(stream=STREAM, consumer=self.memory.name, batch_size=batch, max_wait_ms=50)
        answer = self.streams.Fetch(request, timeout=CALL_SECONDS_MAX)
        assert answer.success, answer.message
        for message in answer.messages:
            self.memory.arrived(message, asked)
        return [message.seq for message in answer.messages]

    def start_ack(self, seq):
        request = pb.AckRequest(stream=STREAM, consumer=self.memory.name, seq=seq)
        return [seq], self.streams.Ack.future(request, timeout=CALL_SECONDS_MAX)

    def start_ack_many(self, seqs, up_to=0):
        request = admin_pb.AckManyRequest(stream=STREAM, consumer=self.memory.name, seqs=seqs, up_to_seq=up_to)
        return seqs, self.admin.AckMany.future(request, timeout=CALL_SECONDS_MAX)

    def finish(self, calls):
        """Takes every answer there is: some may have come before the broker died, some not."""
        failure = None
        for seqs, call in calls:
            try:
                answer = call.result()
                assert answer.success, answer.message
                self.memory.confirmed(seqs)
            except grpc.RpcError as broken:
                failure = broken
        if failure:
            raise failure

    def nak_some(self, seqs):
        """Of those not to be acknowledged; the rest waits for its deadline."""
        for seq in seqs[::2]:
            request = pb.NakRequest(stream=STREAM, consumer=self.memory.name, seq=seq,
                                    delay_ms=self.chance.choice([0, 0, 100]))
            answer = self.streams.Nak(request, timeout=CALL_SECONDS_MAX)
            assert answer.success, answer.message

    def split(self, seqs):
        """Those to acknowledge and the others."""
        self.chance.shuffle(seqs)
        kept = len(seqs) * 9 // 10
        return seqs[:kept], seqs[kept:]


class SingleAcks(Client):
    def turn(self):
        wanted, others = self.split(self.fetch(50))
        self.finish([self.start_ack(seq) for seq in wanted])
        self.nak_some(others)


class AckMany(Client):
    def turn(self):
        wanted, others = self.split(self.fetch(200))
        self.finish([self.start_ack_many(wanted[at:at + 40]) for at in range(0, len(wanted), 40)])
        self.nak_some(others)


class AckUpTo(Client):
    """The only client of its consumer. What an answer that was lost had delivered would be acknowledged with the rest:
    it goes no further than to the first message that it did not see."""

    def turn(self):
        seqs = sorted(self.fetch(100))
        while self.memory.seen_to + 1 in self.memory.seen:
            self.memory.seen_to += 1
        up_to = min(self.chance.choice(seqs), self.memory.seen_to) if seqs else 0
        if up_to:
            self.finish([self.start_ack_many([seq for seq in self.memory.open if seq <= up_to], up_to)])


class Subscriber(Client):
    def turn(self):
        asked = time.monotonic_ns()
        request = pb.SubscribeRequest(stream=STREAM, consumer=self.memory.name, batch_size=self.chance.choice([0, 1, 64]))
        call = self.streams.Subscribe(request)
        under_way, batch = [], []
        try:
            for event in call:
                self.memory.arrived(event.message, asked)
                if self.chance.random() < 0.1:
                    continue
                batch.append(event.message.seq)
                if len(batch) >= 20:
                    under_way += [self.start_ack(seq) for seq in batch[:5]] + [self.start_ack_many(batch[5:])]
                    batch = []
                    if len(under_way) > 60 and self.chance.random() < 0.5:
                        break
        finally:
            call.cancel()
            self.finish(under_way)


KINDS = {'single': SingleAcks, 'many': AckMany, 'up-to': AckUpTo, 'subscribed': Subscriber}


class AckKill(unittest.TestCase):
    def test_what_was_acknowledged_never_comes_again(self):
        chance = random.Random(seed())
        begun = time.monotonic()
        with Broker('--retention-sweep-ms', '200', *SMALL_STORAGE) as self.broker:
            self.create()
            self.memories = [Memory(name) for name in KINDS]
            self.fed = 0
            for cycle in range(CYCLES):
                self.cycle(chance)
                self.assertEqual(self.faults(), [], f'cycle {cycle}')
                acked = ', '.join(f'{m.name} {len(m.acked)} (floor {m.floor})' for m in self.memories)
                print(f'cycle {cycle}: {self.fed} published; acknowledged: {acked}', flush=True)
            for memory in self.memories:
                self.drain(memory)
            for memory in self.memories:
                self.assertEqual(memory.seen, set(range(1, self.fed + 1)), f'{memory.name}: messages were lost')
                self.assertGreater(len(memory.acked), CYCLES * 10, memory.name)
            again = sum(memory.came_again for memory in self.memories)
            acked = sum(len(memory.acked) for memory in self.memories)
            self.assertGreater(again, CYCLES * 10, 'too little came again to prove anything')
            self.assertEqual(self.broker.stop(), 0, self.broker.log()[-4000:])
            print(f'{CYCLES} kills, {acked} acknowledgements confirmed, {again} redeliveries, {time.monotonic() - begun:.0f} s')

    def faults(self):
        return [fault for memory in self.memories for fault in memory.faults][:20]

    def create(self):
        stub = self.broker.streams()
        self.assertTrue(stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=STREAM))).success)
        for name in KINDS:
            config = pb.ConsumerConfigPb(name=name, ack_wait_ms=ACK_WAIT_MS, max_deliver=1_000_000)
            answer = stub.CreateConsumer(pb.CreateConsumerRequest(stream=STREAM, config=config))
            self.assertTrue(answer.success, answer.message)

    def cycle(self, chance):
        clients = [KINDS[memory.name](self.broker, memory, random.Random(chance.random())) for memory in self.memories]
        feeder = Feeder(self.broker)
        for client in [feeder, *clients]:
            client.start()
        time.sleep(chance.uniform(*RUN_SECONDS))
        self.broker.kill()
        for client in [feeder, *clients]:
            client.join(CALL_SECONDS_MAX)
            self.assertFalse(client.is_alive(), 'a client hangs')
        self.broker.close_channels()
        self.broker.start()
        stub = self.broker.streams()
        self.fed = stub.GetStreamInfo(pb.GetStreamInfoRequest(name=STREAM), timeout=60).stats.last_seq
        self.assertGreaterEqual(self.fed, feeder.stored)
        for memory in self.memories:
            answer = stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=STREAM, consumer=memory.name), timeout=60)
            memory.shown(answer.consumer.ack_floor)
            if memory.acked and answer.consumer.last_delivered < max(memory.acked):
                memory.faults.append(f'{memory.name}: the last delivered is {answer.consumer.last_delivered}, '
                                     f'{max(memory.acked)} was acknowledged')

    def drain(self, memory):
        client = AckMany(self.broker, memory, random.Random(1))
        end = time.monotonic() + DRAIN_SECONDS_MAX
        while True:
            seqs = client.fetch(500)
            if seqs:
                client.finish([client.start_ack_many(seqs)])
            client.look()
            if memory.floor == self.fed:
                break
            self.assertLess(time.monotonic(), end, f'{memory.name} does not drain: floor {memory.floor} of {self.fed}')
        self.assertEqual(self.faults(), [])


if __name__ == '__main__':
    unittest.main()
