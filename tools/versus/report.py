"""Medians over rounds, and the table that people read."""
import statistics

from cases import CASES, PACED, PACED_RATE

# Figures of a case, as they stand in a trial; latencies are beside them.
FIGURES = ('rate', 'server_cpu_per_million', 'client_cpu_per_million', 'peak_bytes', 'written_per_message', 'others_cores')
PERCENTILES = ('p50', 'p99', 'p99_9')
CASE_TITLES = {'publish': 'Publish', 'consume': 'Consume + acknowledge (a replay of what was published)',
               'both': 'Both at once', PACED: f'Publish, paced at {PACED_RATE:,} msg/s'}
BUSY_CORES = 0.2  # taken by other programs: more, and figures of different systems or runs cannot be compared
LATENCIES = {'publish': 'publish to ack', 'both': 'publish to delivery', PACED: 'due to ack'}
RATIOS = ('p99_per_sync', 'p99_9_per_sync')  # of the paced case, to the median of the bare fdatasync beside it


def _spread(values):
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values)}


def _summary(outcomes):
    """Of the same case in all rounds."""
    failed = [outcome['failed'] for outcome in outcomes if 'failed' in outcome]
    if failed:  # figures of the other rounds would hide it
        return {'failed': failed[0], 'failed_rounds': len(failed), 'rounds': len(outcomes)}
    good = [outcome for outcome in outcomes if 'rate' in outcome]
    if not good:
        return {'unavailable': next((o['unavailable'] for o in outcomes if 'unavailable' in o), 'not run')}
    made = {'rounds': len(good)}
    for name in FIGURES:
        made[name] = _spread([outcome[name] for outcome in good])
    for name in RATIOS:
        if name in good[0]:
            made[name] = _spread([outcome[name] for outcome in good])
    for name in ('latency_us', 'ack_latency_us', 'bare_sync_us'):
        if name in good[0]:
            made[name] = {p: _spread([outcome[name][p] for outcome in good]) for p in PERCENTILES}
    return made


def summarize(rows, trials, disks):
    """The report without what is known about the machine."""
    groups = []
    for case in (*CASES, PACED):
        for size, connections in sorted({(trial['size'], trial['connections']) for trial in trials if case in trial['cases']}):
            systems = {}
            for row in rows:
                if case == PACED and not row.paced:
                    continue
                outcomes = [trial['cases'][case] for trial in trials if case in trial['cases'] and
                            (trial['system'], trial['size'], trial['connections']) == (row.name, size, connections)]
                systems[row.name] = _summary(outcomes) if outcomes else {'unavailable': row.missing or 'not run'}
            groups.append({'case': case, 'size': size, 'connections': connections, 'systems': systems})
    baseline = {name: _spread([disk[name] for disk in disks]) for name in disks[0]} if disks else {}
    return {'systems': {row.name: {'title': row.title, 'label': row.label, 'family': row.family, 'durability': row.durability,
                                   'missing': row.missing} for row in rows},
            'disk': baseline, 'groups': groups}


def number(value):
    """Three significant digits, as people write them."""
    if value >= 999.5:
        digits = 3 - len(str(int(value)))
        return f'{round(value, digits):,.0f}'
    if value >= 99.95:
        return f'{value:.0f}'
    return f'{value:.1f}' if value >= 9.995 else f'{value:.2f}'


def time_text(us):
    if us < 1000:
        return f'{us:.0f} us'
    return f'{number(us / 1e3)} ms' if us < 1e6 else f'{number(us / 1e6)} s'


def _cells(case, one, size):
    rate = one['rate']
    cells = [number(rate['median']), f'{number(rate["min"])} - {number(rate["max"])}', number(rate['median'] * size / 1e6)]
    if case in LATENCIES:
        cells += [time_text(one['latency_us'][p]['median']) for p in PERCENTILES]
    if case == PACED:
        bare = one['bare_sync_us']
        cells += [number(one[name]['median']) for name in RATIOS]
        cells += [' / '.join(time_text(bare[p]['median']) for p in ('p50', 'p99'))]
    return cells + [number(one['server_cpu_per_million']['median']), number(one['client_cpu_per_million']['median']),
                    number(one['peak_bytes']['median'] / 1e6), number(one['written_per_message']['median'])]


def _table(group, systems):
    case = group['case']
    heads = ['system', 'acknowledged means', 'msg/s', 'min - max', 'MB/s']
    if case in LATENCIES:
        heads += [f'p50 {LATENCIES[case]}', 'p99', 'p99.9']
    if case == PACED:
        heads += ['p99 / bare fdatasync', 'p99.9 / bare fdatasync', 'bare fdatasync beside it, p50 / p99']
    heads += ['server CPU s/million', 'client CPU s/million', 'server peak MB', 'bytes written/msg']
    lines = ['| ' + ' | '.join(heads) + ' |', '|---|---|' + '---:|' * (len(heads) - 2)]
    for name, one in group['systems'].items():
        title = systems[name]['title']
        if case == PACED and name.startswith('weir-lane'):
            title = 'weir fast lane, what is due a frame'
        cells = [title, systems[name]['durability']]
        if 'failed' in one:
            cells += [f'**failed** in {one["failed_rounds"]} of {one["rounds"]} rounds: {one["failed"]}']
        elif 'unavailable' in one:
            cells += [f'not available: {one["unavailable"]}']
        else:
            cells += _cells(case, one, group['size'])
        cells += [''] * (len(heads) - len(cells))
        lines.append('| ' + ' | '.join(cell.replace('|', '/') for cell in cells) + ' |')
    return '\n'.join(lines)


