"""What the end-to-end tests share: a broker of their own, stubs made from proto/, small checks.

The broker under test is build/bin/weir-server, or what WEIR_SERVER names. Every Broker has a temporary data directory
and free ports, and is gone when its test ends. Random tests print their seed and take one by WEIR_SEED.
"""
import atexit
import importlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import grpc

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SERVER = os.environ.get('WEIR_SERVER', os.path.join(ROOT, 'build/bin/weir-server'))
PUBLISHER = os.environ.get('WEIR_PUBLISHER', os.path.join(ROOT, 'build/bin/weir-publisher'))
CLI = os.environ.get('WEIR_CLI', os.path.join(ROOT, 'build/bin/weir'))
LOGDUMP = os.environ.get('WEIR_LOGDUMP', os.path.join(ROOT, 'build/bin/logdump'))
LONG = os.environ.get('WEIR_LONG') == '1'
START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 60

# Small files, so that rolling, settling and checkpoints happen within a test.
SMALL_STORAGE = ['--journal-segment-bytes', str(1 << 20), '--journal-batch-bytes-max', str(512 << 10),
                 '--payload-bytes-max', str(256 << 10), '--taken-segment-bytes-min', str(1 << 20)]


def _make_stubs():
    descriptors = 'grpc_services.bin'
    made = os.environ.get('WEIR_E2E_STUBS')
    if made:  # by the process that started this one
        sys.path.insert(0, made)
        return os.path.join(made, descriptors)
    folder = tempfile.mkdtemp(prefix='weir-e2e-stubs-')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    plugin = shutil.which('grpc_python_plugin')
    subprocess.run(['protoc', f'-I{ROOT}/proto', f'--python_out={folder}', f'--grpc_out={folder}',
                    f'--plugin=protoc-gen-grpc={plugin}', 'waymaker/streams.proto', 'weir/v1/types.proto',
                    'weir/v1/admin.proto', 'weir/v1/broker.proto'],
                   cwd=f'{ROOT}/proto', check=True)
    # Packages named grpc.* would hide the library: these are read as descriptors, not as modules.
    subprocess.run(['protoc', f'-I{ROOT}/proto', '--include_imports', f'--descriptor_set_out={folder}/{descriptors}',
                    'grpc/health/v1/health.proto', 'grpc/reflection/v1/reflection.proto',
                    'grpc/reflection/v1alpha/reflection.proto'], cwd=f'{ROOT}/proto', check=True)
    sys.path.insert(0, folder)
    os.environ['WEIR_E2E_STUBS'] = folder
    return os.path.join(folder, descriptors)


DESCRIPTORS = _make_stubs()
pb = importlib.import_module('waymaker.streams_pb2')
rpc = importlib.import_module('waymaker.streams_pb2_grpc')
types = importlib.import_module('weir.v1.types_pb2')
admin_pb = importlib.import_module('weir.v1.admin_pb2')
admin_rpc = importlib.import_module('weir.v1.admin_pb2_grpc')
broker_pb = importlib.import_module('weir.v1.broker_pb2')
broker_rpc = importlib.import_module('weir.v1.broker_pb2_grpc')

SERVICE = '/waymaker.streams.WaymakerStreamsService/'


def seed():
    chosen = int(os.environ.get('WEIR_SEED', random.SystemRandom().getrandbits(32)))
    print(f'WEIR_SEED={chosen}', flush=True)
    return chosen


def connect(address, *more):
    """A channel with a connection of its own; `more` are gRPC's options."""
    # The least backoff is also how long a connection may take: a busy machine needs its time.
    options = [('grpc.use_local_subchannel_pool', 1), ('grpc.max_receive_message_length', -1),
               ('grpc.max_send_message_length', -1), ('grpc.enable_http_proxy', 0),
               ('grpc.initial_reconnect_backoff_ms', 50), ('grpc.min_reconnect_backoff_ms', 20_000),
               ('grpc.max_reconnect_backoff_ms', 200)]
    return grpc.insecure_channel(address, options=[*options, *more])


