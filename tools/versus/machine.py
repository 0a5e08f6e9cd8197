"""What this machine is, in a few words."""
import os
import platform
import re


def _matching_line(path, pattern, otherwise):
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            match = re.search(pattern, file.read(), re.M)
    except OSError:
        return otherwise
    return match[1] if match else otherwise


def _filesystem(folder):
    """Type of the file system that holds the folder."""
    folder = os.path.realpath(folder)
    best = ('', 'unknown')
    with open('/proc/mounts', encoding='utf-8') as file:
        for line in file:
            _, where, kind = line.split()[:3]
            inside = folder == where or folder.startswith(where.rstrip('/') + '/')
            if inside and len(where) >= len(best[0]):
                best = (where, kind)
    return best[1]


def describe(data_root):
    memory_kb = int(_matching_line('/proc/meminfo', r'^MemTotal:\s+(\d+)', '0'))
    return {'cores': len(os.sched_getaffinity(0)), 'processor': _matching_line('/proc/cpuinfo', r'^model name\s*: (.*)',
                                                                              platform.machine()),
            'memory_gb': round(memory_kb / 1e6, 1), 'kernel': platform.release(), 'filesystem': _filesystem(data_root)}
