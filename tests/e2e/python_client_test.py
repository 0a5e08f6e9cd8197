#!/usr/bin/python3
"""Everything of issue A over the wire, with Python's gRPC: streams, messages, consumers, watching, health, reflection."""
import threading
import time
import unittest

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from weir_e2e import DESCRIPTORS, SERVICE, BrokerTest, eventually, pb, rpc, types

headers = [pb.MessageHeader(key=k, value=v) for k, v in
           [('b', '1'), ('a', '2'), ('b', '1'), ('b', '3'), ('\u00e9', '\u2603'), ('empty', '')]]


class Streams(BrokerTest):
    def test_create_info_list_delete(self):
        name = self.create(subjects_filter=['logs.*', 'audit.>'], max_msg_bytes=1000,
                           retention=pb.Retention(limits=pb.LimitsRetention(max_msgs=10, strict_limits=True)))
        info = self.info(name)
        self.assertEqual(info.config.name, name)
        self.assertEqual(list(info.config.subjects_filter), ['logs.*', 'audit.>'])
        self.assertEqual(info.config.block_size, 100_000)
        self.assertEqual(info.config.max_msg_bytes, 1000)
        self.assertEqual(info.config.retention.limits.max_msgs, 10)
        self.assertTrue(info.config.retention.limits.strict_limits)
        self.assertEqual(info.durability, types.DURABILITY_FSYNC)
        self.assertEqual((info.stats.last_seq, info.stats.msg_count, info.stats.block_count), (0, 0, 0))
        self.assertIn(name, self.stub.ListStreams(pb.ListStreamsRequest()).names)
        self.refused(self.stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=name))), 'already_exists')
        self.ok(self.stub.DeleteStream(pb.DeleteStreamRequest(name=name)))
        self.assertNotIn(name, self.stub.ListStreams(pb.ListStreamsRequest()).names)
        self.refused(self.stub.DeleteStream(pb.DeleteStreamRequest(name=name)), 'no_such_stream')
        self.refused(self.stub.GetStreamInfo(pb.GetStreamInfoRequest(name=name)), 'no_such_stream')

    def test_a_stream_created_again_is_empty_and_counts_from_one(self):
        name = self.create()
        self.assertEqual(self.ok(self.publish(name)).seq, 1)
        self.consumer(name)
        self.ok(self.stub.DeleteStream(pb.DeleteStreamRequest(name=name)))
        self.refused(self.publish(name), 'no_such_stream')
        self.create(name)
        self.assertEqual(self.info(name).stats.msg_count, 0)
        self.assertEqual(len(self.stub.ListConsumers(pb.ListConsumersRequest(stream=name)).consumers), 0)
        self.assertEqual(self.ok(self.publish(name)).seq, 1)

    def test_two_creates_racing_have_one_winner(self):
        for _ in range(20):
            request = pb.CreateStreamRequest(config=pb.StreamConfigPb(name=self.fresh_name('race')))
            answers = [f.result() for f in [self.stub.CreateStream.future(request) for _ in range(8)]]
            self.assertEqual(sorted(a.result_code for a in answers), ['already_exists'] * 7 + ['ok'])

    def test_names_may_be_any_utf8_without_separators(self):
        for name in ['\u00fcber-\u2603', 'a.b', '...', 'x' * 255, 'CON', 'a:b', '%2e%2e', "it's"]:
            self.create(name)
            self.assertEqual(self.ok(self.publish(name)).seq, 1)
            self.assertEqual(self.info(name).config.name, name)

    def test_durability_levels_are_reported(self):
        for level in (types.DURABILITY_MEMORY, types.DURABILITY_WRITTEN, types.DURABILITY_FSYNC):
            name = self.create(durability=level, ephemeral=level == types.DURABILITY_MEMORY)
            self.assertEqual(self.info(name).durability, level)
            self.assertEqual(self.ok(self.publish(name)).seq, 1)


