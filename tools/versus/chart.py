"""The chart: throughput of every system and case, and latency of the paced case, as SVG made by hand.

Rates differ by a factor of a thousand, so the axis is logarithmic and a rate is a point, not a bar; a line through it
goes from the least to the most of the rounds. So do latencies, whose line goes from p50 by p99 to p99.9.
"""
import math
from html import escape

from cases import CASES, PACED, PACED_RATE

CASE_NAMES = {'publish': 'publish', 'consume': 'consume + acknowledge', 'both': 'both at once'}
COLOURS = {'weir': '#1f5fa8', 'nats': '#2b8a3e', 'redis': '#b3372c'}
INK, FAINT, GRID = '#222222', '#666666', '#d9d9d9'
LABELS = 215  # room for the names of systems
PLOT = 400
RIGHT = 70  # room for the last label
LINE = 17
PANEL_HEAD = 46
PANEL_FOOT = 34
TOP = 92


class Axis:
    """Powers of ten, as many as the values need."""

    def __init__(self, values, width=PLOT):
        self.width = width
        self.low = math.floor(math.log10(min(values))) if values else 3
        self.high = max(math.ceil(math.log10(max(values))) if values else 6, self.low + 1)

    def x(self, value):
        return (math.log10(value) - self.low) / (self.high - self.low) * self.width

    def ticks(self):
        return [10 ** power for power in range(self.low, self.high + 1)]


def short(rate):
    for unit, name in ((1e6, 'M'), (1e3, 'k'), (1, '')):
        if rate >= unit * 0.9995:
            return f'{rate / unit:.3g}{name}'
    return f'{rate:.3g}'


def short_time(us):
    for unit, name in ((1e6, 's'), (1e3, 'ms')):
        if us >= unit * 0.9995:
            return f'{us / unit:.3g} {name}'
    return f'{us:.3g} us'


def text(x, y, words, size=12, colour=INK, anchor='start', weight='normal'):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{escape(words)}</text>')


def mark(x, y, colour, filled):
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour if filled else "white"}" stroke="{colour}" stroke-width="1.6"/>'