class Broker:
    """One weir-server process. start() returns when it serves; the ports stay the same over restarts."""

    def __init__(self, *arguments, data=None):
        self.arguments = list(arguments)
        self.folder = tempfile.mkdtemp(prefix='weir-e2e-')
        self.data = data or os.path.join(self.folder, 'data')
        self.log_path = os.path.join(self.folder, 'stderr.log')
        self.address = '127.0.0.1:0'
        self.admin = '127.0.0.1:0'
        self.process = None
        self.ready_line = None
        self.channels = []

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.discard()

    def start(self):
        command = [SERVER, '--listen', self.address, '--admin', self.admin, '--data', self.data, *self.arguments]
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        watchdog = threading.Timer(START_SECONDS_MAX, self.process.kill)
        watchdog.start()
        self.ready_line = self.process.stdout.readline()
        watchdog.cancel()
        match = re.fullmatch(r'weir-server ready listen=(\S+) admin=(\S+) data=(.+)\n', self.ready_line)
        if not match:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'no ready line but {self.ready_line!r} from {command}:\n{self.log()}')
        self.address, self.admin = match[1], match[2]
        return self

    def log(self):
        with open(self.log_path, encoding='utf-8', errors='replace') as file:
            return file.read()

    def channel(self):
        channel = connect(self.address)
        self.channels.append(channel)
        return channel

    def close_channels(self):
        for channel in self.channels:
            channel.close()
        self.channels.clear()

    def streams(self):
        return rpc.WaymakerStreamsServiceStub(self.channel())

    def admin_calls(self):
        return admin_rpc.AdminStub(self.channel())

    def broker_calls(self):
        return broker_rpc.BrokerStub(self.channel())

    def stop(self, sign=signal.SIGTERM):
        """Asks it to stop and returns its exit code."""
        self.process.send_signal(sign)
        return self.wait()

    def wait(self):
        try:
            code = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f'the broker did not stop within {STOP_SECONDS_MAX} s:\n{self.log()[-4000:]}') from None
        self.process.stdout.close()
        return code

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def restart(self):
        code = self.stop()
        assert code == 0, f'exit code {code}:\n{self.log()[-4000:]}'
        return self.start()

    def resident_bytes(self):
        with open(f'/proc/{self.process.pid}/status', encoding='ascii') as file:
            return int(re.search(r'VmRSS:\s+(\d+) kB', file.read())[1]) * 1024

    def discard(self):
        self.close_channels()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class BrokerTest(unittest.TestCase):
    """Tests of a class share one broker; it must still be there, and stop cleanly, after the last one."""
    arguments = []

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(*cls.arguments)
        cls.addClassCleanup(cls.broker.discard)
        cls.broker.start()
        cls.stub = cls.broker.streams()
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        if cls.broker.process.poll() is not None:
            raise AssertionError(f'the broker ended by itself:\n{cls.broker.log()[-4000:]}')
        code = cls.broker.stop()
        if code != 0:
            raise AssertionError(f'the broker stopped with {code}:\n{cls.broker.log()[-4000:]}')

    def fresh_name(self, stem='s'):
        type(self).count += 1
        return f'{stem}{type(self).count}'

    def ok(self, response):
        self.assertEqual((response.success, response.result_code), (True, 'ok'), response.message)
        return response

    def refused(self, response, code, *words):
        """Refused with this code and a message that has all the words."""
        self.assertEqual((response.success, response.result_code), (False, code), response.message)
        self.assertTrue(response.message, 'a refusal says why')
        for word in words:
            self.assertIn(word, response.message)
        return response

    def create(self, name=None, **config):
        name = name or self.fresh_name()
        self.ok(self.stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=name, **config))))
        return name

    def publish(self, stream, subject='a', payload=b'x', **more):
        return self.stub.Publish(pb.PublishRequest(stream=stream, subject=subject, payload=payload, **more))

    def info(self, stream):
        return self.ok(self.stub.GetStreamInfo(pb.GetStreamInfoRequest(name=stream)))

    def consumer(self, stream, name='c', **config):
        request = pb.CreateConsumerRequest(stream=stream, config=pb.ConsumerConfigPb(name=name, **config))
        self.ok(self.stub.CreateConsumer(request))
        return name

    def fetch(self, stream, consumer='c', batch=1000):
        request = pb.FetchRequest(stream=stream, consumer=consumer, batch_size=batch)
        return list(self.ok(self.stub.Fetch(request)).messages)

    def ack(self, stream, seq, consumer='c'):
        return self.ok(self.stub.Ack(pb.AckRequest(stream=stream, consumer=consumer, seq=seq)))

    def read_back(self, stream):
        """All payloads, in order, by a consumer of its own."""
        self.consumer(stream, 'reader')
        payloads = []
        while batch := self.fetch(stream, 'reader'):
            payloads += [m.payload for m in batch]
            for message in batch:
                self.ack(stream, message.seq, 'reader')
        return payloads

    def scan(self, stream, subject='a', **more):
        request = pb.ScanExactAtSubjectRequest(stream=stream, subject=subject, **more)
        return list(self.ok(self.stub.ScanExactAtSubject(request)).messages)


def eventually(check, seconds=15):
    """Until check() is true; for what a background sweep brings about."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.05)
    return check()


def unary(channel, method, request_bytes, timeout=10):
    """A call with bytes of our own making."""
    return channel.unary_unary(method)(request_bytes, timeout=timeout)
