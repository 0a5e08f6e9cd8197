#!/usr/bin/python3
"""The program itself: ready line, signals, exit codes, data directories."""
import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import grpc

from weir_e2e import SERVER, Broker, pb


def run(*arguments, timeout=30):
    return subprocess.run([SERVER, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def on_free_ports(data):
    return ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data', data]


def fingerprint(folder):
    """Names and contents of everything below a folder."""
    found = {}
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), 'rb') as file:
                found[os.path.relpath(os.path.join(at, name), folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


class Lifecycle(unittest.TestCase):
    def test_the_ready_line_names_what_was_chosen(self):
        with Broker() as broker:
            match = re.fullmatch(r'weir-server ready listen=127\.0\.0\.1:(\d+) admin=127\.0\.0\.1:(\d+) data=(\S+)\n',
                                 broker.ready_line)
            self.assertTrue(match, broker.ready_line)
            self.assertGreater(int(match[1]), 0)
            self.assertNotEqual(match[1], match[2])
            self.assertEqual(os.path.realpath(match[3]), os.path.realpath(broker.data))
            self.assertEqual(broker.streams().ListStreams(pb.ListStreamsRequest(), timeout=10).names, [])
            self.assertEqual(broker.stop(), 0)

    def test_standard_output_has_only_the_ready_line(self):
        with Broker() as broker:
            broker.streams().ListStreams(pb.ListStreamsRequest(), timeout=10)
            broker.process.send_signal(signal.SIGTERM)
            self.assertEqual(broker.process.stdout.read(), '')
            self.assertEqual(broker.wait(), 0)

    def test_sigint_stops_like_sigterm(self):
        with Broker() as broker:
            self.assertEqual(broker.stop(signal.SIGINT), 0)

    def test_sigterm_under_load_keeps_every_acknowledged_message(self):
        with Broker() as broker:
            broker.streams().CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='s')))
            acked = {}
            codes = set()

            def load(number):
                stub = broker.streams()
                for n in range(1_000_000):
                    payload = f'{number}:{n}'.encode()
                    try:
                        answer = stub.Publish(pb.PublishRequest(stream='s', subject='a', payload=payload), timeout=30)
                    except grpc.RpcError as refused:
                        codes.add(refused.code())
                        return
                    if not answer.success:
                        codes.add(answer.result_code)
                        return
                    acked[answer.seq] = payload
            threads = [threading.Thread(target=load, args=[n]) for n in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(1)
            started = time.monotonic()
            code = broker.stop()
            took = time.monotonic() - started
            for thread in threads:
                thread.join()
            self.assertEqual(code, 0, broker.log())
            self.assertLess(took, 20)
            # CANCELLED is gRPC's own word for a call that reached it after its server stopped taking any.
            self.assertLessEqual(codes, {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, 'unavailable'})
            self.assertGreater(len(acked), 100)
            broker.start()
            stub = broker.streams()
            stored = {}
            at = 1
            while True:
                found = stub.ScanExactAtSubject(pb.ScanExactAtSubjectRequest(stream='s', subject='a', from_seq=at)).messages
                if not found:
                    break
                stored.update({m.seq: m.payload for m in found})
                at = found[-1].seq + 1
            self.assertEqual({seq: stored.get(seq) for seq in acked}, acked)
            self.assertEqual(sorted(stored), list(range(1, len(stored) + 1)))
            self.assertEqual(broker.stop(), 0)

    def test_sigterm_ends_open_watches(self):
        with Broker() as broker:
            events = broker.streams().WatchStreams(pb.WatchStreamsRequest())
            time.sleep(0.3)
            started = time.monotonic()
            self.assertEqual(broker.stop(), 0)
            self.assertLess(time.monotonic() - started, 15)
            with self.assertRaises(grpc.RpcError) as ended:
                next(events)
            self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_a_data_directory_is_locked_by_one_process(self):
        with Broker() as broker:
            second = run(*on_free_ports(broker.data))
            self.assertNotIn(second.returncode, (0, -6, -11))
            self.assertIn(broker.data, second.stderr)
            self.assertIn(str(broker.process.pid), second.stderr)
            self.assertEqual(second.stdout, '')
            broker.streams().CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='s')), timeout=10)
            self.assertEqual(broker.stop(), 0)
            self.assertEqual(broker.start().stop(), 0)

    def test_a_killed_brokers_lock_is_free(self):
        with Broker() as broker:
            broker.kill()
            self.assertEqual(broker.start().stop(), 0)

    def test_a_foreign_directory_is_refused_and_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'thesis.txt'), 'w', encoding='ascii') as file:
                file.write('not yours')
            before = fingerprint(folder)
            refused = run(*on_free_ports(folder))
            self.assertNotIn(refused.returncode, (0, -6, -11))
            self.assertIn(folder, refused.stderr)
            self.assertIn('thesis.txt', refused.stderr)
            self.assertEqual(fingerprint(folder), before)

    def test_a_directory_of_another_format_is_refused(self):
        with Broker() as broker:
            self.assertEqual(broker.stop(), 0)
            path = os.path.join(broker.data, 'FORMAT')
            with open(path, encoding='utf-8') as file:
                text = file.read()
            with open(path, 'w', encoding='utf-8') as file:
                file.write(re.sub(r'format \d+', 'format 999', text))
            refused = run(*on_free_ports(broker.data))
            self.assertNotIn(refused.returncode, (0, -6, -11))
            self.assertIn('999', refused.stderr)

    def test_data_that_cannot_be_a_directory_is_refused(self):
        with tempfile.NamedTemporaryFile() as file:
            for path in [file.name, file.name + '/below', '/proc/weir']:
                refused = run(*on_free_ports(path))
                self.assertNotIn(refused.returncode, (0, -6, -11), path)
                self.assertIn(path, refused.stderr)

    def test_bad_flags_end_with_2_and_one_line_that_names_them(self):
        with tempfile.TemporaryDirectory() as folder:
            data = ['--data', os.path.join(folder, 'd')]
            for flags in [['--listen'], ['--listen', 'nowhere'], ['--listen', '127.0.0.1:99999'], ['--listen', ':x'],
                          ['--admin', '7461'], ['--shards', '0'], ['--shards', 'many'], ['--shards', '-1'], ['--shards', '1.5'],
                          ['--config', '/nonexistent.json'], ['--bogus'], ['--payload-bytes-max', 'x']]:
                refused = run(*data, *flags)
                self.assertEqual(refused.returncode, 2, f'{flags}: {refused.stderr}')
                self.assertIn(flags[0], refused.stderr)
                self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
                self.assertEqual(refused.stdout, '')
            self.assertFalse(os.path.exists(os.path.join(folder, 'd')))

    def test_a_config_file_sets_options_and_its_mistakes_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'weir.json')

            def config(text):
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(text)
            for text, word in [('{', 'weir.json'), ('[]', 'weir.json'), ('{"bogus": 1}', 'bogus'),
                               ('{"shards": "many"}', 'shards'), ('{"listen": 5}', 'listen')]:
                config(text)
                refused = run('--config', path, '--data', os.path.join(folder, 'd'))
                self.assertEqual(refused.returncode, 2, refused.stderr)
                self.assertIn(word, refused.stderr)
                self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
            config(json.dumps({'payload-bytes-max': 1000}))
            with Broker('--config', path) as broker:
                stub = broker.streams()
                stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='s')))
                answer = stub.Publish(pb.PublishRequest(stream='s', subject='a', payload=bytes(1001)))
                self.assertEqual(answer.result_code, 'oversize')
                self.assertEqual(broker.stop(), 0)

    def test_help_goes_to_standard_output(self):
        shown = run('--help')
        self.assertEqual(shown.returncode, 0)
        for flag in ['--config', '--listen', '--admin', '--data', '--shards']:
            self.assertIn(flag, shown.stdout)

    def test_a_taken_port_is_an_error(self):
        with Broker() as broker, tempfile.TemporaryDirectory() as folder:
            for flags in [['--listen', broker.address, '--admin', '127.0.0.1:0'],
                          ['--listen', '127.0.0.1:0', '--admin', broker.admin]]:
                refused = run('--data', os.path.join(folder, 'd'), *flags)
                self.assertNotIn(refused.returncode, (0, -6, -11))
                self.assertIn(broker.address if flags[1] == broker.address else broker.admin, refused.stderr)
            self.assertEqual(broker.stop(), 0)

    def test_beyond_loopback_needs_insecure(self):
        with tempfile.TemporaryDirectory() as folder:
            refused = run('--listen', '0.0.0.0:0', '--admin', '127.0.0.1:0', '--data', os.path.join(folder, 'd'))
            self.assertNotIn(refused.returncode, (0, -6, -11))
            self.assertIn('--insecure', refused.stderr)

    def test_the_number_of_shards_stays(self):
        with Broker('--shards', '3') as broker:
            stub = broker.streams()
            for n in range(10):
                stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=f's{n}')), timeout=10)
            broker.arguments = []
            broker.restart()
            self.assertEqual(len(broker.streams().ListStreams(pb.ListStreamsRequest(), timeout=10).names), 10)
            self.assertEqual(broker.stop(), 0)
            refused = run(*on_free_ports(broker.data), '--shards', '2')
            self.assertNotIn(refused.returncode, (0, -6, -11))
            self.assertIn('shards', refused.stderr)

    def test_admin_http_says_it_is_alive(self):
        with Broker() as broker:
            for path in ['/healthz', '/readyz', '/metrics']:
                with urllib.request.urlopen(f'http://{broker.admin}{path}', timeout=10) as answer:
                    self.assertEqual(answer.status, 200)
                    self.assertTrue(answer.read())
            with self.assertRaises(urllib.error.HTTPError) as missing:
                urllib.request.urlopen(f'http://{broker.admin}/nothing', timeout=10)
            self.assertEqual(missing.exception.code, 404)
            missing.exception.close()
            self.assertEqual(broker.stop(), 0)


if __name__ == '__main__':
    unittest.main()
