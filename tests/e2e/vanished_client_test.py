#!/usr/bin/python3
"""A client that vanishes without closing its connection (no FIN, no RST) is noticed by keepalive.

To the broker that is a peer that does not answer any more, not even a ping: here a TCP relay stops reading and
forwarding, and keeps both of its sockets open.
"""
import select
import socket
import threading
import time
import unittest
import urllib.request

from delivery_calls import DeliveryTest
from weir_e2e import connect, eventually, pb, rpc

KEEPALIVE_MS = 1_000
TIMEOUT_MS = 500
# Silence, the wait for the ping's answer, and as much again for a busy machine.
NOTICED_SECONDS_MAX = 2 * (KEEPALIVE_MS + TIMEOUT_MS) / 1000 + 5
CONNECTIONS_MAX = 12
VANISHING = 8
LARGE = b'x' * (64 << 10)


class Relay:
    """Forwards between clients and the broker until it vanishes."""

    def __init__(self, target):
        host, port = target.rsplit(':', 1)
        self.target = (host, int(port))
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.gone = threading.Event()
        self.pairs = {}
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.gone.is_set():
            ready, _, _ = select.select([self.listener, *self.pairs], [], [], 0.05)
            if self.gone.is_set():
                return
            for one in ready:
                self.accept() if one is self.listener else self.forward(one)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(self.target)
        self.pairs[client] = server
        self.pairs[server] = client

    def forward(self, source):
        other = self.pairs[source]
        try:
            some = source.recv(1 << 16)
            other.sendall(some)
        except OSError:
            some = b''
        if not some:
            for one in (source, other):
                del self.pairs[one]
                one.close()

    def vanish(self):
        self.gone.set()
        self.thread.join()

    def close(self):
        self.vanish()
        for one in (self.listener, *self.pairs):
            one.close()


class VanishedClient(DeliveryTest):
    arguments = ['--shards', '1', '--keepalive-ms', str(KEEPALIVE_MS), '--keepalive-timeout-ms', str(TIMEOUT_MS),
                 '--connections-max', str(CONNECTIONS_MAX), '--connections-per-address-max', str(CONNECTIONS_MAX)]

    def metric(self, name):
        with urllib.request.urlopen(f'http://{self.broker.admin}/metrics', timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(' ', 1)[1]) for line in lines
                   if line.startswith((name + ' ', name + '{')))

    def relay(self):
        relay = Relay(self.broker.address)
        self.addCleanup(relay.close)
        return relay

    def client(self, address):
        channel = connect(address)
        self.addCleanup(channel.close)
        return rpc.WaymakerStreamsServiceStub(channel)

    def take(self, stub, stream, into):
        """Subscribes and reads in the background; returns once the subscription waits for more or has something."""
        call = stub.Subscribe(pb.SubscribeRequest(stream=stream, consumer='c', batch_size=16))
        self.addCleanup(call.cancel)

        def read():
            try:
                for event in call:
                    into.append(event.message.seq)
            except Exception:  # pylint: disable=broad-except
                pass  # cancelled, or the relay is gone

        threading.Thread(target=read, daemon=True).start()
        return call

    def waiting(self, stream):
        return self.state(stream).waiting

    def test_its_messages_go_to_another_worker(self):
        stream = self.queue()
        self.consumer(stream, ack_wait_ms=2_000, max_deliver=1_000)
        relay = self.relay()
        lost = []
        self.take(self.client(relay.address), stream, lost)
        self.assertTrue(eventually(lambda: self.waiting(stream) == 1))
        self.fill(stream, 10)
        self.assertTrue(eventually(lambda: len(lost) >= 10))
        relay.vanish()
        self.fill(stream, 10)  # handed to the vanished one: nobody knows yet
        begun = time.monotonic()
        self.assertTrue(eventually(lambda: self.waiting(stream) == 0, NOTICED_SECONDS_MAX))
        print(f'noticed after {time.monotonic() - begun:.1f} s', flush=True)
        found = []
        self.take(self.stub, stream, found)
        self.assertTrue(eventually(lambda: set(found) == set(range(1, 21)), 15), found)
        self.assertEqual(len(found), len(set(found)), 'nothing twice to the one worker that is left, within its wait')
        for seq in sorted(set(found)):
            self.ack(stream, seq)
        self.assertEqual(self.state(stream).pending, 0)

    def test_one_that_was_quiet_for_long_is_noticed_too(self):
        """Many pings are answered before, while no message is sent: gRPC must not have given up pinging."""
        stream = self.queue()
        self.consumer(stream)
        relay = self.relay()
        self.take(self.client(relay.address), stream, [])
        self.assertTrue(eventually(lambda: self.waiting(stream) == 1))
        time.sleep(6 * KEEPALIVE_MS / 1000)
        self.assertEqual(self.waiting(stream), 1, 'it is alive')
        relay.vanish()
        self.assertTrue(eventually(lambda: self.waiting(stream) == 0, NOTICED_SECONDS_MAX))

    def test_their_connection_slots_and_memory_are_freed(self):
        before = self.metric('weir_connections')
        first_resident = 0
        for round_number in range(4):
            stream = self.create()
            self.consumer(stream, ack_wait_ms=600_000)
            relay = self.relay()
            for _ in range(VANISHING):
                self.take(self.client(relay.address), stream, [])
            self.assertTrue(eventually(lambda: self.waiting(stream) == VANISHING))
            self.assertEqual(self.metric('weir_connections'), before + VANISHING)
            relay.vanish()
            for _ in range(VANISHING * 4):
                self.ok(self.publish(stream, payload=LARGE))
            self.assertTrue(eventually(lambda: self.metric('weir_connections') == before, NOTICED_SECONDS_MAX))
            self.assertEqual(self.waiting(stream), 0)
            self.stub.DeleteStream(pb.DeleteStreamRequest(name=stream))
            if round_number == 0:
                first_resident = self.broker.resident_bytes()
        grown = self.broker.resident_bytes() - first_resident
        print(f'grown by {grown >> 20} MiB from the first to the last of 4 x {VANISHING} clients', flush=True)
        self.assertLess(grown, 32 << 20)
        # More than there are slots came and vanished: one more finds room.
        self.assertTrue(self.client(self.broker.address).ListStreams(pb.ListStreamsRequest(), timeout=10))


if __name__ == '__main__':
    unittest.main(verbosity=2)
