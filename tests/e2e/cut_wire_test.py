#!/usr/bin/python3
"""A connection of the fast lane that is cut, or garbled outside the frames, at any byte of what the client sends: atomic
frames are stored as a whole or not at all, and the broker goes on. (Garbled frames: fast_lane_test.py.)"""
import random
import socket
import struct
import unittest

from weir_e2e import LONG, BrokerTest, broker_pb, seed

RECORDS = 5
FRAMES = 2
STEP = 1 if LONG else 2


def h2_frame(kind, flags, stream, payload):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def literal(name, value):
    """A header field as HPACK has it without any table."""
    return b'\0' + bytes([len(name)]) + name + bytes([len(value)]) + value


def conversation(stream, tag):
    """What a client sends that publishes FRAMES atomic frames, and which bytes of it are the frames themselves."""
    headers = [(b':method', b'POST'), (b':scheme', b'http'), (b':path', b'/weir.v1.Broker/Publish'), (b':authority', b'x'),
               (b'te', b'trailers'), (b'content-type', b'application/grpc')]
    sent = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + h2_frame(4, 0, 0, b'')
    sent += h2_frame(1, 4, 1, b''.join(literal(*one) for one in headers))
    inside = set()
    for number in range(1, FRAMES + 1):
        frame = broker_pb.PublishBatch(stream=stream, frame=number, atomic=True)
        for index in range(RECORDS):
            frame.messages.add(subject='a', payload=f'{tag}/{number}/{index}'.encode())
        message = frame.SerializeToString()
        data = h2_frame(0, 1 if number == FRAMES else 0, 1, struct.pack('>BI', 0, len(message)) + message)
        inside |= set(range(len(sent) + len(data) - len(message), len(sent) + len(data)))
        sent += data
    return sent, inside


def ended(answer):
    """Whether the server's frames hold the end of the call."""
    at = 0
    while at + 9 <= len(answer):
        size, kind, flags = int.from_bytes(answer[at:at + 3], 'big'), answer[at + 3], answer[at + 4]
        if kind == 1 and flags & 1:
            return True
        at += 9 + size
    return False


class CutWire(BrokerTest):
    def send(self, data, reset=False, patience=0.0):
        """True if the call was answered to its end, within so many seconds."""
        host, port = self.broker.address.rsplit(':', 1)
        answer = b''
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            try:
                connection.sendall(data)
                if patience:
                    connection.settimeout(patience)
                    while not ended(answer):
                        got = connection.recv(1 << 16)
                        if not got:
                            break
                        answer += got
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass
        return ended(answer)

    def stored(self, stream):
        """The payloads, by connection and frame."""
        found = {}
        for message in self.scan(stream, limit=10_000):
            tag, number, index = message.payload.decode().split('/')
            found.setdefault((tag, int(number)), []).append(int(index))
        return found

    def last(self, stream):
        return self.info(stream).stats.last_seq

    def test_a_connection_cut_at_any_byte(self):
        chance = random.Random(seed())
        stream = self.create()
        whole, _ = conversation(stream, '0000')
        ends = [at + 1 for at in range(len(whole)) if whole[:at + 1].endswith(f'/{RECORDS - 1}'.encode())]
        self.assertEqual(len(ends), FRAMES)
        cuts = {}
        for at in list(range(0, len(whole), STEP)) + [len(whole)]:
            sent, _ = conversation(stream, f'{at:04}')
            self.assertEqual(len(sent), len(whole))
            cuts[f'{at:04}'] = at
            self.send(sent[:at], reset=chance.randrange(2) == 0, patience=chance.choice([0, 0.01]))
        # What came is handled at some time; a connection that is answered comes after those before it.
        sent, _ = conversation(stream, 'last')
        self.assertTrue(self.send(sent, patience=20))
        found = self.stored(stream)
        self.assertIn(('last', FRAMES), found)
        for (tag, number), indexes in found.items():
            self.assertEqual(indexes, list(range(RECORDS)), f'{tag}: frame {number}')
            if tag in cuts:
                self.assertGreaterEqual(cuts[tag], ends[number - 1], 'a frame that was not sent to its end')
        self.assertEqual(self.last(stream), RECORDS * len(found))

    def test_a_connection_garbled_outside_its_frames(self):
        chance = random.Random(seed())
        stream = self.create()
        whole, inside = conversation(stream, 'good')
        for at in range(len(whole)):
            if at in inside or at % STEP != 0:
                continue
            sent = bytearray(whole)
            sent[at] ^= 1 << chance.randrange(8)
            self.send(bytes(sent), patience=0.03)
        self.assertTrue(self.send(whole, patience=20))
        found = self.scan(stream, limit=10_000)
        # A length that is garbled may end a frame where one of its records ends: then that is the frame.
        indexes = [int(message.payload.decode().rsplit('/', 1)[1]) for message in found]
        for before, index in zip([-1] + indexes, indexes):
            self.assertIn(index, (0, before + 1))
        self.assertEqual(indexes[-RECORDS * FRAMES:], list(range(RECORDS)) * FRAMES)
        self.assertEqual(self.last(stream), len(indexes))


if __name__ == '__main__':
    unittest.main()