class Messages(BrokerTest):
    def test_bytes_headers_and_time_come_back_as_they_were(self):
        name = self.create()
        self.consumer(name)
        payloads = [b'', b'\0', bytes(range(256)) * 10, 'sn\u2603w'.encode(), b'x' * 1_000_000]
        for number, payload in enumerate(payloads, 1):
            seq = self.ok(self.publish(name, f'a.{number}', payload, headers=headers, ts_ms=1_700_000_000_000 + number)).seq
            self.assertEqual(seq, number)
        got = []
        while len(got) < len(payloads):
            batch = self.fetch(name)
            self.assertTrue(batch)
            got += batch
        for number, (message, payload) in enumerate(zip(got, payloads), 1):
            self.assertEqual(message.seq, number)
            self.assertEqual(message.subject, f'a.{number}')
            self.assertEqual(message.payload, payload)
            self.assertEqual(list(message.headers), headers)
            self.assertEqual(message.ts_ms, 1_700_000_000_000 + number)
            self.assertEqual(message.deliver_count, 1)

    def test_without_a_time_the_brokers_clock_counts(self):
        name = self.create()
        before = time.time() * 1000 - 1
        self.ok(self.publish(name))
        self.assertTrue(before <= self.scan(name)[0].ts_ms <= time.time() * 1000 + 1)

    def test_publish_says_why_it_refuses(self):
        name = self.create(subjects_filter=['logs.*', 'deep.>'], max_msg_bytes=100)
        self.refused(self.publish('nobody'), 'no_such_stream', 'nobody')
        for subject in ['', 'metrics.x', 'logs', 'logs.a.b', 'deep', 'logs.*', 'deep.>', 'logs..a', '.logs', 'logs.']:
            self.refused(self.publish(name, subject), 'subject_rejected', 'subject')
        self.refused(self.publish(name, 'logs.a', b'x' * 101), 'oversize', '100')
        self.assertEqual(self.info(name).stats.last_seq, 0)
        self.assertEqual(self.ok(self.publish(name, 'logs.a', b'x' * 90)).seq, 1)
        self.assertEqual(self.ok(self.publish(name, 'deep.a.b.c')).seq, 2)

    def test_expected_last_seq_guards_a_subject(self):
        name = self.create()
        wrong = self.refused(self.publish(name, 'k', expected_last_seq=3), 'wrong_revision')
        self.assertEqual(wrong.seq, 0)
        self.assertEqual(self.ok(self.publish(name, 'k', expected_last_seq=0)).seq, 1)
        self.assertEqual(self.refused(self.publish(name, 'k', expected_last_seq=0), 'wrong_revision').seq, 1)
        self.assertEqual(self.ok(self.publish(name, 'other')).seq, 2)
        self.assertEqual(self.ok(self.publish(name, 'k', expected_last_seq=1)).seq, 3)
        self.assertEqual(self.refused(self.publish(name, 'k', expected_last_seq=1), 'wrong_revision').seq, 3)

    def test_of_many_writers_with_one_expectation_one_wins(self):
        name = self.create()
        for expected in range(20):
            request = pb.PublishRequest(stream=name, subject='k', payload=b'x', expected_last_seq=expected)
            codes = sorted(f.result().result_code for f in [self.stub.Publish.future(request) for _ in range(8)])
            self.assertEqual(codes, ['ok'] + ['wrong_revision'] * 7)

    def test_latest_list_and_scan(self):
        name = self.create()
        for number in range(1, 31):
            self.ok(self.publish(name, f'k.{number % 3}', str(number).encode(), headers=headers))
        self.ok(self.publish(name, 'kk', b'y'))
        latest = self.ok(self.stub.ReadLatestAtSubject(pb.ReadLatestAtSubjectRequest(stream=name, subject='k.1')))
        self.assertEqual((latest.latest.seq, latest.latest.payload, list(latest.latest.headers)), (28, b'28', headers))
        self.assertEqual(latest.latest.deliver_count, 0)
        none = self.ok(self.stub.ReadLatestAtSubject(pb.ReadLatestAtSubjectRequest(stream=name, subject='k.9')))
        self.assertFalse(none.HasField('latest'))

        def subjects(prefix):
            return sorted(self.ok(self.stub.ListSubjectsByPrefix(
                pb.ListSubjectsByPrefixRequest(stream=name, prefix=prefix))).subjects)
        self.assertEqual(subjects(''), ['k.0', 'k.1', 'k.2', 'kk'])
        self.assertEqual(subjects('k.'), ['k.0', 'k.1', 'k.2'])
        self.assertEqual(subjects('kk'), ['kk'])
        self.assertEqual(subjects('z'), [])
        self.assertEqual([m.seq for m in self.scan(name, 'k.2')], list(range(2, 31, 3)))
        self.assertEqual([m.seq for m in self.scan(name, 'k.2', from_seq=12, limit=3)], [14, 17, 20])
        self.assertEqual(self.scan(name, 'k.2', from_seq=30), [])
        self.assertEqual({m.deliver_count for m in self.scan(name, 'k.2')}, {0})
        for call, request in [(self.stub.ReadLatestAtSubject, pb.ReadLatestAtSubjectRequest(stream='no', subject='a')),
                              (self.stub.ListSubjectsByPrefix, pb.ListSubjectsByPrefixRequest(stream='no')),
                              (self.stub.ScanExactAtSubject, pb.ScanExactAtSubjectRequest(stream='no', subject='a'))]:
            self.refused(call(request), 'no_such_stream')

    def test_a_scan_without_a_limit_returns_a_thousand(self):
        name = self.create()
        requests = [self.stub.Publish.future(pb.PublishRequest(stream=name, subject='a', payload=b'%d' % n))
                    for n in range(1100)]
        for request in requests:
            self.ok(request.result())
        self.assertEqual([m.seq for m in self.scan(name)], list(range(1, 1001)))
        self.assertEqual([m.seq for m in self.scan(name, from_seq=1001)], list(range(1001, 1101)))


