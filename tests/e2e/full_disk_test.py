#!/usr/bin/python3
"""A full disk: publishes are refused with disk_full, reads and acknowledgements go on, it resumes by itself.

Needs root for a small file system of its own; skipped without.
"""
import os
import subprocess
import tempfile
import time
import unittest

import grpc

from weir_e2e import SMALL_STORAGE, Broker, eventually, pb

FILE_SYSTEM_BYTES = 96 << 20
BALLAST_BYTES = 48 << 20
RESERVE_BYTES = 4 << 20


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='weir-e2e-disk-')
        self.addCleanup(os.rmdir, self.folder)
        mounted = os.geteuid() == 0 and subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', f'size={FILE_SYSTEM_BYTES}', 'tmpfs', self.folder], check=False,
            capture_output=True).returncode == 0
        if not mounted:
            self.skipTest('mounting a small file system needs root')
        self.addCleanup(subprocess.run, ['umount', self.folder], check=False)

    def publish(self, stub, size=60_000):
        try:
            return stub.Publish(pb.PublishRequest(stream='s', subject='a', payload=os.urandom(size)), timeout=30)
        except grpc.RpcError as failure:
            self.fail(f'{failure.code()}: {failure.details()}')

    def test_a_full_disk_is_clean_and_temporary(self):
        ballast = os.path.join(self.folder, 'ballast')
        with open(ballast, 'wb') as file:
            file.write(bytes(BALLAST_BYTES))
        arguments = [*SMALL_STORAGE, '--shards', '1', '--disk-reserve-bytes', str(RESERVE_BYTES)]
        with Broker(*arguments, data=os.path.join(self.folder, 'data')) as broker:
            stub = broker.streams()
            self.assertTrue(stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name='s'))).success)
            self.assertTrue(stub.CreateConsumer(pb.CreateConsumerRequest(
                stream='s', config=pb.ConsumerConfigPb(name='c', ack_wait_ms=600_000))).success)
            acked = []
            refused = None
            for _ in range(2 * FILE_SYSTEM_BYTES // 60_000):
                answer = self.publish(stub)
                if not answer.success:
                    refused = answer
                    break
                acked.append(answer.seq)
            self.assertIsNotNone(refused, 'the disk never filled up')
            self.assertEqual(refused.result_code, 'disk_full', refused.message)
            self.assertTrue(refused.message)
            self.assertEqual(acked, list(range(1, len(acked) + 1)))

            taken = []
            while batch := stub.Fetch(pb.FetchRequest(stream='s', consumer='c', batch_size=50), timeout=30).messages:
                for message in batch:
                    self.assertTrue(stub.Ack(pb.AckRequest(stream='s', consumer='c', seq=message.seq), timeout=30).success)
                    taken.append(message.seq)
            self.assertEqual(taken, acked)
            self.assertEqual(self.publish(stub).result_code, 'disk_full')

            os.unlink(ballast)
            self.assertTrue(eventually(lambda: self.publish(stub, 100).success, 30), 'it did not resume by itself')
            time.sleep(0.1)
            self.assertEqual(broker.stop(), 0, broker.log()[-3000:])
            broker.start()
            stub = broker.streams()
            info = stub.GetStreamInfo(pb.GetStreamInfoRequest(name='s'), timeout=30)
            self.assertGreaterEqual(info.stats.last_seq, len(acked) + 1)
            self.assertEqual(info.stats.msg_count, info.stats.last_seq)
            state = stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream='s', consumer='c'), timeout=30).consumer
            self.assertEqual(state.ack_floor, len(acked))
            self.assertEqual(broker.stop(), 0)


if __name__ == '__main__':
    unittest.main()
