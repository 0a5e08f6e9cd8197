#!/usr/bin/python3
"""Delivery over the wire, with Python's gRPC: push and pull, settling, dead letters, parked messages, running consumers, the
command line, the example of README.md. What must survive kill -9 and how fast it is, other tests say."""
import os
import re
import subprocess
import sys
import threading
import time
import unittest
import urllib.request

import grpc

from delivery_calls import FAR, DeliveryTest, now_ms
from weir_e2e import CLI, DESCRIPTORS, Broker, admin_pb, eventually, pb, types


class Push(DeliveryTest):
    def test_messages_arrive_as_they_are_published(self):
        name = self.create()
        self.consumer(name)
        events = self.subscribe(name)
        headers = [pb.MessageHeader(key='k', value='v'), pb.MessageHeader(key='k', value='w')]
        for number in range(1, 51):
            payload = bytes([number]) * number * 500
            self.ok(self.publish(name, f's.{number}', payload, headers=headers))
            message = next(events).message
            self.assertEqual((message.seq, message.subject, message.deliver_count), (number, f's.{number}', 1))
            self.assertEqual((message.payload, list(message.headers)), (payload, headers))
        self.assertEqual(self.state(name).waiting, 1)
        events.cancel()
        self.assertTrue(eventually(lambda: self.state(name).waiting == 0))

    def test_stop_when_empty_ends_with_a_reason(self):
        name = self.create()
        self.consumer(name)
        self.assertEqual(self.drain(name), [])
        self.fill(name, 40)
        self.assertEqual([m.seq for m in self.drain(name)], list(range(1, 41)))

    def test_subscribers_share_a_consumer(self):
        name = self.queue()
        self.consumer(name, deliver_group='workers')
        self.fill(name, 400)
        seen = [[], []]

        def read(mine):
            mine += [m.seq for m in self.drain(name)]
        readers = [threading.Thread(target=read, args=(mine,)) for mine in seen]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        self.assertEqual(sorted(seen[0] + seen[1]), list(range(1, 401)))

    def test_it_ends_with_its_consumer_and_with_its_stream(self):
        name = self.create()
        for consumer in ('c', 'd'):
            self.consumer(name, consumer)
        first, second = self.subscribe(name, 'c'), self.subscribe(name, 'd')
        for call in (first, second):
            call.initial_metadata()
        self.ok(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=name, consumer='c')))
        self.assertEqual([event.stopped.reason for event in first], ['consumer deleted'])
        self.ok(self.stub.DeleteStream(pb.DeleteStreamRequest(name=name)))
        self.assertEqual([event.stopped.reason for event in second], ['stream deleted'])
        for call in (first, second):
            self.assertEqual(call.code(), grpc.StatusCode.OK)

    def test_unknown_names_are_not_found(self):
        name = self.create()
        for stream, consumer, word in [('nowhere', 'c', 'nowhere'), (name, 'nobody', 'nobody'), ('', '', '')]:
            with self.assertRaises(grpc.RpcError) as refused:
                next(self.subscribe(stream, consumer))
            self.assertEqual(refused.exception.code(), grpc.StatusCode.NOT_FOUND)
            self.assertIn(word, refused.exception.details())

    def test_what_was_in_hand_of_a_cancelled_call_is_delivered_again_at_once(self):
        name = self.create()
        self.consumer(name, ack_wait_ms=600_000)
        for _ in range(60):
            self.ok(self.publish(name, payload=b'x' * 300_000))
        events = self.subscribe(name, batch_size=8)
        self.assertEqual(next(events).message.seq, 1)
        events.cancel()
        self.assertTrue(eventually(lambda: self.state(name).waiting == 0))
        rest = self.drain(name)
        self.assertEqual({m.deliver_count for m in rest}, {1})
        self.assertEqual(rest[-1].seq, 60)
        self.assertEqual(self.state(name).pending, 60)

    def test_a_stopping_server_says_unavailable(self):
        with Broker() as broker:
            stub = broker.streams()
            self.ok(stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='s'))))
            self.ok(stub.CreateConsumer(pb.CreateConsumerRequest(stream='s', config=pb.ConsumerConfigPb(name='c'))))
            pushed = stub.Subscribe(pb.SubscribeRequest(stream='s', consumer='c'))
            pushed.initial_metadata()
            fetched = stub.Fetch.future(pb.FetchRequest(stream='s', consumer='c', max_wait_ms=60_000))
            info = pb.GetConsumerInfoRequest(stream='s', consumer='c')
            self.assertTrue(eventually(lambda: stub.GetConsumerInfo(info).consumer.waiting == 2))
            self.assertEqual(broker.stop(), 0)
            with self.assertRaises(grpc.RpcError) as ended:
                next(pushed)
            self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertIn('stopping', ended.exception.details())
            self.assertEqual(fetched.exception().code(), grpc.StatusCode.UNAVAILABLE)