class Retention(BrokerTest):
    arguments = ['--retention-sweep-ms', '100']

    def test_strict_max_msgs_keeps_exactly_the_newest(self):
        name = self.create(retention=pb.Retention(limits=pb.LimitsRetention(max_msgs=10, strict_limits=True)))
        for _ in range(25):
            self.ok(self.publish(name))
        self.assertTrue(eventually(lambda: self.info(name).stats.msg_count == 10))
        self.assertEqual([m.seq for m in self.scan(name)], list(range(16, 26)))
        self.assertEqual(self.info(name).stats.last_seq, 25)

    def test_loose_max_msgs_keeps_whole_blocks(self):
        name = self.create(block_size=10, retention=pb.Retention(limits=pb.LimitsRetention(max_msgs=25)))
        for _ in range(100):
            self.ok(self.publish(name))
        self.assertTrue(eventually(lambda: 25 <= self.info(name).stats.msg_count < 45))
        seqs = [m.seq for m in self.scan(name)]
        self.assertEqual(seqs, list(range(seqs[0], 101)))

    def test_strict_max_bytes_bounds_the_bytes(self):
        name = self.create(retention=pb.Retention(limits=pb.LimitsRetention(max_bytes=10_000, strict_limits=True)))
        for _ in range(50):
            self.ok(self.publish(name, payload=b'x' * 1000))
        self.assertTrue(eventually(lambda: self.info(name).stats.bytes <= 10_000))
        self.assertGreaterEqual(self.info(name).stats.msg_count, 7)

    def test_max_age_removes_by_itself(self):
        name = self.create(retention=pb.Retention(limits=pb.LimitsRetention(max_age_ms=700, strict_limits=True)))
        self.ok(self.publish(name))
        self.assertEqual(self.info(name).stats.msg_count, 1)
        self.assertTrue(eventually(lambda: self.info(name).stats.msg_count == 0))
        self.assertEqual(self.ok(self.publish(name)).seq, 2)

    def test_max_msgs_per_subject_keeps_the_newest_of_each(self):
        name = self.create(max_msgs_per_subject=2)
        for number in range(30):
            self.ok(self.publish(name, f'k.{number % 3}'))
        self.assertEqual([m.seq for m in self.scan(name, 'k.0')], [25, 28])
        self.assertEqual(self.info(name).stats.msg_count, 6)

    def test_update_changes_what_is_named_prunes_and_says_how_much(self):
        name = self.create(retention=pb.Retention(limits=pb.LimitsRetention(max_msgs=100, max_bytes=1_000_000)))
        for _ in range(50):
            self.ok(self.publish(name))
        loosened = self.ok(self.stub.UpdateStream(pb.UpdateStreamRequest(name=name, max_msgs=200)))
        self.assertEqual((loosened.pruned, loosened.config.retention.limits.max_msgs), (0, 200))
        self.assertEqual(loosened.config.retention.limits.max_bytes, 1_000_000)
        pruned = self.ok(self.stub.UpdateStream(pb.UpdateStreamRequest(name=name, max_msgs=20, strict_limits=True)))
        self.assertEqual(pruned.pruned, 30)
        self.assertEqual([m.seq for m in self.scan(name)], list(range(31, 51)))
        cleared = self.ok(self.stub.UpdateStream(pb.UpdateStreamRequest(name=name, max_msgs=0, max_msg_bytes=10)))
        self.assertEqual(cleared.config.retention.limits.max_msgs, 0)
        self.assertEqual(cleared.config, self.info(name).config)
        self.refused(self.publish(name, payload=b'x' * 11), 'oversize')
        for _ in range(30):
            self.ok(self.publish(name))
        self.assertEqual(self.info(name).stats.msg_count, 50)
        self.refused(self.stub.UpdateStream(pb.UpdateStreamRequest(name='no')), 'no_such_stream')

    def test_a_consumer_goes_on_behind_what_was_pruned(self):
        name = self.create()
        self.consumer(name)
        for _ in range(20):
            self.ok(self.publish(name))
        self.assertEqual(len(self.fetch(name, batch=5)), 5)
        self.ok(self.stub.UpdateStream(pb.UpdateStreamRequest(name=name, max_msgs=3, strict_limits=True)))
        self.assertEqual([m.seq for m in self.fetch(name)], [18, 19, 20])


