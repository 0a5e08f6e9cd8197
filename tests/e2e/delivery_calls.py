"""What tests of delivery share: calls that consume, settle and look."""
import time

from weir_e2e import BrokerTest, admin_pb, pb

WORK_QUEUE = pb.Retention(work_queue=pb.WorkQueueRetention())
INTEREST = pb.Retention(interest=pb.InterestRetention())
FAR = 4_000_000_000_000


def now_ms():
    return int(time.time() * 1000)


class DeliveryTest(BrokerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.admin = cls.broker.admin_calls()
        cls.lane = cls.broker.broker_calls()

    def queue(self, **config):
        return self.create(retention=WORK_QUEUE, **config)

    def fill(self, stream, count, subject='a'):
        return [self.ok(self.publish(stream, subject, b'%d' % n)).seq for n in range(1, count + 1)]

    def subscribe(self, stream, consumer='c', **more):
        return self.stub.Subscribe(pb.SubscribeRequest(stream=stream, consumer=consumer, **more), timeout=60)

    def drain(self, stream, consumer='c'):
        """All that can be delivered now."""
        *messages, last = self.subscribe(stream, consumer, stop_when_empty=True)
        self.assertEqual(last.stopped.reason, 'empty')
        return [event.message for event in messages]

    def settle(self, how, stream, seq, consumer='c', **more):
        request = {'Nak': pb.NakRequest, 'Term': pb.TermRequest, 'InProgress': pb.InProgressRequest}[how]
        return self.ok(getattr(self.stub, how)(request(stream=stream, consumer=consumer, seq=seq, **more)))

    def state(self, stream, consumer='c'):
        request = pb.GetConsumerInfoRequest(stream=stream, consumer=consumer)
        return self.ok(self.stub.GetConsumerInfo(request)).consumer

    def parked(self, stream, consumer='c', **more):
        return self.ok(self.admin.ListParked(admin_pb.ListParkedRequest(stream=stream, consumer=consumer, **more)))

    def refuse_consumer(self, stream, *words, name='c', **config):
        config = pb.ConsumerConfigPb(name=name, **config)
        answer = self.stub.CreateConsumer(pb.CreateConsumerRequest(stream=stream, config=config))
        return self.refused(answer, 'invalid_config', *words)