def _others(report):
    values = [one['others_cores']['median'] for group in report['groups'] for one in group['systems'].values()
              if 'others_cores' in one]
    return statistics.median(values) if values else 0


def _head(report):
    machine, settings, disk = report['machine'], report['settings'], report['disk']
    lines = ['# Side by side', '',
             f'{report["made"]}, {machine["cores"]} cores ({machine["processor"]}), {machine["memory_gb"]:.0f} GB, '
             f'Linux {machine["kernel"]}, {machine["filesystem"]}. '
             + ', '.join(f'{program} {version}' for program, version in report['versions'].items()) + '.',
             f'{settings["rounds"]} interleaved rounds, {settings["seconds"]:g} s of publishing a case; medians over rounds.'
             + ('' if report['complete'] else ' **Cut short: not all rounds were run.**'),
             f'Load average {report["load_before"]:.1f} before and {report["load_after"]:.1f} after; programs that have '
             f'nothing to do with this took {_others(report):.2f} cores (median).'
             + (' **The machine was busy: do not trust the figures.**' if _others(report) > BUSY_CORES else '')]
    if disk:
        lines.append(f'The disk alone: 1 MiB pwrite + fdatasync {number(disk["bytes_per_second"]["median"] / 1e6)} MB/s '
                     f'({number(disk["bytes_per_second"]["min"] / 1e6)} - {number(disk["bytes_per_second"]["max"] / 1e6)}), '
                     f'4 KiB pwrite + fdatasync {number(disk["sync_4k_us"]["median"])} us (median).')
    return '\n'.join(lines)


def _median_rate(report, case, size, connections, names):
    """The best of these systems."""
    rates = [group['systems'][name]['rate']['median'] for group in report['groups'] for name in names
             if (group['case'], group['size'], group['connections']) == (case, size, connections)
             and 'rate' in group['systems'].get(name, {})]
    return max(rates, default=None)


def _goal_lines(report, lanes, connections):
    """(what, reached, goal) of the fast lane's best row."""
    where = f'{connections} connection' + ('s' if connections > 1 else '')
    publish, consume, large = (_median_rate(report, case, size, connections, lanes)
                               for case, size in (('publish', 128), ('consume', 128), ('publish', 1024)))
    for peer, mine, case in (('nats', publish, 'publish'), ('redis-always', publish, 'publish'),
                             ('nats', consume, 'consume')):
        theirs = _median_rate(report, case, 128, connections, [peer])
        if mine and theirs:
            title = report['systems'][peer]['title']
            yield f'fast lane {case}, 128 B, {where} / {title}', f'{mine / theirs:.1f}', '>= 10'
    if publish:
        yield f'fast lane publish, 128 B, {where}, msg/s', number(publish), 'about 2,000,000'
    if consume:
        yield f'fast lane consume + ack, 128 B, {where}, msg/s', number(consume), '>= 3,000,000'
    if large and report['disk']:
        share = large * 1024 / report['disk']['bytes_per_second']['median']
        yield f'fast lane publish, 1 KiB, {where}: payload bytes / bare 1 MiB writes', f'{share:.2f}', '>= 0.50'
    cpu = [group['systems'][name]['server_cpu_per_million']['median'] for group in report['groups'] for name in lanes
           if (group['case'], group['size'], group['connections']) == ('publish', 128, connections)
           and 'rate' in group['systems'].get(name, {})]
    if cpu:
        yield f'fast lane publish, 128 B, {where}: server CPU a record', f'{min(cpu) * 1000:.0f} ns', '<= 250 ns'


def _latency_lines(report, lanes):
    """(what, reached, goal) of the paced case."""
    for group in report['groups']:
        for name in lanes:
            one = group['systems'].get(name, {})
            if group['case'] != PACED or group['size'] != 128 or 'rate' not in one:
                continue
            for percentile, ratio, goal in zip(('p99', 'p99.9'), RATIOS, ('<= 3', '<= 10')):
                yield (f'fast lane at {PACED_RATE:,} msg/s, 128 B: {percentile} / median of a bare fdatasync',
                       f'{number(one[ratio]["median"])} ({number(one[ratio]["min"])} - {number(one[ratio]["max"])})', goal)


def _goals(report):
    lanes = [name for name in report['systems'] if name.startswith('weir-lane')]
    lines = ['| ' + ' | '.join(line) + ' |' for connections in sorted({group['connections'] for group in report['groups']})
             for line in _goal_lines(report, lanes, connections)]
    lines += ['| ' + ' | '.join(line) + ' |' for line in _latency_lines(report, lanes)]
    if not lines:
        return ''
    return '\n\n## Against the goals\n\nBest row of the fast lane; medians.\n\n| what | reached | goal |\n|---|---:|---:|\n' \
        + '\n'.join(lines)


def to_markdown(report):
    parts = [_head(report)]
    for group in report['groups']:
        many = 's' if group['connections'] > 1 else ''
        parts.append(f'## {CASE_TITLES[group["case"]]}, {group["size"]} B, {group["connections"]} connection{many}\n\n'
                     + _table(group, report['systems']))
    return '\n\n'.join(parts) + _goals(report) + '\n'
