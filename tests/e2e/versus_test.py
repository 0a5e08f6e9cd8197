#!/usr/bin/python3
"""tools/versus at its smallest, with whatever is installed: that it runs, checks and reports, not what it measures."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, 'tools/versus'))
SMALL = ['--seconds', '0.05', '--count-max', '2000', '--sizes', '64,512', '--only', 'weir-unary,weir-lane-64,nats,redis-always']
SECONDS_MAX = 400
FIGURES = ('rate', 'server_cpu_per_million', 'client_cpu_per_million', 'peak_bytes', 'written_per_message')


class Versus(unittest.TestCase):
    def run_versus(self, *more, environment=None):
        folder = tempfile.TemporaryDirectory(prefix='weir-versus-test-')
        self.addCleanup(folder.cleanup)
        data = os.path.join(folder.name, 'data')
        done = subprocess.run([os.path.join(ROOT, 'tools/versus/run'), *SMALL, '--out', folder.name, '--data-root', data,
                               *more], capture_output=True, text=True, timeout=SECONDS_MAX, check=False, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(os.listdir(data), [], 'a data directory is left')
        with open(os.path.join(folder.name, 'versus.json'), encoding='utf-8') as file:
            report = json.load(file)
        with open(os.path.join(folder.name, 'versus.md'), encoding='utf-8') as file:
            table = file.read()
        return report, table, xml.parse(os.path.join(folder.name, 'versus.svg')).getroot(), done.stdout

    def check_figures(self, report):
        """Every system that is there has every figure; returns how many have."""
        measured = 0
        for group in report['groups']:
            for name, one in group['systems'].items():
                self.assertNotIn('failed', one, (name, group['case']))
                if 'unavailable' in one:
                    continue
                measured += 1
                for figure in FIGURES:
                    spread = one[figure]
                    self.assertLessEqual(spread['min'], spread['median'])
                    self.assertLessEqual(spread['median'], spread['max'])
                self.assertGreater(one['rate']['min'], 0)
                if group['case'] == 'paced':
                    self.assertLessEqual(one['bare_sync_us']['p50']['median'], one['bare_sync_us']['p99_9']['median'])
                    self.assertGreater(one['p99_per_sync']['min'], 0)
                    self.assertLess(one['rate']['max'], 20_000)
                if group['case'] != 'consume':
                    latency = one['latency_us']
                    self.assertGreater(latency['p50']['min'], 0)
                    self.assertLessEqual(latency['p50']['median'], latency['p99_9']['median'])
        return measured

    def check_table(self, report, table):
        rows = [line for line in table.splitlines() if line.startswith('|')]
        for group in report['groups']:
            paced = [name for name in report['systems'] if not name.startswith('weir-lane-') or name == 'weir-lane-64']
            self.assertEqual(list(group['systems']), paced if group['case'] == 'paced' else list(report['systems']))
        columns = None
        for line in rows:
            if set(line) <= set('|-:'):
                continue
            if line.startswith(('| system', '| what')):
                columns = line.count('|')
            self.assertEqual(line.count('|'), columns, line)

    def check_chart(self, report, picture):
        self.assertTrue(picture.tag.endswith('}svg'))
        words = [element.text for element in picture.iter() if element.tag.endswith('}text')]
        for name, system in report['systems'].items():
            lane = name.startswith('weir-lane')  # has no frame size when it is paced
            self.assertEqual(words.count(system['label']), 6 if lane else 7)  # three cases, two sizes; and paced
        self.assertIn('a bare fdatasync, median', words)
        self.assertEqual(sum('messages per second' in said for said in words), 6)
        points = sum(element.tag.endswith('}circle') for element in picture.iter())
        legend = len({group['connections'] for group in report['groups']})
        self.assertEqual(points - legend, sum(3 if group['case'] == 'paced' else 1 for group in report['groups']
                                              for one in group['systems'].values() if 'rate' in one))

    def test_whatever_is_installed_is_measured_and_reported(self):
        report, table, picture, _ = self.run_versus('--rounds', '2', '--connections', '2')
        self.assertEqual(len(report['groups']), 3 * 2 + 1)
        unary = [group['systems']['weir-unary'] for group in report['groups']]
        self.assertTrue(all(one['rounds'] == 2 for one in unary))
        self.assertGreaterEqual(self.check_figures(report), len(unary))
        self.assertGreater(report['disk']['bytes_per_second']['median'], 0)
        self.assertIn('weir-server', report['versions'])
        self.check_table(report, table)
        self.check_chart(report, picture)

    def test_without_the_others_weir_is_measured_alone(self):
        report, table, picture, said = self.run_versus('--rounds', '1', '--connections', '1,2',
                                                       environment={**os.environ, 'PATH': '/nowhere'})
        self.assertIn('left out: nats: nats-server is not installed', said)
        self.assertIn('left out: redis-always: redis-server is not installed', said)
        self.assertEqual(list(report['versions']), ['weir-server'])
        self.assertGreaterEqual(self.check_figures(report), len(report['groups']))
        self.assertIn('not available: redis-server is not installed', table)
        self.check_table(report, table)
        self.check_chart(report, picture)

    def test_a_bad_value_is_refused_in_one_line_that_names_the_option_and_what_it_takes(self):
        for option, value, takes in [('--rounds', '0', 'from 1 to 1000'), ('--seconds', 'nan', 'from 0.001 to 3600'),
                                     ('--sizes', '128,5', 'from 24 to'), ('--connections', '1,,8', 'from 1 to 256'),
                                     ('--minutes-max', '-1', 'from 0.1 to'), ('--count-max', 'many', 'a whole number'),
                                     ('--only', 'weir-lane-64,kafka', 'names out of weir-unary,'),
                                     ('--nats-server', '/nowhere/nats-server', 'a program'), ('--out', '/dev/null/x', 'a folder'),
                                     ('--data-root', '/dev/null/x', 'a folder'), ('--build', '/nowhere', '')]:
            done = subprocess.run([os.path.join(ROOT, 'tools/versus/run'), option, value], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertRegex(done.stderr.splitlines()[-1], f'^tools/versus/run: .*{takes}')
            self.assertIn(option if takes else 'every system is left out', done.stderr)

    def test_a_run_that_lost_messages_is_failed_and_has_no_figures(self):
        from report import summarize, to_markdown  # of tools/versus
        from systems import Row
        row = Row('weir-unary', 'weir', 'weir', 'weir', 'fsync', None, '')
        good = {'rate': 1000.0, 'server_cpu_per_million': 1.0, 'client_cpu_per_million': 1.0, 'peak_bytes': 1,
                'written_per_message': 1.0, 'others_cores': 0.0}
        bad = {'failed': 'of 10 messages: 1 missing, 0 twice, 0 never sent'}
        trials = [{'round': n, 'system': 'weir-unary', 'size': 128, 'connections': 1,
                   'cases': {'publish': {'unavailable': 'no'}, 'both': {'unavailable': 'no'}, 'consume': one}}
                  for n, one in enumerate((good, bad, good))]
        report = summarize([row], trials, [])
        consume = next(group for group in report['groups'] if group['case'] == 'consume')
        self.assertNotIn('rate', consume['systems']['weir-unary'])
        self.assertEqual(consume['systems']['weir-unary']['failed_rounds'], 1)
        report.update(made='now', complete=True, versions={}, load_before=0, load_after=0,
                      machine={'cores': 2, 'processor': 'p', 'memory_gb': 1, 'kernel': 'k', 'filesystem': 'f'},
                      settings={'rounds': 3, 'seconds': 1})
        self.assertIn('**failed** in 1 of 3 rounds: of 10 messages: 1 missing', to_markdown(report))


if __name__ == '__main__':
    unittest.main(verbosity=2)