class Pull(DeliveryTest):
    def test_fetch_waits_for_a_message(self):
        name = self.create()
        self.consumer(name)
        request = pb.FetchRequest(stream=name, consumer='c', batch_size=10, max_wait_ms=30_000)
        waiting = self.stub.Fetch.future(request)
        self.assertTrue(eventually(lambda: self.state(name).waiting == 1))
        self.fill(name, 1)
        self.assertEqual([m.seq for m in self.ok(waiting.result()).messages], [1])
        began = time.monotonic()
        request.max_wait_ms = 300
        self.assertEqual(len(self.ok(self.stub.Fetch(request)).messages), 0)
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        self.refused(self.stub.Fetch(pb.FetchRequest(stream=name, consumer='c', max_wait_ms=2**64 - 1)),
                     'invalid_argument', 'max_wait_ms')

    def test_max_bytes_bounds_an_answer(self):
        name = self.create()
        self.consumer(name)
        for _ in range(5):
            self.ok(self.publish(name, payload=b'x' * 10_000))
        request = pb.FetchRequest(stream=name, consumer='c', batch_size=10, max_bytes=25_000)
        self.assertEqual([m.seq for m in self.ok(self.stub.Fetch(request)).messages], [1, 2])
        request.max_bytes = 1
        self.assertEqual([m.seq for m in self.ok(self.stub.Fetch(request)).messages], [3])

    def test_a_cancelled_wait_takes_nothing(self):
        name = self.create()
        self.consumer(name)
        waiting = self.stub.Fetch.future(pb.FetchRequest(stream=name, consumer='c', max_wait_ms=60_000))
        self.assertTrue(eventually(lambda: self.state(name).waiting == 1))
        waiting.cancel()
        self.assertTrue(eventually(lambda: self.state(name).waiting == 0))
        self.fill(name, 1)
        self.assertEqual([(m.seq, m.deliver_count) for m in self.fetch(name)], [(1, 1)])


class Settling(DeliveryTest):
    def test_nak_delivers_again_at_once_or_later(self):
        name = self.create()
        self.consumer(name)
        self.fill(name, 2)
        self.fetch(name)
        self.settle('Nak', name, 1)
        self.settle('Nak', name, 2, delay_ms=400)
        self.assertEqual([(m.seq, m.deliver_count) for m in self.fetch(name)], [(1, 2)])
        request = pb.FetchRequest(stream=name, consumer='c', max_wait_ms=10_000)
        self.assertEqual([(m.seq, m.deliver_count) for m in self.ok(self.stub.Fetch(request)).messages], [(2, 2)])

    def test_in_progress_gives_the_whole_wait_again(self):
        name = self.create()
        self.consumer(name, ack_wait_ms=1_000)
        self.fill(name, 1)
        self.fetch(name)
        for _ in range(6):
            time.sleep(0.3)
            self.settle('InProgress', name, 1)
            self.assertEqual(self.fetch(name), [])
        self.assertTrue(eventually(lambda: [m.deliver_count for m in self.fetch(name)] == [2]))

    def test_acks_of_many_and_of_all_up_to(self):
        name = self.create()
        self.consumer(name)
        self.fill(name, 20)
        self.assertEqual(len(self.fetch(name, batch=15)), 15)

        def ack(**what):
            request = admin_pb.AckManyRequest(stream=name, consumer='c', **what)
            return self.ok(self.admin.AckMany(request)).acked
        self.assertEqual(ack(seqs=[3, 5, 5, 99]), 2)
        self.assertEqual(ack(up_to_seq=10), 8)
        self.assertEqual(self.state(name).ack_floor, 10)
        self.assertEqual(ack(up_to_seq=100), 5)
        self.assertEqual([m.seq for m in self.fetch(name)], [16, 17, 18, 19, 20])
        self.assertEqual(ack(), 0)

    def test_what_is_not_pending_succeeds_and_unknown_names_do_not(self):
        name = self.create()
        self.consumer(name)
        for how in ('Nak', 'Term', 'InProgress'):
            for seq in (0, 1, 2**64 - 1):
                self.settle(how, name, seq)
        for call, request in [(self.stub.Nak, pb.NakRequest), (self.stub.Term, pb.TermRequest),
                              (self.stub.InProgress, pb.InProgressRequest), (self.admin.AckMany, admin_pb.AckManyRequest)]:
            self.refused(call(request(stream=name, consumer='nobody')), 'no_such_consumer', 'nobody')
            self.refused(call(request(stream='nowhere', consumer='c')), 'no_such_stream', 'nowhere')


