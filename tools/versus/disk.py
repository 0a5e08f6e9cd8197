"""What the disk does without any broker: the bare loops that the figures are compared with."""
import ctypes
import os
import platform
import struct
import tempfile
import time

FILE_BYTES = 64 << 20
LARGE = 1 << 20
PAGE = 4096
SLICE_NS = 100_000
_SCHED_SETATTR = {'x86_64': 314, 'aarch64': 274}


def ask_for_short_slices():
    """On a busy core a thread otherwise waits up to 4 ms for its turn after each sync, and the figure would be the
    scheduler's. What weir's commit thread asks for too; kernels that do not know it ignore it."""
    call = _SCHED_SETATTR.get(platform.machine())
    if call is None:
        return
    # size, policy, flags, nice, priority, runtime, deadline, period
    attributes = struct.pack('=IIQiIQQQ', 48, 0, 0, 0, 0, SLICE_NS, 0, 0)
    ctypes.CDLL(None).syscall(call, 0, attributes, 0)


class Disk:
    """A file of zeros below `root`, overwritten from its beginning to its end and again, as a journal does at best."""

    def __init__(self, root):
        ask_for_short_slices()
        self.file = tempfile.TemporaryFile(prefix='weir-versus-disk-', dir=root, buffering=0)
        zeros = bytes(LARGE)
        for at in range(0, FILE_BYTES, LARGE):
            os.pwrite(self.file.fileno(), zeros, at)
        os.fsync(self.file.fileno())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def _write(self, piece, seconds):
        """Durations of write + fdatasync."""
        took = []
        at = 0
        limit = time.perf_counter() + seconds
        while time.perf_counter() < limit or not took:
            started = time.perf_counter()
            os.pwrite(self.file.fileno(), piece, at)
            os.fdatasync(self.file.fileno())
            took.append(time.perf_counter() - started)
            at = (at + len(piece)) % FILE_BYTES
        return took

    def measure(self, seconds):
        large = self._write(os.urandom(LARGE), seconds)
        sync = self.measure_sync(seconds)
        return {'bytes_per_second': LARGE * len(large) / sum(large), 'sync_4k_us': sync['p50'], 'sync_4k_p99_us': sync['p99']}

    def measure_sync(self, seconds):
        """4 KiB pwrite + fdatasync, one after the other: percentiles in microseconds."""
        took = sorted(self._write(os.urandom(PAGE), seconds))
        return {name: took[int(share * (len(took) - 1))] * 1e6 for name, share in (('p50', 0.5), ('p99', 0.99), ('p99_9', 0.999))}
