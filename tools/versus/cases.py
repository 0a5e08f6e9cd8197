"""One system through the cases: publish, consume what was published, both at once on a fresh server, and publishing at a
fixed rate for its latency."""
import time

from processes import Client, Failed, Unavailable, Usage, forget_peak, machine_busy_seconds
from systems import IN_FLIGHT, PULL

CASES = ('publish', 'consume', 'both')
PACED = 'paced'  # with one size and number of connections only
PACED_RATE = 10_000  # messages a second
PACED_SECONDS_MIN = 1
BARE_SYNC_SECONDS = 0.3
WARM_SECONDS = 0.1
WARM_MESSAGES = 2000
QUIET_SECONDS = 0.25
QUIET_SECONDS_MAX = 10


def wait_until_quiet(server):
    """What a server does after its start, like preparing files, is not part of a case."""
    limit = time.monotonic() + QUIET_SECONDS_MAX
    before = None
    while time.monotonic() < limit:
        now = Usage(server.pid).written_bytes
        if now == before:
            return
        before = now
        time.sleep(QUIET_SECONDS)


class Meter:
    """What a server used while something went on."""

    def __init__(self, server):
        self.pid = server.pid
        forget_peak(self.pid)
        self.machine = machine_busy_seconds()
        self.before = Usage(self.pid)

    def figures(self, messages, seconds, clients):
        after = Usage(self.pid)
        cpu = after.cpu_seconds - self.before.cpu_seconds
        client_cpu = sum(client['cpu_seconds'] for client in clients)
        others = max(0.0, machine_busy_seconds() - self.machine - cpu - client_cpu)
        written = after.written_bytes - self.before.written_bytes
        million = messages / 1e6
        return {'messages': messages, 'seconds': seconds, 'rate': messages / seconds,
                'server_cpu_per_million': cpu / million, 'client_cpu_per_million': client_cpu / million,
                'peak_bytes': after.peak_bytes, 'written_bytes': written, 'written_per_message': written / messages,
                'others_cores': others / seconds}


class Trial:
    """One system, one payload size, one number of connections, in one round. With a disk, the paced case too."""

    def __init__(self, row, root, size, connections, seconds, count_max, disk=None):
        self.row = row
        self.root = root
        self.disk = disk
        self.seconds = seconds
        self.wait = 60 + 40 * seconds  # for a client's answer
        self.publishing = {'size': size, 'connections': connections, 'seconds': seconds, 'count-max': count_max,
                           'in-flight': IN_FLIGHT, **row.options}
        self.consuming = {'size': size, 'connections': connections, 'pull': PULL, **row.options}

    def run(self):
        """Figures, {'failed': why} or {'unavailable': why} by case."""
        made = {}
        works = [(('publish', 'consume'), self._one_after_the_other), (('both',), self._both)]
        if self.disk and self.row.paced:
            works.append(((PACED,), self._paced))
        for cases, work in works:
            why = {}
            try:
                with self.row.server(self.root) as server:
                    self._warm(server)
                    work(server, made)
            except Unavailable as reason:
                why = {'unavailable': str(reason)}
            except Failed as reason:
                why = {'failed': str(reason)}
            for case in cases:
                made.setdefault(case, why)
        return made

    def _client(self, server, role, stream, options):
        return Client(self.row.client, role, server, {**options, 'stream': stream})

    def _create(self, server, stream):
        with self._client(server, 'create', stream, self.row.options) as client:
            client.finish(self.wait)

    def _warm(self, server):
        self._create(server, 'warm')
        options = {**self.publishing, 'seconds': WARM_SECONDS, 'count-max': WARM_MESSAGES}
        with self._client(server, 'publish', 'warm', options) as client:
            client.wait_ready()
            client.say('go')
            client.result(self.wait)
        wait_until_quiet(server)

    def _one_after_the_other(self, server, made):
        self._create(server, 'versus')
        with self._client(server, 'publish', 'versus', self.publishing) as publisher:
            publisher.wait_ready()
            meter = Meter(server)
            publisher.say('go')
            published = publisher.result(self.wait)
            made['publish'] = {**meter.figures(published['messages'], published['seconds'], [published]),
                               'latency_us': published['latency_us']}
        with self._client(server, 'consume', 'versus', self.consuming) as consumer:
            consumer.wait_ready()
            meter = Meter(server)
            consumer.say('go')
            consumer.say(_sent_line(published))
            consumed = consumer.result(self.wait)
            made['consume'] = meter.figures(consumed['messages'], consumed['seconds'], [consumed])

    def _both(self, server, made):
        self._create(server, 'versus')
        with self._client(server, 'consume', 'versus', self.consuming) as consumer, \
                self._client(server, 'publish', 'versus', self.publishing) as publisher:
            consumer.wait_ready()
            publisher.wait_ready()
            meter = Meter(server)
            consumer.say('go')
            publisher.say('go')
            published = publisher.result(self.wait)
            consumer.say(_sent_line(published))
            consumed = consumer.result(self.wait)
            seconds = (consumed['ended_ns'] - published['started_ns']) / 1e9
            made['both'] = {**meter.figures(consumed['messages'], seconds, [published, consumed]),
                            'latency_us': consumed['latency_us'], 'ack_latency_us': published['latency_us']}

    def _paced(self, server, made):
        self._create(server, 'versus')
        seconds = max(self.seconds, PACED_SECONDS_MIN)
        with self._client(server, 'publish', 'versus', {**self.publishing, 'rate': PACED_RATE, 'seconds': seconds}) as publisher:
            publisher.wait_ready()
            bare = self.disk.measure_sync(BARE_SYNC_SECONDS)
            meter = Meter(server)
            publisher.say('go')
            published = publisher.result(self.wait)
            latency = published['latency_us']
            made[PACED] = {**meter.figures(published['messages'], published['seconds'], [published]), 'latency_us': latency,
                           'bare_sync_us': bare, 'p99_per_sync': latency['p99'] / bare['p50'],
                           'p99_9_per_sync': latency['p99_9'] / bare['p50']}


def _sent_line(published):
    return 'sent ' + ' '.join(str(n) for n in published['sent'])
