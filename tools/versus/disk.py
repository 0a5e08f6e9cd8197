"""What the disk does without any broker: the bare loops that the figures are compared with."""
import ctypes
import os
import platform
import statistics
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
        small = self._write(os.urandom(PAGE), seconds)
        return {'bytes_per_second': LARGE * len(large) / sum(large),
                'sync_4k_us': statistics.median(small) * 1e6,
                'sync_4k_p99_us': sorted(small)[int(0.99 * (len(small) - 1))] * 1e6}