class Consumers(BrokerTest):
    def filled(self, count=10):
        name = self.create()
        for number in range(1, count + 1):
            self.ok(self.publish(name, f'k.{number % 2}', b'%d' % number))
        return name

    def test_create_list_info_delete(self):
        name = self.filled()
        self.consumer(name, 'c1', filter_subject='k.*')
        self.consumer(name, 'c2', ack_wait_ms=1000, max_deliver=7)
        listed = self.ok(self.stub.ListConsumers(pb.ListConsumersRequest(stream=name))).consumers
        self.assertEqual(sorted(c.config.name for c in listed), ['c1', 'c2'])
        one = self.ok(self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c2'))).consumer
        self.assertEqual((one.config.ack_wait_ms, one.config.max_deliver), (1000, 7))
        self.assertEqual((one.ack_floor, one.last_delivered), (0, 0))
        self.assertLess(abs(one.created_at_ms - time.time() * 1000), 60_000)
        defaults = self.ok(self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c1'))).consumer
        self.assertEqual((defaults.config.ack_wait_ms, defaults.config.max_deliver), (30_000, 5))
        self.refused(self.stub.CreateConsumer(pb.CreateConsumerRequest(
            stream=name, config=pb.ConsumerConfigPb(name='c1'))), 'already_exists')
        self.ok(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=name, consumer='c1')))
        self.refused(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=name, consumer='c1')), 'no_such_consumer')
        self.refused(self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c1')), 'no_such_consumer')
        self.refused(self.stub.Fetch(pb.FetchRequest(stream=name, consumer='c1', batch_size=1)), 'no_such_consumer')
        self.refused(self.stub.Ack(pb.AckRequest(stream=name, consumer='c1', seq=1)), 'no_such_consumer')
        for call, request in [(self.stub.CreateConsumer, pb.CreateConsumerRequest(
                                   stream='no', config=pb.ConsumerConfigPb(name='c'))),
                              (self.stub.ListConsumers, pb.ListConsumersRequest(stream='no')),
                              (self.stub.GetConsumerInfo, pb.GetConsumerInfoRequest(stream='no', consumer='c')),
                              (self.stub.DeleteConsumer, pb.DeleteConsumerRequest(stream='no', consumer='c')),
                              (self.stub.Fetch, pb.FetchRequest(stream='no', consumer='c', batch_size=1)),
                              (self.stub.Ack, pb.AckRequest(stream='no', consumer='c', seq=1))]:
            self.refused(call(request), 'no_such_stream')

    def test_fetch_delivers_in_order_once_and_acks_move_the_floor(self):
        name = self.filled()
        self.consumer(name)
        self.assertEqual([m.seq for m in self.fetch(name, batch=4)], [1, 2, 3, 4])
        self.assertEqual([m.seq for m in self.fetch(name, batch=4)], [5, 6, 7, 8])
        for seq in (2, 1, 4, 4):
            self.ack(name, seq)
        state = self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c')).consumer
        self.assertEqual((state.ack_floor, state.last_delivered), (2, 8))
        self.ack(name, 3)
        state = self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c')).consumer
        self.assertEqual(state.ack_floor, 4)
        self.assertEqual([m.seq for m in self.fetch(name)], [9, 10])
        self.assertEqual(self.fetch(name), [])
        self.ack(name, 999)  # not pending: succeeds and changes nothing

    def test_an_answer_is_no_larger_than_what_clients_take_by_default(self):
        name = self.create()
        for number in range(20):
            self.ok(self.publish(name, payload=b'%d' % number * (150 << 10)))
        self.consumer(name)
        got = []
        with grpc.insecure_channel(self.broker.address, [('grpc.enable_http_proxy', 0)]) as channel:
            fetch = rpc.WaymakerStreamsServiceStub(channel).Fetch
            while messages := self.ok(fetch(pb.FetchRequest(stream=name, consumer='c', batch_size=100))).messages:
                got += [m.seq for m in messages]
        self.assertEqual(got, list(range(1, 21)))

    def test_delivery_policies(self):
        name = self.filled()
        middle = self.scan(name, 'k.0')[2].ts_ms
        time.sleep(0.01)
        self.ok(self.publish(name, 'k.1', ts_ms=middle + 5000))
        for number, (policy, first) in enumerate([
                (pb.DeliveryPolicyPb(type=pb.DELIVERY_ALL), 1),
                (pb.DeliveryPolicyPb(type=pb.DELIVERY_LAST), 11),
                (pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=7), 7),
                (pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=0), 1),
                (pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_TIME, start_time_ms=middle + 4000), 11),
                (pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_TIME, start_time_ms=0), 1)]):
            self.consumer(name, f'c{number}', delivery_policy=policy)
            self.assertEqual([m.seq for m in self.fetch(name, f'c{number}')], list(range(first, 12)), str(policy))
        self.consumer(name, 'future', delivery_policy=pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=13))
        self.assertEqual(self.fetch(name, 'future'), [])
        for _ in range(3):
            self.ok(self.publish(name))
        self.assertEqual([m.seq for m in self.fetch(name, 'future')], [13, 14])

    def test_a_filter_delivers_what_matches(self):
        name = self.filled()
        self.consumer(name, filter_subject='k.1')
        self.assertEqual([m.seq for m in self.fetch(name)], [1, 3, 5, 7, 9])

    def test_what_is_not_acknowledged_comes_again_until_max_deliver(self):
        name = self.filled(3)
        self.consumer(name, ack_wait_ms=200, max_deliver=3)
        counts = {1: [], 2: [], 3: []}
        end = time.monotonic() + 20
        while time.monotonic() < end and (len(counts[1]) < 3 or len(counts[3]) < 3):
            for message in self.fetch(name):
                counts[message.seq].append(message.deliver_count)
                if message.seq == 2:
                    self.ack(name, 2)
            time.sleep(0.05)
        self.assertEqual(counts, {1: [1, 2, 3], 2: [1], 3: [1, 2, 3]})
        time.sleep(0.5)
        self.assertEqual(self.fetch(name), [])
        # Given up once the last wait is over; a fetch or the sweep notices.
        self.assertTrue(eventually(lambda: self.stub.GetConsumerInfo(
            pb.GetConsumerInfoRequest(stream=name, consumer='c')).consumer.redelivered_dropped == 2))

    def test_many_fetchers_of_one_consumer_never_share_a_message(self):
        name = self.filled(500)
        self.consumer(name)
        futures = [self.stub.Fetch.future(pb.FetchRequest(stream=name, consumer='c', batch_size=7)) for _ in range(80)]
        seqs = [m.seq for f in futures for m in self.ok(f.result()).messages]
        self.assertEqual(sorted(seqs), list(range(1, 501)))


