#!/usr/bin/python3
"""Bad input: a clear error that names the field and the limit, state unchanged, the server serving on."""
import random
import socket
import unittest
import warnings

import grpc
from google.protobuf.message import DecodeError

from weir_e2e import SERVICE, BrokerTest, admin_pb, broker_pb, pb, seed

# Names that nothing may have, and what is wrong with each in the answer's words.
BAD_NAMES = {
    '': 'empty',
    'x' * 256: '255',
    '\u2603' * 86: '255',  # 258 bytes
    'a b': 'space',
    'a/b': '/',
    '/etc/passwd': '/',
    '../x': '/',
    '..': '..',
    '.': '.',
    'a\\b': '\\',
    'a*': '*',
    'a>': '>',
    'a\0b': 'control',
    'a\nb': 'control',
    '\x7f': 'control',
    '\u0085': 'control',
}
# Not literal valid subjects.
BAD_SUBJECTS = ['', '.', 'a.', '.a', 'a..b', 'a.*', '*', '>', 'a.>', 'a.*.b', 'a b', 'a\tb', 'a\0b', 'a\nb', 'x' * 70_000]
BAD_FILTERS = ['', '.', 'a.', '.a', 'a..b', '>.a', 'a.>.b', 'a b', 'a\0b', 'x' * 70_000]


def raw_string(number, value):
    """A length-delimited protobuf field with any bytes."""
    size = len(value)
    encoded = bytearray([number << 3 | 2])
    while size >= 0x80:
        encoded.append(size & 0x7f | 0x80)
        size >>= 7
    return bytes(encoded) + bytes([size]) + value


