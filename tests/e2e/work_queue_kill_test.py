#!/usr/bin/python3
"""A work queue under kill -9: 10 worker processes, and the broker, are killed at random while jobs arrive.

20,000 jobs, with WEIR_LONG=1 a million. Every job is done at least once, none comes again after its confirmed
acknowledgement, none is parked but those that a worker termed. At every stop of the broker (kill -9, or SIGTERM) nobody
may talk to it until `published = acknowledged + pending + parked + not yet delivered` was checked.
"""
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import threading
import time
import unittest
from array import array

import grpc

import queue_worker
from queue_worker import CONSUMER, DONE, EXPECTED, NOTE, STREAM, TAKEN, is_poison
from weir_e2e import LONG, SMALL_STORAGE, Broker, admin_pb, admin_rpc, broker_pb, connect, pb, rpc, seed

JOBS = 1_000_000 if LONG else 20_000
JOBS_PER_SECOND = 4_000 if LONG else 1_000
WORKERS = 10
RUN_SECONDS = (0.05, 0.6)  # between two kills
BROKER_SHARE = 0.12 if LONG else 0.3  # of the kills
ACK_WAIT_MS = 3_000
DELIVER_MAX = 1_000
DRAIN_SECONDS_MAX = 120
PAUSE_SECONDS_MAX = 120
PADDING = b'.' * 108  # makes payloads of 128 bytes