class GivingUp(DeliveryTest):
    DLQ = 'x-waymaker-dlq-'

    def test_a_dead_letter_tells_where_it_came_from(self):
        name = self.create()
        self.consumer(name, filter_subject='work.*', max_deliver=2, dead_letter_subject='dead')
        own = pb.MessageHeader(key='trace', value='7')
        self.ok(self.publish(name, 'work.a', b'first', headers=[own], ts_ms=123))
        self.ok(self.publish(name, 'work.b', b'second', headers=[own], ts_ms=456))
        for _ in range(2):
            self.fetch(name)
            self.settle('Nak', name, 1)
        self.settle('Term', name, 2)
        self.assertTrue(eventually(lambda: len(self.scan(name, 'dead')) == 2))
        dead = {m.payload: m for m in self.scan(name, 'dead')}
        for payload, subject, seq, ts_ms, count, reason in [(b'first', 'work.a', '1', '123', '2', 'max_deliver'),
                                                            (b'second', 'work.b', '2', '456', '1', 'term')]:
            self.assertEqual(dead[payload].headers[0], own)
            told = {h.key[len(self.DLQ):]: h.value for h in dead[payload].headers[1:]}
            self.assertEqual(told, {'stream': name, 'subject': subject, 'seq': seq, 'ts-ms': ts_ms, 'consumer': 'c',
                                    'deliver-count': count, 'reason': reason})
        self.assertEqual((self.state(name).pending, self.state(name).redelivered_dropped), (0, 1))

    def test_without_a_dead_letter_subject_it_is_parked_listed_requeued_and_purged(self):
        name = self.queue()
        self.consumer(name, max_deliver=1)
        self.fill(name, 4)
        self.fetch(name)
        before = now_ms() - 1
        self.settle('Nak', name, 1)
        for seq in (2, 3):
            self.settle('Term', name, seq)
        listed = self.parked(name)
        self.assertEqual([(p.message.seq, p.message.payload, p.reason) for p in listed.parked],
                         [(1, b'1', 'max_deliver'), (2, b'2', 'term'), (3, b'3', 'term')])
        self.assertTrue(all(before <= p.parked_at_ms <= now_ms() + 1 for p in listed.parked))
        self.assertEqual([p.message.seq for p in self.parked(name, from_seq=2, limit=1).parked], [2])
        self.assertEqual((listed.total, self.state(name).parked, self.info(name).stats.msg_count), (3, 3, 4))
        answer = self.admin.RequeueParked(admin_pb.RequeueParkedRequest(stream=name, consumer='c', seqs=[2]))
        self.assertEqual(self.ok(answer).requeued, 1)
        self.assertEqual([(m.seq, m.deliver_count) for m in self.fetch(name)], [(2, 1)])
        answer = self.admin.PurgeParked(admin_pb.PurgeParkedRequest(stream=name, consumer='c'))
        self.assertEqual(self.ok(answer).purged, 2)
        self.assertEqual((self.state(name).parked, self.info(name).stats.msg_count), (0, 2))


