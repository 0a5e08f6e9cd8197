#!/usr/bin/python3
"""weir-publisher and weir, run as a user runs them."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest

from weir_e2e import CLI, LOGDUMP, LONG, PUBLISHER, Broker, BrokerTest, pb

SYSTEM_LOG = '/var/log/dpkg.log'
BIG_BYTES = (100 if LONG else 10) << 20


def sample_lines():
    """Lines of a real file of this machine; made ones where it has none."""
    try:
        with open(SYSTEM_LOG, 'rb') as file:
            lines = file.read().splitlines()
        if len(lines) >= 100:
            return lines
    except OSError:
        pass
    return [b'2026-11-21 21:09:00 status installed package-%d:amd64 1.%d' % (n, n) for n in range(2000)]


class Publisher(BrokerTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_publisher(self, *arguments, code=0, stdin=b'', timeout=300):
        done = subprocess.run([PUBLISHER, '--server', self.broker.address, *arguments], input=stdin, capture_output=True,
                              timeout=timeout, check=False)
        self.assertEqual(done.returncode, code, done.stdout.decode() + done.stderr.decode())
        return done

    def report(self, *arguments, **more):
        return json.loads(self.run_publisher('--json', *arguments, **more).stdout)

    def file_of(self, lines):
        path = os.path.join(self.folder.name, 'lines')
        with open(path, 'wb') as file:
            file.write(b''.join(line + b'\n' for line in lines))
        return path

    def test_every_line_of_a_real_file_comes_back(self):
        lines = sample_lines()
        report = self.report('--stream', 'logs', '--input', self.file_of(lines), '--in-flight', '1' if LONG else '64', '--verify')
        self.assertEqual((report['sent'], report['acked'], report['failed']), (len(lines), len(lines), 0))
        self.assertEqual(report['bytes'], sum(map(len, lines)))
        self.assertEqual((report['verify']['good'], report['verify']['matched']), (True, len(lines)))
        self.assertEqual(sorted(self.read_back('logs')), sorted(lines))

    def test_one_at_a_time_keeps_the_order_of_the_file(self):
        lines = [b'line %d' % n for n in range(500)] + [b'', b'\xff\x00', b'last']
        report = self.report('--stream', 'ordered', '--input', self.file_of(lines), '--in-flight', '1', '--verify')
        self.assertEqual((report['verify']['good'], report['verify']['moved']), (True, 0))
        self.assertEqual(self.read_back('ordered'), lines)

    def test_a_big_file_of_json_lines_is_verified(self):
        lines = sample_lines()
        path = os.path.join(self.folder.name, 'big.json')
        count = 0
        with open(path, 'wb') as file:
            while file.tell() < BIG_BYTES:
                for line in lines:
                    file.write(json.dumps({'n': count, 'line': line.decode(errors='replace')}).encode() + b'\n')
                    count += 1
        report = self.report('--stream', 'big', '--input', path, '--verify', timeout=1800)
        self.assertEqual((report['acked'], report['failed'], report['verify']['good']), (count, 0, True))
        self.assertEqual(report['verify']['matched'], count)
        print(f'{count} lines, {os.path.getsize(path) >> 20} MiB: {report["messages_per_second"]:.0f} msg/s, '
              f'verified in {report["verify"]["seconds"]:.1f} s')

    def test_standard_input(self):
        report = self.report('--stream', 'piped', '--input', '-', '--in-flight', '1', stdin=b'one\ntwo\nthree')
        self.assertEqual(report['acked'], 3)
        self.assertEqual(self.read_back('piped'), [b'one', b'two', b'three'])

    def test_a_pipe_that_pauses_is_waited_for(self):
        process = subprocess.Popen([PUBLISHER, '--server', self.broker.address, '--stream', 'slow', '--input', '-', '--json'],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for word in [b'one\n', b'two\n', b'three\n']:
            process.stdin.write(word)
            process.stdin.flush()
            time.sleep(0.3)
        out, _ = process.communicate(timeout=30)
        report = json.loads(out)
        self.assertEqual((process.returncode, report['acked']), (0, 3))
        self.assertLess(report['latency_us']['max'], 250_000, 'waiting for input is no latency')

    def test_the_json_report_has_its_fields(self):
        report = self.report('--stream', 'fields', '--count', '1000', '--size', '100', '--verify')
        numbers = ['rate', 'in_flight', 'connections', 'sent', 'acked', 'failed', 'retried', 'overdue', 'bytes', 'seconds',
                   'messages_per_second', 'mb_per_second']
        for field in numbers:
            self.assertIsInstance(report[field], (int, float), field)
        self.assertEqual(set(report['latency_us']), {'p50', 'p90', 'p99', 'p99_9', 'max', 'mean'})
        ordered = [report['latency_us'][p] for p in ('p50', 'p90', 'p99', 'p99_9', 'max')]
        self.assertEqual(ordered, sorted(ordered))
        self.assertGreater(ordered[0], 0)
        self.assertEqual((report['sent'], report['bytes']), (1000, 100_000))
        self.assertEqual((report['errors'], report['stopped'], report['interrupted']), ({}, '', False))
        self.assertEqual(set(report['verify']), {'good', 'read', 'matched', 'different', 'missing', 'out_of_order', 'foreign',
                                                 'moved', 'seconds', 'failures'})

    def test_the_rate_is_never_exceeded(self):
        report = self.report('--stream', 'paced', '--rate', '500', '--count', '1000')
        self.assertEqual(report['acked'], 1000)
        self.assertGreater(report['seconds'], 1.9)  # 1,000 messages at 500 a second; a busy machine takes longer

    def test_a_stalled_broker_shows_in_the_percentiles_of_a_paced_run(self):
        """Latency counts from when a message was due: a pause of 1 s hits half of a 2 s run, not one window."""
        process = subprocess.Popen([PUBLISHER, '--server', self.broker.address, '--stream', 'stall', '--rate', '200',
                                    '--count', '400', '--in-flight', '1', '--json'], stdout=subprocess.PIPE)
        time.sleep(0.5)
        self.broker.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        self.broker.process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
        report = json.loads(out)
        self.assertEqual((process.returncode, report['acked']), (0, 400))
        self.assertGreater(report['latency_us']['max'], 900_000)
        self.assertGreater(report['latency_us']['p90'], 300_000)

    def test_what_a_slow_broker_left_unsent_is_counted(self):
        process = subprocess.Popen([PUBLISHER, '--server', self.broker.address, '--stream', 'overdue', '--rate', '200',
                                    '--duration', '2', '--in-flight', '1', '--json'], stdout=subprocess.PIPE)
        time.sleep(0.5)
        self.broker.process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        self.broker.process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=30)
        report = json.loads(out)
        self.assertEqual((process.returncode, report['acked']), (0, report['sent']))
        self.assertGreater(report['overdue'], 200)
        self.assertAlmostEqual(report['sent'] + report['overdue'], 400, delta=1)

    def test_subjects_and_connections_spread_the_load(self):
        report = self.report('--stream', 'spread', '--count', '300', '--subject', 'k.{n}.x', '--subjects', '3', '--connections',
                             '4', '--verify')
        self.assertTrue(report['verify']['good'])
        subjects = self.ok(self.stub.ListSubjectsByPrefix(pb.ListSubjectsByPrefixRequest(stream='spread'))).subjects
        self.assertEqual(sorted(subjects), ['k.0.x', 'k.1.x', 'k.2.x'])

    def test_a_line_over_the_limit_is_an_error_that_names_it(self):
        lines = [b'short', b'x' * ((8 << 20) + 1), b'also short']
        report = self.report('--stream', 'long', '--input', self.file_of(lines), code=1)
        self.assertEqual((report['acked'], report['failed'], report['errors']), (2, 1, {'oversize': 1}))
        self.assertIn('line 2 (8388609 bytes): oversize', report['examples'][0])

    def test_interrupts_end_with_the_report(self):
        process = subprocess.Popen([PUBLISHER, '--server', self.broker.address, '--stream', 'interrupted', '--duration', '60',
                                    '--json'], stdout=subprocess.PIPE)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        report = json.loads(out)
        self.assertTrue(report['interrupted'])
        self.assertEqual((process.returncode, report['acked']), (0, report['sent']))
        self.assertGreater(report['acked'], 0)

    def test_what_cannot_work_says_so(self):
        for arguments, code, word in [
                (['--stream', 's', '--rate', 'fast'], 2, '--rate'),
                (['--stream', 's', '--bogus'], 2, '--bogus'),
                ([], 2, '--stream'),
                (['--stream', 's', '--input', '/nonexistent'], 2, '--input'),
                (['--stream', 'a b', '--count', '1'], 1, 'name'),
                (['--stream', 'missing', '--no-create', '--count', '1'], 1, 'no_such_stream'),
                (['--stream', 's', '--server', '127.0.0.1:1', '--count', '1'], 1, '127.0.0.1:1')]:
            done = self.run_publisher(*arguments, code=code)
            self.assertIn(word, done.stderr.decode())
            self.assertEqual(len(done.stderr.decode().strip().splitlines()), 1, done.stderr)
            self.assertEqual(done.stdout, b'')

    def test_the_text_report(self):
        out = self.run_publisher('--stream', 'text', '--count', '10', '--verify').stdout.decode()
        for word in ['10 sent, 10 acknowledged', 'msg/s', 'p50', 'p99.9', 'max', 'verify    good']:
            self.assertIn(word, out)


class Cli(BrokerTest):
    def run_cli(self, *arguments, code=0, stdin=b''):
        done = subprocess.run([CLI, '--server', self.broker.address, *arguments], input=stdin, capture_output=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, code, done.stdout.decode() + done.stderr.decode())
        return done.stdout.decode() if code == 0 else done.stderr.decode()

    def test_a_stream_from_creation_to_deletion(self):
        self.run_cli('create', 'orders', '--subjects', 'o.*', '--max-msgs', '100', '--strict')
        self.assertIn('already_exists', self.run_cli('create', 'orders', code=1))
        self.assertIn('stored as 1', self.run_cli('publish', 'orders', 'o.1', 'hello', '--header', 'a=b'))
        self.assertIn('stored as 2', self.run_cli('publish', 'orders', 'o.2', '-', stdin=b'from a pipe'))
        self.assertIn('wrong_revision', self.run_cli('publish', 'orders', 'o.1', 'x', '--expected-last-seq', '0', code=1))
        self.assertIn('orders  2 messages', self.run_cli('streams'))
        self.assertIn('messages     2', self.run_cli('info', 'orders'))
        self.assertEqual(self.run_cli('subjects', 'orders').split(), ['o.1', 'o.2'])
        self.assertIn('[a: b]', self.run_cli('latest', 'orders', 'o.1'))
        self.assertIn('no_such_consumer', self.run_cli('fetch', 'orders', 'me', code=1))
        self.assertIn('hello', self.run_cli('fetch', 'orders', 'me', '--create', '--ack', '--batch', '1'))
        fetched = json.loads(self.run_cli('fetch', 'orders', 'me', '--json'))
        self.assertEqual((fetched['seq'], fetched['subject']), ('2', 'o.2'))
        self.assertIn('ack floor 1', self.run_cli('consumers', 'orders'))
        self.assertEqual(json.loads(self.run_cli('info', 'orders', '--json'))['stats']['msg_count'], '2')
        self.run_cli('delete', 'orders')
        self.assertIn('no_such_stream', self.run_cli('info', 'orders', code=1))

    def test_bad_arguments(self):
        for arguments, word in [([], 'streams'), (['info'], 'STREAM'), (['create', 'x', '--max-msgs', 'many'], '--max-msgs'),
                                (['streams', '--bogus'], '--bogus')]:
            self.assertIn(word, self.run_cli(*arguments, code=2))

    def test_watch_shows_changes(self):
        process = subprocess.Popen([CLI, '--server', self.broker.address, 'watch', '--json'], stdout=subprocess.PIPE)
        try:
            for number in range(100):
                self.create(f'watched{number}')
                time.sleep(0.05)
                if number == 20:
                    break
            self.assertEqual(json.loads(process.stdout.readline())['type'], 'WATCH_STREAM_CREATED')
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Logdump(unittest.TestCase):
    def run_logdump(self, *arguments):
        return subprocess.run([LOGDUMP, *arguments], capture_output=True, text=True, timeout=60, check=False)

    def test_a_journal_in_words(self):
        with Broker('--shards', '1') as broker:
            stub = broker.streams()
            self.assertTrue(stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='s'))).success)
            for number in range(10):
                self.assertTrue(stub.Publish(pb.PublishRequest(stream='s', subject='a.b', payload=b'hello %d' % number)).success)
            self.assertEqual(broker.stop(), 0)
            segments = [os.path.join(at, name) for at, _, names in os.walk(broker.data) for name in names
                        if name.endswith('.wj') and not name.startswith('free')]
            dumped = self.run_logdump('--payloads', *segments)
            self.assertEqual(dumped.returncode, 0, dumped.stdout + dumped.stderr)
            for number in range(10):
                self.assertIn(f'seq {number + 1} time', dumped.stdout)
                self.assertIn(f'hello {number}', dumped.stdout)
            with open(segments[0], 'r+b') as file:
                file.seek(4096 + 40)
                file.write(b'damage')
            self.assertEqual(self.run_logdump(*segments).returncode, 1)
        self.assertEqual(self.run_logdump('/nonexistent').returncode, 2)


if __name__ == '__main__':
    unittest.main()