class Restart(BrokerTest):
    def test_everything_acknowledged_is_there_after_a_restart(self):
        name = self.create(subjects_filter=['k.*'], max_msgs_per_subject=100)
        for number in range(1, 41):
            self.ok(self.publish(name, f'k.{number % 4}', b'%d' % number, headers=headers))
        self.consumer(name, ack_wait_ms=600_000)
        self.assertEqual(len(self.fetch(name, batch=10)), 10)
        for seq in (1, 2, 3, 7):
            self.ack(name, seq)
        memory = self.create(ephemeral=True)
        self.ok(self.publish(memory))
        gone = self.create()
        self.ok(self.stub.DeleteStream(pb.DeleteStreamRequest(name=gone)))
        before = (self.info(name), self.scan(name, 'k.1'), sorted(self.stub.ListStreams(pb.ListStreamsRequest()).names),
                  self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c')))
        for _ in range(3):
            self.broker.restart()
            type(self).stub = self.broker.streams()
            after = (self.info(name), self.scan(name, 'k.1'), sorted(self.stub.ListStreams(pb.ListStreamsRequest()).names),
                     self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=name, consumer='c')))
            self.assertEqual(before[0].config, after[0].config)
            self.assertEqual(before[0].stats.last_seq, after[0].stats.last_seq)
            self.assertEqual(before[0].stats.msg_count, after[0].stats.msg_count)
            self.assertEqual(before[1], after[1])
            self.assertEqual([n for n in before[2] if n != memory], [n for n in after[2] if n != memory])
            self.assertEqual((before[3].consumer.config, before[3].consumer.ack_floor),
                             (after[3].consumer.config, after[3].consumer.ack_floor))
            if memory in after[2]:
                self.assertEqual(self.info(memory).stats.msg_count, 0)
        seen = set()
        while batch := self.fetch(name):
            seen |= {m.seq for m in batch}
        self.assertFalse(seen & {1, 2, 3, 7}, 'acknowledged messages came again')
        self.assertTrue(set(range(11, 41)) <= seen)
        self.assertEqual(self.ok(self.publish(name, 'k.0')).seq, 41)