class Ledger:
    """What the workers noted, by sequence."""

    def __init__(self, folder):
        self.folder = folder
        self.offsets = {}
        self.jobs = array('Q', [0])  # by sequence; 0 = never taken
        self.confirmed = array('Q', [0])  # when its DONE or GIVEN_UP was noted; 0 = not yet
        self.taken = self.done = self.termed = self.again = 0
        self.poison_taken = set()
        self.attempts_max = 0
        self.faults = []

    def path(self, worker):
        return os.path.join(self.folder, f'{worker}.notes')

    def read(self):
        """What is new in all files; a file's notes are in order, those of different workers are not."""
        notes = []
        for name in sorted(os.listdir(self.folder)):
            with open(os.path.join(self.folder, name), 'rb') as file:
                file.seek(self.offsets.get(name, 0))
                part = file.read()
            part = part[:len(part) // NOTE.size * NOTE.size]
            self.offsets[name] = self.offsets.get(name, 0) + len(part)
            notes += NOTE.iter_unpack(part)
        for note in notes:
            if note[0] != TAKEN:
                self.confirm(*note)
        for note in notes:
            if note[0] == TAKEN:
                self.take(*note)

    def grow(self, seq):
        while len(self.jobs) <= seq:
            self.jobs.extend([0] * 4096)
            self.confirmed.extend([0] * 4096)

    def confirm(self, kind, _, seq, __, when):
        self.grow(seq)
        if self.confirmed[seq]:
            self.confirmed[seq] = min(self.confirmed[seq], when)
            return
        self.confirmed[seq] = when
        if kind == DONE:
            self.done += 1
        else:
            self.termed += 1

    def take(self, _, attempt, seq, job, when):
        self.grow(seq)
        self.attempts_max = max(self.attempts_max, attempt)
        if self.confirmed[seq] and when > self.confirmed[seq]:
            self.faults.append(f'message {seq} came again, attempt {attempt}, after it was acknowledged or termed')
        if self.jobs[seq] == 0:
            self.jobs[seq] = job
            self.taken += 1
            if is_poison(job):
                self.poison_taken.add(seq)
        else:
            self.again += 1
            if self.jobs[seq] != job:
                self.faults.append(f'message {seq} was job {self.jobs[seq]} and is now job {job}')


class Publisher(threading.Thread):
    """Publishes jobs 1, 2, ... at a steady rate until JOBS are acknowledged; a job is never sent twice."""

    def __init__(self, broker, chance):
        super().__init__(daemon=True)
        self.chance = chance
        self.streams, self.many = broker.streams(), broker.broker_calls()
        self.gate, self.quiet = threading.Event(), threading.Event()
        self.gate.set()
        self.acked = []  # (first sequence, first job, how many)
        self.unknown = []  # (first job, how many): the broker died before it answered
        self.acked_jobs = 0
        self.next_job = 1
        self.fault = None

    def run(self):
        try:
            begun, sent = time.monotonic(), 0
            while self.acked_jobs < JOBS:
                if not self.gate.is_set():
                    stopped = time.monotonic()
                    self.quiet.set()
                    self.gate.wait()
                    begun += time.monotonic() - stopped
                self.quiet.clear()
                count = self.chance.choice([1, 1, 10, 100, 500])
                count = min(count, JOBS - self.acked_jobs)
                self.publish(count)
                sent += count
                time.sleep(max(0, begun + sent / JOBS_PER_SECOND - time.monotonic()))
        except Exception as failure:  # the test's own thread reports it
            self.fault = failure
        self.quiet.set()

    def publish(self, count):
        first, self.next_job = self.next_job, self.next_job + count
        run = [pb.PublishRequest(stream=STREAM, subject=f'job.{job % 100}', payload=b'%020d' % job + PADDING)
               for job in range(first, first + count)]
        try:
            if count == 1:
                answer = self.streams.Publish(run[0], timeout=60)
            else:
                answer = self.many.PublishAll(broker_pb.PublishAllRequest(messages=run), timeout=60)
        except grpc.RpcError as failure:
            assert failure.code() in EXPECTED, f'{failure.code()} {failure.details()}'
            self.unknown.append((first, count))
            time.sleep(0.02)
            return
        assert answer.success, f'{answer.result_code} {answer.message}'
        self.acked.append((answer.seq if count == 1 else answer.first_seq, first, count))
        self.acked_jobs += count

    def pause(self):
        """Returns when no call is under way."""
        self.quiet.clear()
        self.gate.clear()
        end = time.monotonic() + PAUSE_SECONDS_MAX
        while self.is_alive() and not self.quiet.wait(0.05):
            assert time.monotonic() < end, 'a publish hangs'

    def resume(self):
        self.gate.set()


class Workers:
    """WORKERS processes; what is killed is replaced."""

    def __init__(self, broker, ledger, chance):
        self.broker, self.ledger, self.chance = broker, ledger, chance
        # Children of a small process that has the imports done and never opened a connection.
        self.context = multiprocessing.get_context('forkserver')
        self.context.set_forkserver_preload(['queue_worker'])
        self.made = self.killed = 0
        self.running = [self.begin() for _ in range(WORKERS)]

    def begin(self):
        self.made += 1
        arguments = (self.broker.address, self.ledger.path(self.made), self.chance.random(), self.made % 2 == 0)
        process = self.context.Process(target=queue_worker.work, args=arguments, daemon=True)
        process.start()
        return process

    def kill_one(self):
        at = self.chance.randrange(WORKERS)
        self.running[at].kill()
        self.running[at].join()
        self.killed += 1
        self.running[at] = self.begin()

    def signal(self, sign):
        for process in self.running:
            os.kill(process.pid, sign)

    def dead(self):
        return [process.exitcode for process in self.running if process.exitcode is not None]

    def end(self):
        for process in self.running:
            process.kill()
            process.join()


class WorkQueueKill(unittest.TestCase):
    def test_every_job_is_done_and_none_is_lost(self):
        chance = random.Random(seed())
        folder = tempfile.mkdtemp(prefix='weir-e2e-notes-')
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.begun = time.monotonic()
        with Broker('--retention-sweep-ms', '200', *SMALL_STORAGE) as self.broker:
            self.create()
            self.ledger = Ledger(folder)
            self.publisher = Publisher(self.broker, random.Random(chance.random()))
            self.workers = Workers(self.broker, self.ledger, random.Random(chance.random()))
            self.addCleanup(self.workers.end)
            self.stops = 0
            self.publisher.start()
            while self.publisher.is_alive():
                time.sleep(chance.uniform(*RUN_SECONDS))
                if chance.random() < BROKER_SHARE:
                    self.stop_broker(signal.SIGTERM if chance.random() < 0.2 else signal.SIGKILL)
                else:
                    self.workers.kill_one()
                self.check_workers()
            self.assertIsNone(self.publisher.fault)
            self.stop_broker(signal.SIGKILL)
            self.drain()
            self.workers.end()
            self.ledger.read()
            self.check_end()
            self.assertEqual(self.broker.stop(), 0, self.broker.log()[-4000:])

    def create(self):
        stub = self.broker.streams()
        config = pb.StreamConfigPb(name=STREAM, retention=pb.Retention(work_queue=pb.WorkQueueRetention()))
        self.assertTrue(stub.CreateStream(pb.CreateStreamRequest(config=config)).success)
        config = pb.ConsumerConfigPb(name=CONSUMER, ack_wait_ms=ACK_WAIT_MS, max_deliver=DELIVER_MAX, deliver_group='group')
        answer = stub.CreateConsumer(pb.CreateConsumerRequest(stream=STREAM, config=config))
        self.assertTrue(answer.success, answer.message)

    def check_workers(self):
        self.assertEqual(self.workers.dead(), [], 'a worker ended by itself')

    def state(self):
        with connect(self.broker.address) as channel:  # an older one may not know yet that its broker died
            stub = rpc.WaymakerStreamsServiceStub(channel)
            stream = stub.GetStreamInfo(pb.GetStreamInfoRequest(name=STREAM), timeout=60)
            consumer = stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=STREAM, consumer=CONSUMER), timeout=60)
        self.assertTrue(stream.success and consumer.success, stream.message + consumer.message)
        return stream.stats, consumer.consumer

    def stop_broker(self, sign):
        """Ends the broker amid its calls, starts it again, and counts before anybody talks to it."""
        if sign == signal.SIGKILL:
            self.broker.kill()
        else:
            self.assertEqual(self.broker.stop(sign), 0, self.broker.log()[-4000:])
        self.workers.signal(signal.SIGSTOP)
        self.publisher.pause()
        self.broker.start()
        self.stops += 1
        self.ledger.read()
        self.check_counts()
        self.workers.signal(signal.SIGCONT)
        self.publisher.resume()

    def check_counts(self):
        stats, consumer = self.state()
        self.assertEqual(self.ledger.faults, [])
        published = stats.last_seq
        unknown = sum(count for _, count in self.publisher.unknown)
        self.assertTrue(self.publisher.acked_jobs <= published <= self.publisher.acked_jobs + unknown,
                        f'{self.publisher.acked_jobs} acknowledged, {unknown} unknown, {published} stored')
        acked = published - stats.msg_count
        good_taken = self.ledger.taken - len(self.ledger.poison_taken)
        self.assertTrue(self.ledger.done <= acked <= good_taken,
                        f'{self.ledger.done} confirmed, {good_taken} taken, {acked} removed')
        self.assertTrue(self.ledger.termed <= consumer.parked <= len(self.ledger.poison_taken),
                        f'{self.ledger.termed} termed, {len(self.ledger.poison_taken)} poisonous, {consumer.parked} parked')
        waiting = published - consumer.last_delivered
        self.assertEqual(published, acked + consumer.pending + consumer.parked + waiting,
                         f'stop {self.stops}: {acked} acknowledged, {consumer.pending} pending, {consumer.parked} parked, '
                         f'{waiting} not delivered')
        print(f'stop {self.stops} at {time.monotonic() - self.begun:.0f} s: {published} published = {acked} acknowledged + '
              f'{consumer.pending} pending + {consumer.parked} parked + {waiting} not delivered', flush=True)

    def drain(self):
        end = time.monotonic() + DRAIN_SECONDS_MAX
        while True:
            self.check_workers()
            stats, consumer = self.state()
            if consumer.pending == 0 and consumer.last_delivered == stats.last_seq:
                return
            self.assertLess(time.monotonic(), end, f'the queue does not drain: {stats} {consumer}')
            time.sleep(0.1)

    def check_end(self):
        self.check_counts()
        stats, consumer = self.state()
        jobs, last = self.ledger.jobs, stats.last_seq
        never = [seq for seq in range(1, last + 1) if jobs[seq] == 0]
        self.assertEqual(never[:20], [], f'{len(never)} messages were never delivered')
        for seq, job, count in self.publisher.acked:
            self.assertEqual(jobs[seq:seq + count], array('Q', range(job, job + count)), f'messages from {seq} on')
        seen = set(jobs[1:last + 1])
        self.assertEqual(len(seen), last, 'a job is stored twice')
        stored = self.publisher.acked_jobs
        for job, count in self.publisher.unknown:
            here = sum(1 for one in range(job, job + count) if one in seen)
            self.assertIn(here, (0, count), f'of the atomic run of jobs {job} to {job + count - 1} only {here} are stored')
            stored += here
        self.assertEqual(stored, last, 'a message that nobody published')
        with connect(self.broker.address) as channel:
            admin = admin_rpc.AdminStub(channel)
            self.assertEqual(self.parked(admin), self.ledger.poison_taken)
            purged = admin.PurgeParked(admin_pb.PurgeParkedRequest(stream=STREAM, consumer=CONSUMER), timeout=60)
        self.assertEqual((purged.success, purged.purged), (True, consumer.parked), purged.message)
        self.assertEqual(self.state()[0].msg_count, 0)
        print(f'{last} jobs, {consumer.parked} of them termed and parked, {self.ledger.again} taken again (at most attempt '
              f'{self.ledger.attempts_max}), {self.workers.killed} workers killed, {self.stops} stops of the broker, '
              f'{time.monotonic() - self.begun:.0f} s')

    def parked(self, admin):
        found, from_seq = set(), 0
        while True:
            request = admin_pb.ListParkedRequest(stream=STREAM, consumer=CONSUMER, from_seq=from_seq)
            answer = admin.ListParked(request, timeout=60)
            self.assertTrue(answer.success, answer.message)
            if not answer.parked:
                return found
            for one in answer.parked:
                self.assertEqual(one.reason, 'term')
                self.assertTrue(is_poison(queue_worker.job_of(one.message)))
                found.add(one.message.seq)
            from_seq = max(found) + 1


if __name__ == '__main__':
    unittest.main()
