#!/usr/bin/python3
"""weir-publisher's modes: batches, a consumer beside, several connections and streams, the plot; and a broker that dies."""
import json
import os
import signal
import subprocess
import tempfile
import time
import unittest
import xml.etree.ElementTree as xml

from weir_e2e import PUBLISHER, Broker, BrokerTest, eventually, pb

MODES = ('unary', 'batch')


def run(address, *arguments, code=0, stdin=b''):
    done = subprocess.run([PUBLISHER, '--server', address, *arguments], input=stdin, capture_output=True, timeout=300, check=False)
    assert done.returncode == code, (done.returncode, done.stdout.decode(), done.stderr.decode())
    return done


def start(address, *arguments):
    return subprocess.Popen([PUBLISHER, '--server', address, '--json', *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_messages(stub, stream, count=1):
    request = pb.GetStreamInfoRequest(name=stream)
    assert eventually(lambda: stub.GetStreamInfo(request).stats.msg_count >= count), f'{stream}: not {count} messages'


class Modes(BrokerTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def report(self, *arguments, **more):
        return json.loads(run(self.broker.address, '--json', *arguments, **more).stdout)

    def check_latency(self, latency):
        ordered = [latency[p] for p in ('p50', 'p90', 'p99', 'p99_9', 'max')]
        self.assertEqual(ordered, sorted(ordered))
        self.assertGreater(ordered[0], 0)

    def test_batches_keep_the_lines_of_a_file_and_their_order(self):
        lines = [b'line %d' % n for n in range(5000)] + [b'', b'\xff\x00', b'x' * 300_000, b'last']
        path = os.path.join(self.folder.name, 'lines')
        with open(path, 'wb') as file:
            file.write(b''.join(line + b'\n' for line in lines))
        report = self.report('--mode', 'batch', '--batch', '100', '--stream', 'lines', '--input', path, '--verify')
        self.assertEqual((report['mode'], report['batch'], report['in_flight']), ('batch', 100, 1600))
        self.assertEqual((report['sent'], report['acked'], report['failed']), (len(lines), len(lines), 0))
        self.assertEqual(report['bytes'], sum(map(len, lines)))
        self.assertEqual((report['verify']['good'], report['verify']['moved'], report['verify']['matched']), (True, 0, len(lines)))
        self.assertEqual(self.read_back('lines'), lines)

    def test_standard_input_is_not_waited_for_until_a_frame_is_full(self):
        process = subprocess.Popen([PUBLISHER, '--server', self.broker.address, '--stream', 'piped', '--mode', 'batch', '--input',
                                    '-', '--json'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process.stdin.write(b'one\ntwo\n')
        process.stdin.flush()
        wait_for_messages(self.stub, 'piped', 2)
        out, _ = process.communicate(b'three\n', timeout=30)
        self.assertEqual((process.returncode, json.loads(out)['acked']), (0, 3))
        self.assertEqual(self.read_back('piped'), [b'one', b'two', b'three'])

    def test_every_message_is_consumed_once_and_measured_in_both_modes(self):
        for mode in MODES:
            with self.subTest(mode):
                report = self.report('--mode', mode, '--stream', f'consumed-{mode}', '--count', '20000', '--consume', '--verify')
                consumer = report['consumer']
                self.assertEqual((report['acked'], consumer['consumed'], consumer['missing'], consumer['others'],
                                  consumer['failure']), (20000, 20000, 0, 0, ''))
                self.assertTrue(report['verify']['good'])
                self.check_latency(consumer['end_to_end_us'])
                self.assertGreater(consumer['messages_per_second'], 0)
                for slots in (report['timeline']['slots'], consumer['timeline']['slots']):
                    self.assertEqual(sum(slot['messages'] for slot in slots), 20000)
                consumers = self.stub.ListConsumers(pb.ListConsumersRequest(stream=f'consumed-{mode}')).consumers
                self.assertEqual(len(consumers), 0, 'a consumer is left behind')

    def test_what_was_there_before_and_what_others_publish_is_not_counted(self):
        stream = self.create('shared')
        for _ in range(10):
            self.publish(stream)
        process = start(self.broker.address, '--mode', 'batch', '--stream', stream, '--rate', '500', '--duration', '2', '--consume')
        wait_for_messages(self.stub, stream, 11)
        for _ in range(10):
            self.publish(stream)
        report = json.loads(process.communicate(timeout=60)[0])
        self.assertEqual(process.returncode, 0)
        self.assertEqual((report['acked'], report['consumer']['consumed'], report['consumer']['missing']), (1000, 1000, 0))
        self.assertEqual(report['consumer']['others'], 10)

    def test_connections_and_streams_share_the_messages_in_both_modes(self):
        for mode in MODES:
            for connections, streams in ((4, 3), (2, 5), (3, 3)):
                with self.subTest(mode=mode, connections=connections, streams=streams):
                    name = f'spread-{mode}-{connections}'
                    report = self.report('--mode', mode, '--stream', name, '--count', '6000', '--connections', str(connections),
                                         '--streams', str(streams), '--consume', '--verify', '--subject', 'k.{n}', '--subjects', '7',
                                         *(['--batch', '10'] if mode == 'batch' else []))
                    self.assertEqual((report['acked'], report['consumer']['consumed']), (6000, 6000))
                    self.assertEqual((report['verify']['good'], report['verify']['matched']), (True, 6000))
                    counts = [self.info(f'{name}-{n + 1}').stats.msg_count for n in range(streams)]
                    self.assertEqual(sum(counts), 6000)
                    self.assertGreater(min(counts), 6000 / streams / 2)

    def test_a_paced_batch_keeps_its_rate_and_counts_a_stall_from_when_messages_were_due(self):
        process = start(self.broker.address, '--mode', 'batch', '--stream', 'stalled', '--rate', '1000', '--duration', '3', '--consume')
        wait_for_messages(self.stub, 'stalled')
        self.broker.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        self.broker.process.send_signal(signal.SIGCONT)
        report = json.loads(process.communicate(timeout=60)[0])
        self.assertEqual((process.returncode, report['acked'] + report['overdue']), (0, 3000))
        self.assertGreater(report['seconds'], 2.9)
        for latency in (report['latency_us'], report['consumer']['end_to_end_us']):
            self.assertGreater(latency['max'], 900_000)
            self.assertGreater(latency['p90'], 300_000)

    def test_the_plot_shows_what_the_report_says(self):
        for mode, more in (('unary', []), ('batch', ['--consume'])):
            path = os.path.join(self.folder.name, f'{mode}.svg')
            run(self.broker.address, '--mode', mode, '--stream', f'plotted-{mode}', '--rate', '2000', '--duration', '1', '--plot',
                path, *more)
            picture = xml.parse(path).getroot()
            self.assertTrue(picture.tag.endswith('}svg'))
            words = [element.text for element in picture.iter() if element.tag.endswith('}text')]
            self.assertIn(f'weir-publisher: stream plotted-{mode}', words)
            for word in ('messages per second', 'seconds since the start', 'to ack, p99.9'):
                self.assertIn(word, words)
            self.assertEqual('to delivery, p99.9' in words, bool(more))
            lines = sum(element.tag.endswith('}path') for element in picture.iter())
            self.assertEqual(lines, 8 if more else 4)

    def test_errors_of_single_records_are_counted_one_by_one(self):
        stream = self.create('filtered', subjects_filter=['k.0', 'k.2'])
        report = self.report('--mode', 'batch', '--stream', stream, '--count', '300', '--subject', 'k.{n}', '--subjects', '3',
                             '--consume', code=1)
        self.assertEqual((report['sent'], report['acked'], report['failed']), (300, 200, 100))
        self.assertEqual(report['errors'], {'subject_rejected': 100})
        self.assertEqual(report['consumer']['consumed'], 200)
        self.assertIn('message 2 (128 bytes): subject_rejected', report['examples'][0])

    def test_a_message_larger_than_a_frame_is_an_error_of_that_message(self):
        lines = b'short\n' + b'x' * (40 << 20) + b'\nlast\n'
        report = self.report('--mode', 'batch', '--stream', 'large', '--input', '-', '--batch', '1', '--in-flight', '1', code=1, stdin=lines)
        self.assertEqual((report['acked'], report['failed'], report['errors']), (2, 1, {'oversize': 1}))
        self.assertIn('line 2 (41943040 bytes): oversize', report['examples'][0])

    def test_interrupts_end_with_the_report(self):
        process = start(self.broker.address, '--mode', 'batch', '--stream', 'interrupted', '--duration', '60', '--consume')
        wait_for_messages(self.stub, 'interrupted')
        process.send_signal(signal.SIGINT)
        report = json.loads(process.communicate(timeout=60)[0])
        self.assertTrue(report['interrupted'])
        self.assertEqual((process.returncode, report['acked'], report['consumer']['consumed']), (0, report['sent'], report['sent']))
        self.assertGreater(report['acked'], 0)

    def test_what_cannot_work_says_so_in_one_line(self):
        for arguments, code, word in [
                (['--stream', 's', '--mode', 'fast'], 2, '--mode'),
                (['--stream', 's', '--batch', '10'], 2, '--mode batch'),
                (['--stream', 's', '--mode', 'batch', '--retry'], 2, '--retry'),
                (['--stream', 's', '--mode', 'batch', '--in-flight', '10'], 2, '--batch'),
                (['--stream', 's', '--streams', 'many'], 2, '--streams'),
                (['--stream', 's', '--subjects', '5'], 2, '{n}'),
                (['--stream', 's', '--plot', '/nonexistent/x.svg'], 2, '--plot'),
                (['--stream', 's', '--plot', ''], 2, '--plot'),
                (['--stream', 's', '--rate', '1e-300'], 2, '--rate takes 0, or at least 0.001'),
                (['--stream', 'a b', '--mode', 'batch', '--count', '1'], 1, 'name'),
                (['--stream', 'missing', '--no-create', '--mode', 'batch', '--consume', '--count', '1'], 1, 'no_such_stream'),
                (['--stream', 's', '--server', '127.0.0.1:1', '--mode', 'batch', '--count', '1'], 1, '127.0.0.1:1')]:
            done = run(self.broker.address, *arguments, code=code)
            self.assertIn(word, done.stderr.decode())
            self.assertEqual(len(done.stderr.decode().strip().splitlines()), 1, done.stderr)
            self.assertEqual(done.stdout, b'')

    def test_the_text_report(self):
        out = run(self.broker.address, '--stream', 'text', '--mode', 'batch', '--streams', '2', '--count', '1000', '--consume').stdout.decode()
        for word in ['2 streams', '1000 sent, 1000 acknowledged', 'consumed  1000 messages', 'end to end p50', 'p99.9']:
            self.assertIn(word, out)


class Killed(unittest.TestCase):
    def test_a_broker_that_dies_ends_the_run_with_honest_counts(self):
        for mode in MODES:
            with self.subTest(mode), Broker() as broker:
                process = start(broker.address, '--mode', mode, '--stream', 's', '--duration', '60', '--connections', '2', '--consume')
                wait_for_messages(broker.streams(), 's', 1000)
                broker.close_channels()
                broker.kill()
                out, _ = process.communicate(timeout=60)
                report = json.loads(out)
                self.assertEqual(process.returncode, 1)
                self.assertGreater(report['acked'], 0)
                self.assertEqual(report['acked'] + report['failed'], report['sent'])
                self.assertIn('UNAVAILABLE', report['errors'])
                self.assertTrue(report['stopped'])
                self.assertTrue(report['consumer']['failure'])
                self.assertEqual(report['consumer']['consumed'] + report['consumer']['missing'], report['acked'])
                broker.start()  # what was acknowledged is there; what was not may be
                stored = broker.streams().GetStreamInfo(pb.GetStreamInfoRequest(name='s')).stats.msg_count
                self.assertGreaterEqual(stored, report['acked'])
                self.assertLessEqual(stored, report['sent'])
                broker.close_channels()

    def test_the_limits_that_the_broker_tells_are_kept_to(self):
        with Broker('--publish-inflight-frames-max', '2', '--publish-inflight-bytes-max', '65536') as broker:
            out = run(broker.address, '--json', '--mode', 'batch', '--stream', 's', '--count', '20000', '--size', '1000', '--consume').stdout
            report = json.loads(out)
            self.assertEqual((report['acked'], report['consumer']['consumed']), (20000, 20000))

    def test_a_broker_that_stops_while_nothing_is_sent_is_an_error_too(self):
        with Broker() as broker:
            process = subprocess.Popen([PUBLISHER, '--server', broker.address, '--stream', 's', '--mode', 'batch', '--input', '-',
                                        '--json'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdin.write(b'one\n')
            process.stdin.flush()
            wait_for_messages(broker.streams(), 's')
            broker.close_channels()
            broker.kill()
            out, _ = process.communicate(timeout=60)
            report = json.loads(out)
            self.assertEqual((process.returncode, report['acked'], report['failed']), (1, 1, 0))
            self.assertIn('closed the connection', report['stopped'])


if __name__ == '__main__':
    unittest.main(verbosity=2)