class Watch(BrokerTest):
    def test_every_change_is_told_in_order(self):
        events = self.stub.WatchStreams(pb.WatchStreamsRequest())
        received = []

        def read():
            try:
                for event in events:
                    received.append(event)
            except grpc.RpcError:
                pass
        reader = threading.Thread(target=read)
        reader.start()
        # Events of changes made before the broker saw the call are not promised: wait until it is watching.
        probe = 0
        while not received and probe < 200:
            probe += 1
            self.create(f'probe{probe}')
            time.sleep(0.05)
        self.assertTrue(received)
        self.create('w1')
        self.ok(self.stub.UpdateStream(pb.UpdateStreamRequest(name='w1', max_msgs=5)))
        self.consumer('w1', 'c')
        self.ok(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream='w1', consumer='c')))
        self.ok(self.stub.DeleteStream(pb.DeleteStreamRequest(name='w1')))

        def about_w1():
            return [e for e in received if e.stream.name == 'w1' or e.consumer.stream == 'w1']
        self.assertTrue(eventually(lambda: len(about_w1()) >= 5))
        self.assertEqual([e.type for e in about_w1()],
                         [pb.WATCH_STREAM_CREATED, pb.WATCH_STREAM_UPDATED, pb.WATCH_CONSUMER_CREATED,
                          pb.WATCH_CONSUMER_DELETED, pb.WATCH_STREAM_DELETED])
        self.assertEqual(about_w1()[2].consumer.consumer, 'c')
        self.assertTrue(all(abs(e.ts_ms - time.time() * 1000) < 60_000 for e in about_w1()))
        events.cancel()
        reader.join(10)
        self.assertFalse(reader.is_alive())

    def test_a_watcher_that_goes_away_harms_nobody(self):
        for _ in range(30):
            events = self.stub.WatchStreams(pb.WatchStreamsRequest())
            self.create()
            events.cancel()
        self.ok(self.publish(self.create()))


