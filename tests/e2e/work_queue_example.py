#!/usr/bin/python3
"""A work queue with two workers, as a user writes it: 200 jobs, each done by one worker.

One worker dies in the middle of a job, and that job and what was sent to it are done by the other one. One job cannot be
done at all: it is parked, with its payload, for somebody to look at.

Usage: work_queue_example.py [HOST:PORT]; needs the modules that README.md makes of proto/ on PYTHONPATH.
"""
import os
import subprocess
import sys
import time

import grpc
from waymaker import streams_pb2 as pb, streams_pb2_grpc as rpc

JOBS = 200


def connect(address):
    return rpc.WaymakerStreamsServiceStub(grpc.insecure_channel(address))


def ok(answer):
    if not answer.success:
        sys.exit(f'{answer.result_code}: {answer.message}')
    return answer


def workers_state(api):
    return ok(api.GetConsumerInfo(pb.GetConsumerInfoRequest(stream='jobs', consumer='workers'))).consumer


def work(address, name, dies_after):
    """Takes jobs until it is killed."""
    api = connect(address)
    done = 0
    for event in api.Subscribe(pb.SubscribeRequest(stream='jobs', consumer='workers', batch_size=4)):
        job = event.message
        if done == dies_after:
            os._exit(1)  # with this job in hand, not acknowledged
        if job.payload == b'impossible':
            ok(api.Term(pb.TermRequest(stream='jobs', consumer='workers', seq=job.seq)))
            continue
        time.sleep(0.002)  # the work
        print(f'{name} did {job.payload.decode()}\n', end='', flush=True)  # one write: two workers share the terminal
        ok(api.Ack(pb.AckRequest(stream='jobs', consumer='workers', seq=job.seq)))
        done += 1


def main(address):
    api = connect(address)
    queue = pb.StreamConfigPb(name='jobs', retention=pb.Retention(work_queue=pb.WorkQueueRetention()))
    ok(api.CreateStream(pb.CreateStreamRequest(config=queue)))
    # A job that is not acknowledged within a second belongs to nobody any more.
    consumer = pb.ConsumerConfigPb(name='workers', ack_wait_ms=1000)
    ok(api.CreateConsumer(pb.CreateConsumerRequest(stream='jobs', config=consumer)))

    command = [sys.executable, os.path.abspath(__file__), address]
    workers = [subprocess.Popen([*command, 'ann', '-1']), subprocess.Popen([*command, 'bob', '20'])]
    # Both wait for jobs before the first one comes, so that both get some.
    while workers_state(api).waiting < 2:
        time.sleep(0.05)
    for number in range(JOBS):
        payload = b'impossible' if number == 100 else b'job %d' % number
        ok(api.Publish(pb.PublishRequest(stream='jobs', subject='jobs.new', payload=payload)))

    # What is acknowledged leaves the queue; what is parked stays.
    while ok(api.GetStreamInfo(pb.GetStreamInfoRequest(name='jobs'))).stats.msg_count > 1:
        time.sleep(0.05)
    state = workers_state(api)
    for worker in workers:
        worker.kill()
        worker.wait()
    print(f'{JOBS} jobs: {state.parked} parked, {state.pending} pending, the others done')


if __name__ == '__main__':
    if len(sys.argv) > 2:
        work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else '127.0.0.1:7460')
