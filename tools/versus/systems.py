"""The rows of the comparison: which server, how it is set up, which way the client goes, what an acknowledgement means."""
import dataclasses
import os
import re
import shutil
import subprocess

from processes import NatsServer, RedisServer, Unavailable, WeirServer

FSYNC = 'fsync before the ack'
LAZY = 'page cache; fsync every 2 min'
IN_FLIGHT = 4096  # messages sent and not acknowledged, of all connections together, unless the row's name says otherwise
PULL = 512  # messages a consumer takes at a time
NATS_BATCHED = (2, 14)


@dataclasses.dataclass
class Row:
    name: str
    family: str
    title: str
    label: str  # on the chart
    durability: str
    server: type
    client: str
    options: dict = dataclasses.field(default_factory=dict)
    missing: str = ''  # why there are no figures
    paced: bool = True  # has a row in the paced case


def _version(program, pattern):
    said = subprocess.run([program, '--version'], capture_output=True, text=True, check=False).stdout
    match = re.search(pattern, said)
    return match[1] if match else said.strip()


def _weir_rows(build, chosen):
    server = type('Weir', (WeirServer,), {'program': chosen})
    client = os.path.join(build, 'tools/versus/versus-weir')
    rows = [Row('weir-unary', 'weir', 'weir Publish, 256 in flight; Fetch + AckMany', 'weir, unary calls', FSYNC, server, client,
                {'path': 'unary', 'in-flight': 256})]
    for batch in (16, 64, 256):  # paced, a frame holds what is due, and its size is no choice
        rows.append(Row(f'weir-lane-{batch}', 'weir', f'weir fast lane, {batch} a frame', f'weir fast lane, {batch} a frame', FSYNC, server, client,
                        {'path': 'lane', 'batch': batch}, paced=batch == 64))
    missing = '' if os.path.exists(chosen) and os.path.exists(client) else 'not built: run tools/build'
    return rows, 'weir-server', chosen, r'weir-server (\S+)', missing


def _nats_rows(build, chosen):
    plain = type('Nats', (NatsServer,), {'program': chosen})
    synced = type('NatsAlways', (NatsServer,), {'program': chosen, 'sync': 'always'})
    client = os.path.join(build, 'tools/versus/versus-nats')
    rows = [Row('nats', 'nats', 'NATS JetStream, default', 'NATS, default (not synced)', LAZY, plain, client),
            Row('nats-always', 'nats', 'NATS JetStream, sync_interval: always', 'NATS, always', FSYNC, synced, client),
            Row('nats-batched', 'nats', 'NATS JetStream, batched fast ingest', 'NATS, batched (not synced)', LAZY, plain, client,
                {'path': 'batched'}),
            Row('nats-batched-always', 'nats', 'NATS JetStream, batched fast ingest, sync_interval: always',
                'NATS, batched, always', FSYNC, synced, client, {'path': 'batched'})]
    return rows, 'nats-server', chosen, r'v?(\d[\w.-]*)', _missing(chosen, client, 'nats-server', 'libnats-dev')


def _redis_rows(build, chosen):
    client = os.path.join(build, 'tools/versus/versus-redis')
    rows = []
    for value, note, meaning in (('always', '', FSYNC), ('everysec', ' (not synced)', 'page cache; fsync every second')):
        server = type('Redis', (RedisServer,), {'program': chosen, 'appendfsync': value})
        rows.append(Row(f'redis-{value}', 'redis', f'Redis Streams, appendfsync {value}', f'Redis, {value}{note}', meaning, server, client))
    return rows, 'redis-server', chosen, r'v=(\S+)', _missing(chosen, client, 'redis-server', 'libhiredis-dev')


def _missing(program, client, package, library):
    if not program or not shutil.which(program):
        return f'{package} is not installed (tools/install-deps bench)'
    if not os.path.exists(client):
        return f'its client was not built: {library} was not there (tools/install-deps bench, then tools/build)'
    return ''


def _check(row, root, version):
    """Says in the row what this server does not know."""
    if row.options.get('path') == 'batched' and tuple(int(n) for n in re.findall(r'\d+', version)[:2]) < NATS_BATCHED:
        row.missing = f'batched fast ingest needs nats-server 2.14 (--nats-server), this is {version}'
    elif getattr(row.server, 'sync', None):
        try:
            row.server(root).check()
        except Unavailable as why:
            row.missing = str(why)


def all_rows(build, weir_server, nats_server, redis_server, root):
    """(rows, versions by program). What is not installed, or not known to a server, says so in its row."""
    rows, versions = [], {}
    for made in (_weir_rows(build, weir_server), _nats_rows(build, nats_server), _redis_rows(build, redis_server)):
        family, program, path, pattern, missing = made
        for row in family:
            row.missing = missing
        if not missing:
            versions[program] = _version(path, pattern)
            for row in family:
                _check(row, root, versions[program])
        rows += family
    return rows, versions
