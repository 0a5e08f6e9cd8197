#!/usr/bin/python3
"""Counts test results for tools/test, in a table of lines `name, passed, failed, skipped`.

  test_report.py TABLE test NAME EXIT-CODE LOG       one program; its log is doctest's, unittest's or our closing line
  test_report.py TABLE need NAME EXIT-CODE LOG       a step that is no test: counted only if it fails
  test_report.py TABLE meson KIND TESTLOG LOG-DIR    every test of one `meson test` run
  test_report.py TABLE close                         the closing line `N passed, N failed`; exit 1 if any failed

A program that fails without naming a failed case counts as one failure; a program without any count is one test.
"""
import json
import os
import re
import sys

TAIL_LINES = 40


def count(text, ok):
    """(passed, failed, skipped) of one program's output."""
    passed = failed = skipped = 0
    known = False
    for match in re.finditer(r'test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed', text):
        known = True
        passed += int(match[1])
        failed += int(match[2])
    for match in re.finditer(r'^Ran (\d+) tests? in .*\n\s*\n(OK|FAILED)(.*)$', text, re.M):
        known = True
        bad = sum(int(n) for n in re.findall(r'(?:failures|errors|unexpected successes)=(\d+)', match[3]))
        left_out = sum(int(n) for n in re.findall(r'skipped=(\d+)', match[3]))
        failed += bad
        skipped += left_out
        passed += max(0, int(match[1]) - bad - left_out)
    for match in re.finditer(r'^(\d+) passed, (\d+) failed$', text, re.M):
        known = True
        passed += int(match[1])
        failed += int(match[2])
    if not ok and failed == 0:
        failed = 1
    if not known and ok:
        passed = 1
    return passed, failed, skipped


def record(table, name, counts):
    with open(table, 'a', encoding='utf-8') as out:
        out.write('\t'.join([name, *map(str, counts)]) + '\n')


def show_tail(name, log, text):
    print(f'--- {name} failed; the end of {log}:')
    for line in text.rstrip().splitlines()[-TAIL_LINES:]:
        print('    ' + line)


def step(table, name, exit_code, log, is_test=True):
    with open(log, encoding='utf-8', errors='replace') as file:
        text = file.read()
    ok = int(exit_code) == 0
    counts = count(text, ok) if is_test else (0, 0 if ok else 1, 0)
    record(table, name, counts)
    for line in re.findall(r'^.*\bskipped [\'"].*$', text, re.M):
        print('      ' + line.strip())
    if counts[1]:
        show_tail(name, log, text)


def meson(table, kind, testlog, log_dir):
    try:
        with open(testlog, encoding='utf-8', errors='replace') as file:
            tests = [json.loads(line) for line in file if line.strip()]
    except OSError:
        record(table, f'{kind}: no result of meson test', (0, 1, 0))
        print(f'--- {kind}: meson test left no {testlog}; see {log_dir}/unit-{kind}.log')
        return
    for test in tests:
        name = f'{kind}-{test["name"].split(" / ")[-1]}'
        text = test.get('stdout', '') + '\n' + test.get('stderr', '')
        if test['result'] == 'SKIP':
            record(table, name, (0, 0, 1))
            continue
        ok = test['result'] in ('OK', 'EXPECTEDFAIL')
        counts = count(text, ok)
        record(table, name, counts)
        log = os.path.join(log_dir, name + '.log')
        with open(log, 'w', encoding='utf-8') as out:
            out.write(f'{test["result"]} after {test["duration"]:.1f} s: {" ".join(test["command"])}\n{text}')
        if not ok or counts[1]:
            show_tail(f'{name} ({test["result"]}, {test["duration"]:.0f} s)', log, text)


def close(table):
    passed = failed = skipped = 0
    broken = []
    if os.path.exists(table):
        with open(table, encoding='utf-8') as file:
            for line in file:
                name, good, bad, left_out = line.rstrip('\n').split('\t')
                passed += int(good)
                failed += int(bad)
                skipped += int(left_out)
                if int(bad):
                    broken.append(name)
    if passed + failed == 0:
        print('no test matched')
        failed = 1
    if skipped:
        print(f'{skipped} skipped')
    for name in broken:
        print(f'failed: {name}')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed else 0


def main():
    table, command, *rest = sys.argv[1:]
    if command == 'test':
        step(table, *rest)
    elif command == 'need':
        step(table, *rest, is_test=False)
    elif command == 'meson':
        meson(table, *rest)
    else:
        sys.exit(close(table))


main()