class BadInput(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.channel = cls.broker.channel()
        cls.good = 'good'
        cls.stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=cls.good)))
        cls.stub.Publish(pb.PublishRequest(stream=cls.good, subject='a', payload=b'x'))
        cls.stub.CreateConsumer(pb.CreateConsumerRequest(stream=cls.good, config=pb.ConsumerConfigPb(name='c')))
        cls.before = cls.state()

    @classmethod
    def state(cls):
        """All that a refused request could have changed."""
        names = sorted(cls.stub.ListStreams(pb.ListStreamsRequest()).names)
        return (names, [cls.stub.GetStreamInfo(pb.GetStreamInfoRequest(name=n)) for n in names],
                [cls.stub.ListConsumers(pb.ListConsumersRequest(stream=n)) for n in names],
                [cls.stub.ListSubjectsByPrefix(pb.ListSubjectsByPrefixRequest(stream=n)) for n in names])

    def tearDown(self):
        self.assertEqual(self.state(), self.before, 'a refused request changed something')

    def status(self, code, call, *words):
        with self.assertRaises(grpc.RpcError) as refused:
            call()
        self.assertEqual(refused.exception.code(), code, refused.exception.details())
        for word in words:
            self.assertIn(word, refused.exception.details())

    def test_names_of_streams_to_create(self):
        for name, word in BAD_NAMES.items():
            with self.subTest(name=name[:20]):
                answer = self.stub.CreateStream(pb.CreateStreamRequest(config=pb.StreamConfigPb(name=name)))
                self.refused(answer, 'invalid_config', 'name', word)

    def test_names_of_streams_to_use(self):
        for name in BAD_NAMES:
            with self.subTest(name=name[:20]):
                for answer in [
                        self.stub.GetStreamInfo(pb.GetStreamInfoRequest(name=name)),
                        self.stub.DeleteStream(pb.DeleteStreamRequest(name=name)),
                        self.stub.UpdateStream(pb.UpdateStreamRequest(name=name, max_msgs=1)),
                        self.publish(name),
                        self.stub.Fetch(pb.FetchRequest(stream=name, consumer='c', batch_size=1)),
                        self.stub.Ack(pb.AckRequest(stream=name, consumer='c', seq=1)),
                        self.stub.CreateConsumer(pb.CreateConsumerRequest(stream=name, config=pb.ConsumerConfigPb(name='d'))),
                        self.stub.ListConsumers(pb.ListConsumersRequest(stream=name)),
                        self.stub.ReadLatestAtSubject(pb.ReadLatestAtSubjectRequest(stream=name, subject='a')),
                        self.stub.ListSubjectsByPrefix(pb.ListSubjectsByPrefixRequest(stream=name)),
                        self.stub.ScanExactAtSubject(pb.ScanExactAtSubjectRequest(stream=name, subject='a'))]:
                    self.refused(answer, 'no_such_stream')

    def test_names_of_consumers(self):
        for name, word in BAD_NAMES.items():
            with self.subTest(name=name[:20]):
                create = pb.CreateConsumerRequest(stream=self.good, config=pb.ConsumerConfigPb(name=name))
                self.refused(self.stub.CreateConsumer(create), 'invalid_config', 'name', word)
                for answer in [
                        self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=self.good, consumer=name)),
                        self.stub.GetConsumerInfo(pb.GetConsumerInfoRequest(stream=self.good, consumer=name)),
                        self.stub.Fetch(pb.FetchRequest(stream=self.good, consumer=name, batch_size=1)),
                        self.stub.Ack(pb.AckRequest(stream=self.good, consumer=name, seq=1))]:
                    self.refused(answer, 'no_such_consumer')

    def test_subjects_to_publish_at(self):
        for subject in BAD_SUBJECTS:
            with self.subTest(subject=subject[:20]):
                self.refused(self.publish(self.good, subject), 'subject_rejected', 'subject')

    def test_subjects_to_read(self):
        """A pattern where a literal is needed is refused, or has no messages; it never matches."""
        for subject in BAD_SUBJECTS:
            with self.subTest(subject=subject[:20]):
                latest = self.stub.ReadLatestAtSubject(pb.ReadLatestAtSubjectRequest(stream=self.good, subject=subject))
                self.assertFalse(latest.HasField('latest'))
                scan = self.stub.ScanExactAtSubject(pb.ScanExactAtSubjectRequest(stream=self.good, subject=subject))
                self.assertEqual(len(scan.messages), 0)

    def test_filters_of_streams_and_consumers(self):
        for pattern in BAD_FILTERS:
            with self.subTest(pattern=pattern[:20]):
                config = pb.StreamConfigPb(name='new', subjects_filter=['fine.*', pattern])
                self.refused(self.stub.CreateStream(pb.CreateStreamRequest(config=config)), 'invalid_config', 'subjects_filter')
                if pattern:
                    create = pb.CreateConsumerRequest(stream=self.good,
                                                      config=pb.ConsumerConfigPb(name='d', filter_subject=pattern))
                    self.refused(self.stub.CreateConsumer(create), 'invalid_config', 'filter_subject')
        many = pb.StreamConfigPb(name='new', subjects_filter=[f'a.{n}' for n in range(10_000)])
        self.refused(self.stub.CreateStream(pb.CreateStreamRequest(config=many)), 'invalid_config', 'subjects_filter')

    def test_numbers_that_make_no_sense(self):
        top = 2**64 - 1
        limits = pb.LimitsRetention
        for word, config in {
                'block_size': pb.StreamConfigPb(name='new', block_size=top),
                'max_age_ms': pb.StreamConfigPb(name='new', retention=pb.Retention(limits=limits(max_age_ms=top))),
                'durability': pb.StreamConfigPb(name='new', durability=17),
                'ephemeral': pb.StreamConfigPb(name='new', durability=3, ephemeral=True),
                'cluster': pb.StreamConfigPb(name='new', durability=5),
                'sources': pb.StreamConfigPb(name='new', sources=[
                    pb.StreamSourceConfigPb(source_stream='good', start_time_ms=5)]),
                'metadata': pb.StreamConfigPb(name='new', metadata={str(n): 'x' for n in range(1000)})}.items():
            with self.subTest(field=word):
                self.refused(self.stub.CreateStream(pb.CreateStreamRequest(config=config)), 'invalid_config', word)
        self.refused(self.stub.CreateStream(pb.CreateStreamRequest()), 'invalid_config')
        self.refused(self.stub.UpdateStream(pb.UpdateStreamRequest(name=self.good, max_age_ms=top)), 'invalid_config',
                     'max_age_ms')
        for word, config in {
                'ack_wait_ms': pb.ConsumerConfigPb(name='d', ack_wait_ms=top),
                'delivery_policy': pb.ConsumerConfigPb(name='d', delivery_policy=pb.DeliveryPolicyPb(type=9)),
                'start_time_ms': pb.ConsumerConfigPb(name='d', delivery_policy=pb.DeliveryPolicyPb(
                    type=pb.DELIVERY_BY_START_TIME, start_time_ms=-1)),
                'dead_letter_subject': pb.ConsumerConfigPb(name='d', dead_letter_subject='a.*')}.items():
            with self.subTest(field=word):
                create = pb.CreateConsumerRequest(stream=self.good, config=config)
                self.refused(self.stub.CreateConsumer(create), 'invalid_config', word)
        self.refused(self.stub.CreateConsumer(pb.CreateConsumerRequest(stream=self.good)), 'invalid_config')

    def test_numbers_at_their_ends_are_taken(self):
        """Extremes that do have a meaning: no overflow, no wait, no crash."""
        top = 2**64 - 1
        self.assertEqual(self.refused(self.publish(self.good, expected_last_seq=top), 'wrong_revision').seq, 1)
        self.assertEqual(len(self.stub.ScanExactAtSubject(pb.ScanExactAtSubjectRequest(
            stream=self.good, subject='a', from_seq=top, limit=top)).messages), 0)
        self.ok(self.stub.Ack(pb.AckRequest(stream=self.good, consumer='c', seq=top)))
        self.ok(self.stub.Ack(pb.AckRequest(stream=self.good, consumer='c', seq=0)))
        policy = pb.DeliveryPolicyPb(type=pb.DELIVERY_BY_START_SEQ, start_seq=top)
        self.consumer(self.good, 'late', delivery_policy=policy, ack_wait_ms=1, max_deliver=2**32 - 1)
        self.assertEqual(self.fetch(self.good, 'late', 2**32 - 1), [])
        self.ok(self.stub.DeleteConsumer(pb.DeleteConsumerRequest(stream=self.good, consumer='late')))

    def test_times_before_1970(self):
        for time in (-1, -2**63):
            answer = self.publish(self.good, ts_ms=time)
            self.assertFalse(answer.success)
            self.assertIn('ts_ms', answer.message)

    def test_oversize_payloads_and_headers(self):
        self.refused(self.publish(self.good, payload=bytes((8 << 20) + 1)), 'oversize', 'payload', str(8 << 20))
        many = [pb.MessageHeader(key='k', value='v')] * 65
        self.refused(self.publish(self.good, headers=many), 'oversize', 'headers', '64')
        long = [pb.MessageHeader(key='k', value='v' * (17 << 10))]
        self.refused(self.publish(self.good, headers=long), 'oversize', 'header', str(16 << 10))
        unnamed = self.publish(self.good, headers=[pb.MessageHeader(value='v')])
        self.assertFalse(unnamed.success)
        self.assertIn('headers[0].key', unnamed.message)
        self.status(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: self.publish(self.good, payload=bytes(64 << 20)))

    def test_text_that_is_not_utf8(self):
        bad = b'a\xff\xfe'
        stream = raw_string(1, b'good')
        for method, request in {
                'CreateStream': raw_string(1, raw_string(1, bad)),
                'GetStreamInfo': raw_string(1, bad),
                'DeleteStream': raw_string(1, bad),
                'UpdateStream': raw_string(1, bad),
                'Publish': raw_string(1, bad) + raw_string(2, b'a'),
                'Fetch': stream + raw_string(2, bad),
                'Ack': stream + raw_string(2, bad),
                'CreateConsumer': stream + raw_string(2, raw_string(1, bad)),
                'ReadLatestAtSubject': stream + raw_string(2, bad),
                'ScanExactAtSubject': stream + raw_string(2, bad),
                'ListSubjectsByPrefix': stream + raw_string(2, bad)}.items():
            with self.subTest(method=method):
                self.refused_bytes(method, request)
        for request in [stream + raw_string(2, bad),
                        stream + raw_string(2, b'a') + raw_string(4, raw_string(1, bad)),
                        stream + raw_string(2, b'a') + raw_string(4, raw_string(1, b'k') + raw_string(2, bad))]:
            self.refused_bytes('Publish', request)

    def refused_bytes(self, method, request):
        """Refused by status, or by an answer that says no and why."""
        try:
            answer = self.channel.unary_unary(SERVICE + method)(request, timeout=10)
        except grpc.RpcError as refused:
            self.assertEqual(refused.code(), grpc.StatusCode.INVALID_ARGUMENT, refused.details())
            self.assertTrue(refused.details())
            return
        answer = getattr(pb, f'{method}Response').FromString(answer)
        self.assertFalse(answer.success, f'{method} took it')
        self.assertTrue(answer.message)

    def test_garbage_instead_of_requests(self):
        chance = random.Random(seed())
        methods = ['CreateStream', 'DeleteStream', 'GetStreamInfo', 'UpdateStream', 'Publish', 'Fetch', 'Ack', 'CreateConsumer',
                   'DeleteConsumer', 'ListConsumers', 'GetConsumerInfo', 'ReadLatestAtSubject', 'ListSubjectsByPrefix',
                   'ScanExactAtSubject', 'Nak', 'PutObject', 'TransferStream']
        cases = [b'\xff', b'\x0a', b'\x0a\xff\xff\xff\xff\x0f', b'\x0b' * 200, b'\0', b'\x08' + b'\x80' * 20,
                 b'\x0a\x05good', b'{"name": "x"}', b'\x12' * 1000]
        cases += [chance.randbytes(chance.randrange(1, 200)) for _ in range(300)]
        for case in cases:
            method = chance.choice(methods)
            try:
                answer = self.channel.unary_unary(SERVICE + method)(case, timeout=10)
                # Garbage may happen to be a well-formed request: for a stream that is not there.
                self.assertIn(getattr(pb, f'{method}Response').FromString(answer).success, (False,), f'{method}({case!r})')
            except grpc.RpcError as refused:
                self.assertIn(refused.code(), (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED,
                                               grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INTERNAL),
                              f'{method}({case!r}): {refused.details()}')

    def test_garbage_instead_of_administration(self):
        chance = random.Random(seed())
        services = [admin_pb.DESCRIPTOR.services_by_name['Admin'], broker_pb.DESCRIPTOR.services_by_name['Broker']]
        methods = [method for service in services for method in service.methods if method.name not in ('Publish', 'Consume')]
        answers = {**vars(admin_pb), **vars(broker_pb)}
        cases = [b'\xff', b'\x0a', b'\x0a\xff\xff\xff\xff\x0f', b'\x0b' * 200, b'\0', b'\x08' + b'\x80' * 20, b'',
                 b'\x0a\x05\xff\xff\xff\xff\xff', b'\x12' * 1000]
        cases += [chance.randbytes(chance.randrange(1, 200)) for _ in range(50)]
        for method in methods:
            for case in cases:
                try:
                    answer = self.channel.unary_unary(f'/{method.containing_service.full_name}/{method.name}')(case, timeout=10)
                    answer = answers[method.output_type.name].FromString(answer)
                    self.assertFalse(answer.success, f'{method.name}({case!r})')
                    self.assertTrue(answer.message)
                except grpc.RpcError as refused:
                    self.assertEqual(refused.code(), grpc.StatusCode.INVALID_ARGUMENT, f'{method.name}({case!r})')
        for case in cases:
            with self.assertRaises(grpc.RpcError) as refused:
                list(self.channel.unary_stream(SERVICE + 'Subscribe')(case, timeout=10))
            self.assertIn(refused.exception.code(), (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), case)

    def parses(self, case):
        """Python's protobuf stops at a stray end of a group without failing: what follows must be read too."""
        more = raw_string(9, b'more')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            try:
                whole = pb.PublishRequest().MergeFromString(case) == len(case)
                return whole and pb.PublishRequest().MergeFromString(case + more) == len(case + more)
            except (DecodeError, UnicodeError):
                return False

    def test_a_publish_of_mutated_bytes_is_stored_or_refused(self):
        """The hand-written decoder of Publish and protobuf agree on what is a message."""
        chance = random.Random(seed())
        whole = pb.PublishRequest(stream='nobody', subject='a.b', payload=b'payload', ts_ms=5, expected_last_seq=3,
                                  message_id='order-1', ttl_ms=70_000, deliver_at_ms=1_800_000_000_000,
                                  headers=[pb.MessageHeader(key='k', value='v')]).SerializeToString()
        for _ in range(2000):
            case = bytearray(whole)
            for _ in range(chance.randrange(1, 4)):
                action = chance.randrange(3)
                at = chance.randrange(len(case)) if case else 0
                if action == 0 and case:
                    case[at] = chance.randrange(256)
                elif action == 1 and case:
                    del case[at]
                else:
                    case.insert(at, chance.randrange(256))
            parses = self.parses(bytes(case))
            try:
                answer = self.channel.unary_unary(SERVICE + 'Publish')(bytes(case), timeout=10)
                self.assertFalse(pb.PublishResponse.FromString(answer).success)
            except grpc.RpcError as refused:
                self.assertEqual(refused.code(), grpc.StatusCode.INVALID_ARGUMENT, refused.details())
                self.assertFalse(parses, f'refused a message that protobuf takes: {bytes(case)!r}: {refused.details()}')

    def test_garbage_instead_of_http2(self):
        host, port = self.broker.address.rsplit(':', 1)
        admin_host, admin_port = self.broker.admin.rsplit(':', 1)
        chance = random.Random(seed())
        for target in [(host, int(port)), (admin_host, int(admin_port))]:
            for garbage in [b'', b'GET / HTTP/1.1\r\n\r\n', b'\0' * 10_000, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\xff' * 1000,
                            chance.randbytes(5000)]:
                with socket.create_connection(target, timeout=5) as connection:
                    connection.settimeout(0.2)
                    try:
                        connection.sendall(garbage)
                        connection.recv(1000)
                    except OSError:
                        pass
        self.assertEqual(self.info(self.good).stats.msg_count, 1)

    def test_an_update_of_an_unknown_stream(self):
        self.refused(self.stub.UpdateStream(pb.UpdateStreamRequest(name='unknown', max_msgs=1)), 'no_such_stream', 'unknown')

    def test_requests_larger_than_the_transport_takes(self):
        self.status(grpc.StatusCode.RESOURCE_EXHAUSTED,
                    lambda: self.stub.GetStreamInfo(pb.GetStreamInfoRequest(name='x' * (64 << 20))))

    def test_metadata_larger_than_the_transport_takes(self):
        request = pb.GetStreamInfoRequest(name=self.good)
        with self.assertRaises(grpc.RpcError):
            self.stub.GetStreamInfo(request, metadata=[(f'k{n}', 'v' * 1000) for n in range(100)], timeout=10)
        self.ok(self.broker.streams().GetStreamInfo(request, timeout=10))


if __name__ == '__main__':
    unittest.main()