def line(x1, y1, x2, y2, colour, width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _panel(report, case, size, axis, counts, left, top):
    """One case and size: a line for each system and number of connections."""
    groups = {group['connections']: group for group in report['groups'] if (group['case'], group['size']) == (case, size)}
    bottom = top + PANEL_HEAD + LINE * len(counts) * len(report['systems'])
    plot = left + LABELS
    made = [text(left, top + 18, f'{CASE_NAMES[case]}, {size} B', 14, weight='bold')]
    for tick in axis.ticks():
        x = plot + axis.x(tick)
        made += [line(x, top + PANEL_HEAD - 8, x, bottom, GRID), text(x, bottom + 15, short(tick), 11, FAINT, 'middle')]
    made.append(text(plot + PLOT / 2, bottom + 30, 'messages per second (logarithmic)', 11, FAINT, 'middle'))
    y = top + PANEL_HEAD
    for name, system in report['systems'].items():
        colour = COLOURS[system['family']]
        made += [line(left, y - LINE / 2, plot + PLOT, y - LINE / 2, GRID, 0.5),
                 text(plot - 10, y + LINE * (len(counts) - 1) / 2 + 4, system['label'], 12, anchor='end')]
        for order, connections in enumerate(counts):
            one = groups.get(connections, {'systems': {}})['systems'].get(name, {'unavailable': 'not run'})
            if 'rate' not in one:
                if 'failed' in one or order == 0:
                    made.append(text(plot + 6, y + 4, 'failed' if 'failed' in one else 'not available', 11, FAINT))
            else:
                rate = one['rate']
                x = plot + axis.x(rate['median'])
                made += [line(plot + axis.x(rate['min']), y, plot + axis.x(rate['max']), y, colour, 1.6),
                         mark(x, y, colour, order == 0),
                         text(max(x, plot + axis.x(rate['max'])) + 8, y + 4, short(rate['median']), 11)]
            y += LINE
    return made, bottom + PANEL_FOOT


def _latency_panel(report, group, left, top, width):
    """The paced case: a line for each system; returns what it drew and where it ends."""
    systems = group['systems']
    good = {name: one for name, one in systems.items() if 'rate' in one}
    bare = [one['bare_sync_us']['p50']['median'] for one in good.values()]
    values = bare + [one['latency_us'][p]['median'] for one in good.values() for p in ('p50', 'p99_9')]
    axis = Axis(values, width - LABELS - RIGHT)
    plot = left + LABELS
    bottom = top + PANEL_HEAD + LINE * len(systems)
    made = [text(left, top + 18, f'publish at {PACED_RATE:,} msg/s, {group["size"]} B: due to acknowledged', 14, weight='bold')]
    for tick in axis.ticks():
        x = plot + axis.x(tick)
        made += [line(x, top + PANEL_HEAD - 8, x, bottom, GRID), text(x, bottom + 15, short_time(tick), 11, FAINT, 'middle')]
    made.append(text(plot + axis.width / 2, bottom + 30, 'latency (logarithmic): p50 (filled), p99 and p99.9 (open), medians of '
                                                         'the rounds', 11, FAINT, 'middle'))
    if bare:
        x = plot + axis.x(sorted(bare)[len(bare) // 2])
        made += [line(x, top + PANEL_HEAD - 8, x, bottom, FAINT, 1.4),
                 text(x + 5, top + PANEL_HEAD - 10, 'a bare fdatasync, median', 11, FAINT)]
    y = top + PANEL_HEAD + LINE / 2
    for name, one in systems.items():
        system = report['systems'][name]
        label = system['label'] if not name.startswith('weir-lane') else 'weir fast lane'
        made += [line(left, y + LINE / 2, plot + axis.width, y + LINE / 2, GRID, 0.5),
                 text(plot - 10, y + 4, label, 12, anchor='end')]
        if 'rate' not in one:
            made.append(text(plot + 6, y + 4, 'failed' if 'failed' in one else 'not available', 11, FAINT))
        else:
            colour = COLOURS[system['family']]
            places = [plot + axis.x(one['latency_us'][p]['median']) for p in ('p50', 'p99', 'p99_9')]
            made.append(line(places[0], y, places[2], y, colour, 1.6))
            made += [mark(x, y, colour, order == 0) for order, x in enumerate(places)]
            made.append(text(places[2] + 8, y + 4, short_time(one['latency_us']['p99_9']['median']), 11))
        y += LINE
    return made, bottom + PANEL_FOOT


def _legend(report, counts):
    x, made = 20.0, []
    for order, connections in enumerate(counts):
        made += [mark(x + 4, 52, INK, order == 0), text(x + 14, 56, f'{connections} connection' + ('s' if connections > 1 else ''))]
        x += 130
    made.append(text(x, 56, 'point: median of the rounds; line: least to most', 12, FAINT))
    machine = report['machine']
    made.append(text(20, 74, f'{machine["cores"]} cores shared by server and clients, {machine["filesystem"]}', 12, FAINT))
    return made


def chart(report):
    sizes = sorted({group['size'] for group in report['groups']})
    counts = sorted({group['connections'] for group in report['groups']})
    rates = [one['rate'][end] for group in report['groups'] for one in group['systems'].values() if 'rate' in one
             if group['case'] != PACED for end in ('min', 'max')]
    axis = Axis(rates)
    wide = LABELS + PLOT + RIGHT
    width = 20 + wide * max(1, len(sizes))
    made = [text(20, 30, 'Side by side: ' + ', '.join(f'{p} {v}' for p, v in report['versions'].items()), 16, weight='bold'),
            *_legend(report, counts)]
    top = TOP
    for case in CASES:
        below = top
        for column, size in enumerate(sizes):
            panel, below = _panel(report, case, size, axis, counts, 20 + wide * column, top)
            made += panel
        top = below + 8
    for group in report['groups']:
        if group['case'] == PACED:
            panel, below = _latency_panel(report, group, 20, top, width - 40)
            made += panel
            top = below + 8
    body = '\n'.join(made)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top + 10}" viewBox="0 0 {width} {top + 10}" '
            f'font-family="DejaVu Sans, Helvetica, Arial, sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n')
