"""Servers and clients of a comparison as processes: started with a folder of their own, asked, measured from outside,
and gone at the end, whatever happens."""
import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 20
TICK = os.sysconf('SC_CLK_TCK')
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A case that has no figures, and why."""


class Unavailable(Exception):
    """What this server or this machine does not have."""


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_STARTED = []


def start(command, folder, **more):
    """A process that ends when this one does; what it says on standard error is in folder/log."""
    with open(os.path.join(folder, 'log'), 'ab') as log:
        # A session of its own: Ctrl-C reaches this program only, which then stops the others.
        process = subprocess.Popen(command, stderr=log, preexec_fn=_die_with_parent, start_new_session=True, **more)
    _STARTED.append(process)
    return process


def end_all():
    """Kills what still runs: after an interruption that came at a bad moment."""
    for process in _STARTED:
        if process.poll() is None:
            process.kill()
            process.wait()


def last_words(folder):
    with open(os.path.join(folder, 'log'), encoding='utf-8', errors='replace') as log:
        lines = log.read().strip().splitlines()
    return lines[-1] if lines else 'it said nothing'


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


class Usage:
    """What a process has used so far, its ended children included."""

    def __init__(self, pid):
        with open(f'/proc/{pid}/stat', encoding='ascii') as file:
            fields = file.read().rpartition(')')[2].split()
        self.cpu_seconds = sum(int(n) for n in fields[11:15]) / TICK  # utime stime cutime cstime
        with open(f'/proc/{pid}/io', encoding='ascii') as file:
            self.written_bytes = int(re.search(r'^write_bytes: (\d+)', file.read(), re.M)[1])
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            self.peak_bytes = int(re.search(r'^VmHWM:\s+(\d+) kB', file.read(), re.M)[1]) * 1024


def forget_peak(pid):
    """VmHWM counts from here."""
    with open(f'/proc/{pid}/clear_refs', 'w', encoding='ascii') as file:
        file.write('5')


def machine_busy_seconds():
    """Processor time used on this machine, by anything."""
    with open('/proc/stat', encoding='ascii') as file:
        user, nice, system, _idle, _iowait, irq, softirq, steal = (int(n) for n in file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICK


class Server:
    """One server with a folder of its own below `root`, on a free port of loopback."""

    def __init__(self, root):
        self.folder = tempfile.mkdtemp(prefix='server-', dir=root)
        self.process = None
        self.address = None

    def __enter__(self):
        try:
            self.address = self.launch()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def launch(self):
        """Starts the server and returns its address when it serves."""
        raise NotImplementedError

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process and self.process.stdout:
            self.process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_until(self, ready):
        """Repeats `ready` until it returns something."""
        limit = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < limit:
            got = ready()
            if got:
                return got
            if self.process.poll() is not None:
                raise Failed(f'the server ended at its start: {last_words(self.folder)}')
            time.sleep(0.01)
        raise Failed('the server did not become ready')


class WeirServer(Server):
    program = None

    def launch(self):
        self.process = start([self.program, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--data',
                              os.path.join(self.folder, 'data')], self.folder, stdout=subprocess.PIPE)
        said = b''

        def ready():
            nonlocal said
            if select.select([self.process.stdout], [], [], 0)[0]:
                said += os.read(self.process.stdout.fileno(), 4096)
            match = re.search(rb'ready listen=(\S+) .*\n', said)
            return match and match[1].decode()

        return self.wait_until(ready)


class NatsServer(Server):
    program = None
    sync = None  # the value of sync_interval; None: the server's own

    def launch(self):
        self.process = start([self.program, '--config', self.configuration()], self.folder, stdout=subprocess.DEVNULL)

        def ready():
            for name in os.listdir(self.folder):
                if not name.endswith('.ports'):
                    continue
                try:
                    with open(os.path.join(self.folder, name), encoding='utf-8') as file:
                        return json.load(file)['nats'][0].removeprefix('nats://')
                except (ValueError, KeyError):
                    return None  # half written
            return None

        return self.wait_until(ready)

    def configuration(self):
        path = os.path.join(self.folder, 'nats.conf')
        sync = f'\n  sync_interval: {self.sync}' if self.sync else ''
        with open(path, 'w', encoding='utf-8') as file:
            file.write(f'listen: "127.0.0.1:-1"\nports_file_dir: "{self.folder}"\n'
                       f'jetstream {{\n  store_dir: "{self.folder}/store"{sync}\n}}\n')
        return path

    def check(self):
        """Raises Unavailable if this nats-server does not take the configuration."""
        done = subprocess.run([self.program, '-t', '-c', self.configuration()], capture_output=True, text=True,
                              check=False)
        self.stop()
        if done.returncode != 0:
            raise Unavailable(f'this nats-server does not know `sync_interval: {self.sync}`')


class RedisServer(Server):
    program = None
    appendfsync = None

    def launch(self):
        port = free_port()
        # Snapshots beside the append-only file would store everything twice.
        self.process = start([self.program, '--bind', '127.0.0.1', '--port', str(port), '--dir', self.folder, '--save', '',
                              '--appendonly', 'yes', '--appendfsync', self.appendfsync], self.folder,
                             stdout=subprocess.DEVNULL)

        def ready():
            try:
                with socket.create_connection(('127.0.0.1', port), 1) as link:
                    link.sendall(b'PING\r\n')
                    return link.recv(64).startswith(b'+PONG')
            except OSError:
                return False

        self.wait_until(ready)
        return f'127.0.0.1:{port}'


class Client:
    """One client process; tools/versus/worker.h says how it talks."""

    def __init__(self, program, role, server, options):
        self.folder = tempfile.mkdtemp(prefix='client-', dir=server.folder)
        self.buffered = b''
        words = [program, role, '--server', server.address]
        for name, value in options.items():
            words += [f'--{name}', str(value)]
        self.process = start(words, self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in (self.process.stdin, self.process.stdout):
            try:
                end.close()
            except BrokenPipeError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, line):
        try:
            self.process.stdin.write(line.encode() + b'\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail()

    def line(self, seconds_max):
        limit = time.monotonic() + seconds_max
        while b'\n' not in self.buffered:
            left = limit - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise Failed(f'no answer from a client within {seconds_max:.0f} s')
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                self.fail()
            self.buffered += part
        line, _, self.buffered = self.buffered.partition(b'\n')
        return line.decode()

    def wait_ready(self):
        line = self.line(START_SECONDS_MAX)
        if line != 'ready':
            self.report(line)

    def report(self, line):
        made = json.loads(line)
        if 'unavailable' in made:
            raise Unavailable(made['unavailable'])
        return made

    def result(self, seconds_max):
        return self.report(self.line(seconds_max))

    def finish(self, seconds_max):
        """For a role that reports nothing."""
        if self.process.wait(seconds_max) != 0:
            self.fail()

    def fail(self):
        """The client ended early: why."""
        left = self.buffered + self.process.stdout.read()
        self.process.wait()
        for line in left.decode().splitlines():
            if line.startswith('{'):
                self.report(line)
        raise Failed(last_words(self.folder))
