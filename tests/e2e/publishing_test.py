#!/usr/bin/python3
"""What a stream takes and for how long, with Python's gRPC: publish options, retention, single messages, purging."""
import unittest

from delivery_calls import FAR, INTEREST, DeliveryTest, now_ms
from weir_e2e import admin_pb, broker_pb, eventually, pb


class Retention(DeliveryTest):
    arguments = ['--retention-sweep-ms', '100']

    def test_a_work_queue_loses_what_is_acknowledged(self):
        name = self.queue()
        self.consumer(name)
        self.fill(name, 10)
        for message in self.fetch(name, batch=4):
            self.ack(name, message.seq)
        self.assertEqual(self.info(name).stats.msg_count, 6)

    def test_consumers_of_a_work_queue_do_not_overlap(self):
        name = self.queue()
        self.consumer(name, 'first', filter_subject='a.*')
        self.refuse_consumer(name, 'first', name='second', filter_subject='*.b')
        self.refuse_consumer(name, 'first', name='second')
        self.consumer(name, 'second', filter_subject='b.>')

    def test_interest_goes_by_blocks_when_every_consumer_has_passed(self):
        name = self.create(retention=INTEREST, block_size=5)
        for consumer in ('c', 'd'):
            self.consumer(name, consumer)
        self.fill(name, 12)
        for consumer in ('c', 'd'):
            self.assertEqual(self.info(name).stats.msg_count, 12)
            self.fetch(name, consumer)
            self.ok(self.admin.AckMany(admin_pb.AckManyRequest(stream=name, consumer=consumer, up_to_seq=12)))
        self.assertTrue(eventually(lambda: self.info(name).stats.msg_count == 2))

    def test_what_is_removed_is_no_longer_pending(self):
        name = self.create()
        self.consumer(name)
        self.fill(name, 10)
        self.fetch(name)
        self.ok(self.admin.Purge(admin_pb.PurgeRequest(stream=name, up_to_seq=4)))
        self.assertEqual((self.state(name).pending, self.state(name).ack_floor), (6, 4))
        gone = self.admin.DeleteMessage(admin_pb.DeleteMessageRequest(stream=name, seq=5))
        self.assertTrue(self.ok(gone).was_present)
        self.assertEqual((self.state(name).pending, self.state(name).ack_floor), (5, 5))

    def test_ttl_removes_a_message(self):
        name = self.create()
        self.ok(self.publish(name, ttl_ms=200))
        self.ok(self.publish(name))
        self.assertTrue(eventually(lambda: [m.seq for m in self.scan(name)] == [2]))

    def test_discard_new_refuses_instead_of_dropping(self):
        limits = pb.Retention(limits=pb.LimitsRetention(max_msgs=3))
        name = self.create(retention=limits, discard_new=True)
        self.fill(name, 3)
        self.refused(self.publish(name), 'stream_full', '3')
        self.assertEqual([m.seq for m in self.scan(name)], [1, 2, 3])
        self.ok(self.admin.Purge(admin_pb.PurgeRequest(stream=name, keep=2)))
        self.assertEqual(self.ok(self.publish(name)).seq, 4)


class Publishing(DeliveryTest):
    def test_a_message_id_stores_once(self):
        name = self.create()
        first = self.ok(self.publish(name, message_id='order-1'))
        again = self.ok(self.publish(name, message_id='order-1'))
        self.assertEqual((first.seq, first.duplicate, again.seq, again.duplicate), (1, False, 1, True))
        self.assertEqual(self.info(name).stats.msg_count, 1)
        self.refused(self.publish(name, message_id='x' * 256), 'invalid_argument', 'message_id', '255')
        self.ok(self.admin.Purge(admin_pb.PurgeRequest(stream=name)))
        self.assertEqual(self.ok(self.publish(name, message_id='order-1')).seq, 2)

    def test_a_scheduled_message_comes_when_its_time_does(self):
        name = self.create()
        self.consumer(name)
        at = now_ms() + 700
        later = self.ok(self.publish(name, payload=b'later', deliver_at_ms=at))
        self.assertEqual((later.seq, later.scheduled), (0, True))
        self.assertEqual((self.info(name).scheduled, self.info(name).stats.msg_count), (1, 0))
        message = next(self.subscribe(name)).message
        self.assertGreaterEqual(now_ms(), at - 1)
        self.assertEqual((message.seq, message.payload, message.ts_ms), (1, b'later', at))
        self.assertEqual(self.info(name).scheduled, 0)
        self.refused(self.publish(name, deliver_at_ms=at + 60_000, expected_last_seq=0), 'invalid_argument', 'expected_last_seq')

    def test_all_or_none(self):
        name = self.create(subjects_filter=['a.*'])

        def all_of(*subjects):
            run = [pb.PublishRequest(stream=name, subject=subject) for subject in subjects]
            return self.lane.PublishAll(broker_pb.PublishAllRequest(messages=run))
        self.assertEqual(self.ok(all_of('a.1', 'a.2', 'a.1')).first_seq, 1)
        self.refused(all_of('a.1', 'b'), 'subject_rejected')
        self.refused(all_of(), 'invalid_argument', 'messages')
        self.refused(all_of(*['a.1'] * 1001), 'invalid_argument', '1000')
        self.assertEqual(self.info(name).stats.msg_count, 3)
        self.assertEqual(self.ok(all_of(*['a.1'] * 1000)).first_seq, 4)


class Messages(DeliveryTest):
    def test_one_message_is_shown_and_deleted(self):
        name = self.create()
        self.fill(name, 2)
        get = admin_pb.GetMessageRequest(stream=name, seq=2)
        found = self.ok(self.admin.GetMessage(get)).found
        self.assertEqual((found.seq, found.payload, found.deliver_count), (2, b'2', 0))
        drop = admin_pb.DeleteMessageRequest(stream=name, seq=2)
        self.assertEqual([self.ok(self.admin.DeleteMessage(drop)).was_present for _ in range(2)], [True, False])
        self.assertFalse(self.ok(self.admin.GetMessage(get)).HasField('found'))
        self.refused(self.admin.GetMessage(admin_pb.GetMessageRequest(stream='nowhere')), 'no_such_stream')

    def test_a_purge_narrows_by_subject_sequence_and_count(self):
        name = self.create()
        for n in range(20):
            self.ok(self.publish(name, f'k.{n % 2}'))
        purge = admin_pb.PurgeRequest(stream=name, subject='*.0', up_to_seq=9, keep=8)
        self.assertEqual(self.ok(self.admin.Purge(purge)).purged, 2)
        self.refused(self.admin.Purge(admin_pb.PurgeRequest(stream=name, subject='a..b')), 'invalid_argument', 'subject')
        self.assertEqual(self.ok(self.admin.Purge(admin_pb.PurgeRequest(stream=name))).purged, 18)


if __name__ == '__main__':
    unittest.main()