class Consumers(DeliveryTest):
    def blocked(self, name, consumer='c'):
        return types.ConsumerBlocked.Name(self.state(name, consumer).blocked)

    def test_it_says_why_nothing_is_delivered(self):
        name = self.create()
        self.consumer(name, filter_subject='a', max_ack_pending=2)
        self.assertEqual(self.blocked(name), 'BLOCKED_CAUGHT_UP')
        self.fill(name, 3)
        self.assertEqual(self.blocked(name), 'BLOCKED_NOT')
        self.assertEqual([m.seq for m in self.fetch(name)], [1, 2])
        self.assertEqual(self.blocked(name), 'BLOCKED_MAX_ACK_PENDING')
        request = admin_pb.PauseConsumerRequest(stream=name, consumer='c', pause_until_ms=FAR)
        self.ok(self.admin.PauseConsumer(request))
        self.assertEqual(self.blocked(name), 'BLOCKED_PAUSED')
        with urllib.request.urlopen(f'http://{self.broker.admin}/metrics', timeout=10) as answer:
            metrics = answer.read().decode()
        labels = f'stream="{name}",consumer="c"'
        for line in [f'weir_consumer_blocked{{{labels},reason="paused"}} 1', f'weir_consumer_pending{{{labels}}} 2',
                     f'weir_consumer_lag{{{labels}}} 3', f'weir_consumer_parked{{{labels}}} 0']:
            self.assertIn(line + '\n', metrics)
        for number in ('pending', 'parked', 'scheduled', 'waiting', 'redelivered_total', 'dead_lettered_total',
                       'duplicates_total', 'consumers_unlisted'):
            self.assertRegex(metrics, rf'(?m)^weir_{number}\{{shard="0"\}} \d+$')
        request.pause_until_ms = 0
        self.ok(self.admin.PauseConsumer(request))
        self.ok(self.admin.AckMany(admin_pb.AckManyRequest(stream=name, consumer='c', up_to_seq=2)))
        self.assertEqual([m.seq for m in self.fetch(name)], [3])
        self.ack(name, 3)
        self.fill(name, 1, 'other')
        self.assertEqual(self.fetch(name), [])
        self.assertEqual(self.blocked(name), 'BLOCKED_CAUGHT_UP')
        self.consumer(name, 'elsewhere', filter_subject='none')
        self.assertEqual(self.fetch(name, 'elsewhere'), [])
        self.assertEqual(self.blocked(name, 'elsewhere'), 'BLOCKED_NO_MATCH')

    def test_one_at_a_time_by_subject_keeps_order(self):
        name = self.queue()
        self.consumer(name, max_ack_pending_per_subject=1)
        for n in range(1, 5):
            self.ok(self.publish(name, f'key.{n % 2}', b'%d' % n))
        self.assertEqual([m.seq for m in self.fetch(name)], [1, 2])
        self.assertEqual(self.blocked(name), 'BLOCKED_MAX_ACK_PENDING_PER_SUBJECT')
        self.assertEqual(self.state(name).held, 2)
        self.ack(name, 2)
        self.assertEqual([m.seq for m in self.fetch(name)], [4])
        self.ack(name, 1)
        self.assertEqual([m.seq for m in self.fetch(name)], [3])

    def test_backoff_and_unlimited_attempts(self):
        name = self.create()
        self.consumer(name, backoff_ms=[100, 300], unlimited_deliver=True)
        self.fill(name, 1)
        times = []
        events = self.subscribe(name)
        for count in range(1, 5):
            self.assertEqual(next(events).message.deliver_count, count)
            times.append(time.monotonic())
        events.cancel()
        gaps = [after - before for before, after in zip(times, times[1:])]
        for gap, least in zip(gaps, [0.1, 0.3, 0.3]):
            self.assertGreaterEqual(gap, least * 0.9)

    def test_filter_subjects_instead_of_one(self):
        name = self.create()
        self.consumer(name, filter_subjects=['a.*', 'b'])
        for subject in ('a.1', 'c', 'b', 'b.1', 'a.2'):
            self.ok(self.publish(name, subject))
        self.assertEqual([m.subject for m in self.fetch(name)], ['a.1', 'b', 'a.2'])

    def test_start_at_a_sequence_a_time_or_the_last(self):
        name = self.create()
        for n in range(1, 6):
            self.ok(self.publish(name, ts_ms=n * 1000))
        for policy, first in [(pb.DeliveryPolicyPb(type=pb.DELIVERY_ALL), 1),
                              (pb.DeliveryPolicyPb(type=pb.DELIVERY_LAST), 5),
                              (pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=3), 3),
                              (pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_TIME, start_time_ms=3500), 4)]:
            consumer = self.consumer(name, f'c{first}', delivery_policy=policy)
            self.assertEqual([m.seq for m in self.fetch(name, consumer)], list(range(first, 6)))

    def test_pause_wakes_up_by_itself(self):
        name = self.create()
        self.consumer(name)
        until = now_ms() + 500
        self.ok(self.admin.PauseConsumer(admin_pb.PauseConsumerRequest(stream=name, consumer='c', pause_until_ms=until)))
        events = self.subscribe(name)
        self.fill(name, 1)
        self.assertEqual(next(events).message.seq, 1)
        self.assertGreaterEqual(now_ms(), until - 1)
        events.cancel()

    def test_reset_to_a_sequence_or_a_time(self):
        name = self.create()
        self.consumer(name)
        for n in range(1, 6):
            self.ok(self.publish(name, ts_ms=n * 1000))
        self.fetch(name)
        for to, seqs in [({'seq': 4}, [4, 5]), ({'time_ms': 2500}, [3, 4, 5]), ({'seq': 0}, [1, 2, 3, 4, 5])]:
            self.ok(self.admin.ResetConsumer(admin_pb.ResetConsumerRequest(stream=name, consumer='c', **to)))
            self.assertEqual([(m.seq, m.deliver_count) for m in self.fetch(name)], [(seq, 1) for seq in seqs])
        for to in ({}, {'seq': 7}):
            self.refused(self.admin.ResetConsumer(admin_pb.ResetConsumerRequest(stream=name, consumer='c', **to)),
                         'invalid_argument', 'seq')

    def test_update_changes_what_is_present(self):
        name = self.create()
        self.consumer(name, filter_subject='a', max_ack_pending=1, ack_wait_ms=600_000)
        self.fill(name, 2)
        self.assertEqual(len(self.fetch(name)), 1)
        request = admin_pb.UpdateConsumerRequest(stream=name, consumer='c', max_ack_pending=0)
        config = self.ok(self.admin.UpdateConsumer(request)).config
        self.assertEqual((config.filter_subject, config.max_ack_pending, config.ack_wait_ms), ('a', 0, 600_000))
        self.assertEqual([m.seq for m in self.fetch(name)], [2])
        bad = admin_pb.UpdateConsumerRequest(stream=name, consumer='c', filter_subject='a..b')
        self.refused(self.admin.UpdateConsumer(bad), 'invalid_config', 'filter_subject')

    def test_idle_consumers_expire(self):
        name = self.create()
        self.consumer(name, 'idle', inactive_ms=300)
        self.consumer(name, 'busy', inactive_ms=300)
        events = self.subscribe(name, 'busy')
        events.initial_metadata()

        def names():
            listed = self.ok(self.stub.ListConsumers(pb.ListConsumersRequest(stream=name))).consumers
            return [consumer.config.name for consumer in listed]
        self.assertTrue(eventually(lambda: names() == ['busy']))
        events.cancel()

    def test_bad_configurations_name_the_field(self):
        name = self.create()
        for words, config in [(['backoff_ms', '64'], {'backoff_ms': [1] * 65}),
                              (['backoff_ms'], {'backoff_ms': [0]}),
                              (['backoff_ms'], {'backoff_ms': [5], 'ack_wait_ms': 6}),
                              (['unlimited_deliver', 'max_deliver'], {'unlimited_deliver': True, 'max_deliver': 3}),
                              (['max_ack_pending'], {'max_ack_pending': 2**63}),
                              (['filter_subjects'], {'filter_subjects': ['a', 'a..b']}),
                              (['filter_subjects'], {'filter_subjects': ['a'], 'filter_subject': 'b'}),
                              (['inactive_ms'], {'inactive_ms': 2**64 - 1})]:
            with self.subTest(config):
                self.refuse_consumer(name, *words, **config)


