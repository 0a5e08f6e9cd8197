#!/usr/bin/python3
"""The fast lane with Python's gRPC: many records a frame, credit and acks upstream, both beside the unary calls."""
import os
import queue
import random
import unittest

import grpc
from google.protobuf.message import DecodeError

from delivery_calls import DeliveryTest
from weir_e2e import broker_pb, eventually, pb, seed

PLENTY = 1 << 30


class Upstream:
    """What a bidirectional call sends: frames as they are put, the end with close()."""

    def __init__(self, call):
        self.frames = queue.Queue()
        self.answers = call(iter(self.frames.get, None), timeout=120)

    def send(self, frame):
        self.frames.put(frame)

    def close(self):
        self.frames.put(None)


def records(*subjects, payload=b'x', **more):
    return [broker_pb.PublishRecord(subject=subject, payload=payload, **more) for subject in subjects]


class FastLane(DeliveryTest):
    def publish_frames(self, frames):
        """Sends all, then reads all answers."""
        return list(self.lane.Publish(iter(frames), timeout=120))

    def consume(self, stream, messages=0, consumer='c', **more):
        lane = Upstream(self.lane.Consume)
        lane.send(broker_pb.ConsumeRequest(stream=stream, consumer=consumer, credit_messages=messages,
                                           credit_bytes=PLENTY, **more))
        return lane

    def take(self, lane, count):
        """So many messages, and the frame confirmed last."""
        messages, confirmed = [], 0
        while len(messages) < count:
            batch = next(lane.answers)
            self.assertTrue(batch.success, batch.message)
            messages += batch.messages
            confirmed = max(confirmed, batch.confirmed)
        return messages, confirmed

    def confirmed(self, lane, frame):
        while next(lane.answers).confirmed < frame:
            pass

    def test_frames_are_answered_in_order_and_their_records_are_messages_like_others(self):
        name = self.create()
        frames = [broker_pb.PublishBatch(stream=name if n == 1 else '', frame=n,
                                         messages=records(*['a'] * 50, payload=b'%d' % n)) for n in range(1, 41)]
        answers = self.publish_frames(frames)
        self.assertEqual([a.frame for a in answers], list(range(1, 41)))
        self.assertEqual([a.first_seq for a in answers], list(range(1, 2001, 50)))
        self.assertTrue(all(a.success and a.count == 50 for a in answers))
        self.assertGreater(answers[0].limits.inflight_bytes_max, 0)
        self.assertFalse(answers[1].HasField('limits'))
        self.assertEqual(self.ok(self.publish(name)).seq, 2001)
        found = self.scan(name, limit=3)
        self.assertEqual([(m.seq, m.payload) for m in found], [(1, b'1'), (2, b'1'), (3, b'1')])
        self.assertGreater(found[0].ts_ms, 1_700_000_000_000)

    def test_ids_expectations_ttl_and_schedule_work_in_a_frame(self):
        name = self.create()
        mixed = [*records('a', message_id='one'), *records('a', message_id='one'),
                 *records('b', expected_last_seq=7), *records('b', deliver_at_ms=4_000_000_000_000),
                 *records('b', ttl_ms=60_000)]
        answer, = self.publish_frames([broker_pb.PublishBatch(stream=name, frame=1, messages=mixed)])
        self.assertFalse(answer.success)
        self.assertEqual([(f.index, f.result_code) for f in answer.failed], [(2, 'wrong_revision')])
        self.assertEqual((list(answer.seqs), list(answer.duplicates), list(answer.scheduled)),
                         ([1, 1, 0, 0, 2], [1], [3]))
        self.assertEqual(self.info(name).scheduled, 1)

    def test_an_atomic_frame_is_all_or_nothing(self):
        name = self.create(subjects_filter=['ok.>'])
        answers = self.publish_frames([
            broker_pb.PublishBatch(stream=name, frame=1, atomic=True, messages=records('ok.1', 'no')),
            broker_pb.PublishBatch(stream=name, frame=2, atomic=True, messages=records('ok.1', 'ok.2'))])
        self.assertEqual([(a.success, a.first_seq, a.count) for a in answers], [(False, 0, 0), (True, 1, 2)])
        self.assertEqual(self.info(name).stats.msg_count, 2)

    def test_a_frame_cut_or_garbled_at_any_byte_is_refused_or_stored_as_a_whole(self):
        name = self.create()
        good = broker_pb.PublishBatch(stream=name, frame=1, atomic=True, messages=records('a', 'b')).SerializeToString()
        raw = self.broker.channel().stream_stream('/weir.v1.Broker/Publish')
        random.seed(seed())
        stored = 0
        for at in range(len(good)):
            garbled = bytearray(good)
            garbled[at] ^= 1 << random.randrange(8)
            for bad in (good[:at], bytes(garbled)):
                try:
                    frame = broker_pb.PublishBatch.FromString(bad)
                except DecodeError:
                    frame = None
                try:
                    answers = [broker_pb.PublishBatchAck.FromString(a) for a in raw(iter([bad]), timeout=20)]
                except grpc.RpcError as refused:
                    self.assertEqual(refused.code(), grpc.StatusCode.INVALID_ARGUMENT)
                    self.assertTrue(refused.details())
                    answers = []
                count = sum(a.count for a in answers)
                self.assertTrue(count == 0 or frame is not None)
                self.assertIn(count, (0, len(frame.messages)) if frame and frame.atomic else (0, 1, 2))
                stored += count
                self.assertEqual(self.info(name).stats.msg_count, stored)

    def test_messages_come_within_credit_and_acks_go_upstream(self):
        name = self.create()
        self.consumer(name)
        self.fill(name, 10)
        lane = self.consume(name, messages=4)
        messages, _ = self.take(lane, 4)
        self.assertEqual([m.seq for m in messages], [1, 2, 3, 4])
        lane.send(broker_pb.ConsumeRequest(ack_seqs=[2, 4], ack_up_to=1, frame=9))
        self.confirmed(lane, 9)
        state = self.state(name)
        self.assertEqual((state.ack_floor, state.pending), (2, 1))
        lane.send(broker_pb.ConsumeRequest(naks=[broker_pb.ConsumeNak(seq=3)], credit_messages=1, credit_bytes=PLENTY))
        again, _ = self.take(lane, 1)
        self.assertEqual((again[0].seq, again[0].deliver_count), (3, 2))
        self.assertEqual([m.seq for m in self.fetch(name, batch=2)], [5, 6])
        lane.close()
        self.assertEqual(list(lane.answers), [])

    def test_a_lane_hears_that_its_consumer_is_gone(self):
        name = self.create()
        self.consumer(name)
        lane = self.consume(name, messages=1)
        self.assertTrue(eventually(lambda: self.state(name).waiting == 1))
        self.ok(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=name, consumer='c')))
        *_, last = lane.answers
        self.assertEqual((last.success, last.result_code), (False, 'no_such_consumer'))
        lane.close()

    def test_ten_thousand_messages_there_and_back(self):
        name = self.queue()
        self.consumer(name)
        frames = (broker_pb.PublishBatch(stream=name, frame=n, messages=records(*['a'] * 100, payload=os.urandom(100)))
                  for n in range(100))
        self.assertEqual(sum(a.count for a in self.publish_frames(frames)), 10_000)
        lane = self.consume(name, messages=1_000)
        seen = []
        while len(seen) < 10_000:
            messages, _ = self.take(lane, 1)
            seen += [m.seq for m in messages]
            lane.send(broker_pb.ConsumeRequest(ack_seqs=[m.seq for m in messages], credit_messages=len(messages),
                                               frame=len(seen)))
        self.confirmed(lane, 10_000)
        self.assertEqual(seen, list(range(1, 10_001)))
        self.assertEqual(self.info(name).stats.msg_count, 0)
        lane.close()

    def test_cancelled_lanes_cost_nothing(self):
        name = self.create()
        self.consumer(name)
        self.fill(name, 5)
        for _ in range(200):
            lane = self.consume(name, messages=2)
            lane.answers.cancel()
            lane.close()
        self.assertTrue(eventually(lambda: self.state(name).waiting == 0))
        self.assertTrue(eventually(lambda: len(self.drain(name)) + self.state(name).pending >= 5))


if __name__ == '__main__':
    unittest.main()