class Tools(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        files = descriptor_pb2.FileDescriptorSet()
        with open(DESCRIPTORS, 'rb') as file:
            files.ParseFromString(file.read())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        factory = message_factory.MessageFactory(pool)
        cls.type = staticmethod(lambda name: factory.GetPrototype(pool.FindMessageTypeByName(name)))
        cls.channel = cls.broker.channel()

    def call(self, method, request, response_name):
        answer = self.channel.unary_unary(method)(request.SerializeToString(), timeout=10)
        return self.type(response_name).FromString(answer)

    def test_health(self):
        request = self.type('grpc.health.v1.HealthCheckRequest')
        for service in ['', 'waymaker.streams.WaymakerStreamsService']:
            answer = self.call('/grpc.health.v1.Health/Check', request(service=service), 'grpc.health.v1.HealthCheckResponse')
            self.assertEqual(answer.status, 1)
        with self.assertRaises(grpc.RpcError) as refused:
            self.call('/grpc.health.v1.Health/Check', request(service='nothing'), 'grpc.health.v1.HealthCheckResponse')
        self.assertEqual(refused.exception.code(), grpc.StatusCode.NOT_FOUND)
        watch = self.channel.unary_stream('/grpc.health.v1.Health/Watch')(request().SerializeToString(), timeout=10)
        self.assertEqual(self.type('grpc.health.v1.HealthCheckResponse').FromString(next(watch)).status, 1)
        watch.cancel()

    def test_reflection_both_versions(self):
        for package in ['grpc.reflection.v1', 'grpc.reflection.v1alpha']:
            request = self.type(f'{package}.ServerReflectionRequest')
            asked = [request(list_services=''), request(file_containing_symbol='waymaker.streams.WaymakerStreamsService'),
                     request(file_by_filename='waymaker/streams.proto'), request(file_containing_symbol='no.such.Symbol')]
            answers = list(self.channel.stream_stream(f'/{package}.ServerReflection/ServerReflectionInfo')(
                iter([r.SerializeToString() for r in asked]), timeout=10))
            answers = [self.type(f'{package}.ServerReflectionResponse').FromString(a) for a in answers]
            self.assertEqual(len(answers), 4)
            listed = {s.name for s in answers[0].list_services_response.service}
            self.assertLessEqual({'waymaker.streams.WaymakerStreamsService', 'grpc.health.v1.Health', 'weir.v1.Broker'}, listed)
            for answer in answers[1:3]:
                names = [descriptor_pb2.FileDescriptorProto.FromString(f).name
                         for f in answer.file_descriptor_response.file_descriptor_proto]
                self.assertIn('waymaker/streams.proto', names)
            self.assertEqual(answers[3].error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])

    def test_every_rpc_of_the_reference_answers(self):
        """Works, or UNIMPLEMENTED (or, for peers' RPCs, PERMISSION_DENIED) with a reason; never a hang or a crash."""
        service = pb.DESCRIPTOR.services_by_name['WaymakerStreamsService']
        for method in service.methods:
            if method.name in ('WatchStreams', 'Subscribe'):
                continue
            kind = {(False, False): self.channel.unary_unary, (False, True): self.channel.unary_stream,
                    (True, False): self.channel.stream_unary, (True, True): self.channel.stream_stream}
            streaming = (method.name in ('PutObjectStream',), method.name in ('GetObjectStream', 'TransferStream'))
            call = kind[streaming](SERVICE + method.name)
            try:
                answer = call(iter([b'']) if streaming[0] else b'', timeout=10)
                if streaming[1]:
                    list(answer)
            except grpc.RpcError as refused:
                self.assertIn(refused.code(), (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED),
                              f'{method.name}: {refused.details()}')
                self.assertTrue(refused.details(), method.name)

    def test_unknown_methods_are_unimplemented(self):
        for method in ['/no.such.Service/Method', SERVICE + 'NoSuchMethod', '/x/y', '//']:
            with self.assertRaises(grpc.RpcError) as refused:
                self.channel.unary_unary(method)(b'', timeout=10)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
            self.assertTrue(refused.exception.details())


if __name__ == '__main__':
    unittest.main()