class Restart(DeliveryTest):
    def test_state_is_there_after_a_restart(self):
        name = self.queue()
        self.consumer(name, max_deliver=3, ack_wait_ms=600_000)
        self.fill(name, 6)
        self.fetch(name)
        self.settle('Nak', name, 2)
        self.fetch(name)
        self.settle('Term', name, 3)
        self.ack(name, 1)
        self.ok(self.publish(name, message_id='once'))
        self.ok(self.publish(name, deliver_at_ms=FAR))
        self.ok(self.admin.PauseConsumer(admin_pb.PauseConsumerRequest(stream=name, consumer='c', pause_until_ms=FAR)))
        before = self.state(name)
        self.broker.restart()
        self.stub, self.admin = self.broker.streams(), self.broker.admin_calls()
        after = self.state(name)
        self.assertEqual((before.ack_floor, before.pending, before.parked, before.paused_until_ms),
                         (after.ack_floor, after.pending, after.parked, after.paused_until_ms))
        self.assertEqual((after.ack_floor, after.pending, after.parked), (1, 4, 1))
        self.assertEqual(self.info(name).scheduled, 1)
        self.assertTrue(self.ok(self.publish(name, message_id='once')).duplicate)
        self.ok(self.admin.PauseConsumer(admin_pb.PauseConsumerRequest(stream=name, consumer='c')))
        self.settle('Nak', name, 2)
        self.assertEqual([(m.seq, m.deliver_count) for m in self.fetch(name)], [(2, 3), (7, 1)])


class Programs(DeliveryTest):
    def weir(self, *arguments):
        done = subprocess.run([CLI, '--server', self.broker.address, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_command_line_says_why_and_handles_what_is_parked(self):
        name = self.queue()
        self.consumer(name, 'c', max_ack_pending=3)
        self.fill(name, 4)
        self.fetch(name)
        self.assertIn('as many unacknowledged as max_ack_pending allows', self.weir('consumer', name, 'c'))
        for seq in (1, 2):
            self.settle('Term', name, seq)
        self.assertIn('2 of 2 parked messages', self.weir('parked', name, 'c'))
        self.assertIn('requeued 1 messages', self.weir('requeue', name, 'c', '1'))
        self.assertIn('discarded 1 parked messages', self.weir('discard', name, 'c'))
        self.assertIn('paused until', self.weir('pause', name, 'c', '--until-ms', str(FAR)))
        self.assertIn('paused until', self.weir('consumers', name))
        self.weir('pause', name, 'c')
        self.assertEqual(len(self.weir('--json', 'fetch', name, 'c', '--wait-ms', '1000').splitlines()), 2)
        self.assertIn('purged 3 messages', self.weir('purge', name))
        self.assertIn('nothing: caught up', self.weir('consumer', name, 'c'))

    def test_the_example_of_a_work_queue_does_every_job(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'work_queue_example.py')
        environment = {**os.environ, 'PYTHONPATH': os.path.dirname(DESCRIPTORS)}
        done = subprocess.run([sys.executable, program, self.broker.address], env=environment, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        *work, last = done.stdout.splitlines()
        self.assertEqual(last, '200 jobs: 1 parked, 0 pending, the others done')
        jobs = [re.fullmatch(r'(ann|bob) did job (\d+)', line) for line in work]
        self.assertEqual({int(job[2]) for job in jobs}, set(range(200)) - {100})
        self.assertEqual({job[1] for job in jobs}, {'ann', 'bob'})


if __name__ == '__main__':
    unittest.main()
