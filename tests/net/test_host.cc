#include "tests/net/test_host.h"

#include <grpcpp/completion_queue.h>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <future>

namespace weir {

test_host::test_host(const test_host_config& config) {
  std::vector<rpc_server*> doors;
  for (unsigned n = 0; n < config.reactors; ++n) {
    core made;
    made.rpc = std::make_unique<rpc_server>(config.rpc);
    made.home = std::make_unique<reactor>(n, std::nullopt, clock_, made.rpc->take_queue());
    made.calls = std::make_unique<dispatcher>(*made.home, *made.rpc, config.calls);
    made.health = std::make_unique<health_service>();
    made.health->attach(*made.calls);
    made.health->set_serving(true);
    made.reflection = std::make_unique<reflection_service>();
    made.reflection->attach(*made.calls);
    if (config.prepare) config.prepare(*made.calls);
    made.calls->start();
    doors.push_back(made.rpc.get());
    cores_.push_back(std::move(made));
  }
  for (core& one : cores_) one.home->start();
  listener_ = std::make_unique<listener>(front_, doors, config.connections);
  auto opened = listener_->open(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  WEIR_CHECK(opened);
  port_ = listener_->address().port();
  front_thread_ = std::thread([this] {
    auto work = asio::make_work_guard(front_);
    front_.run();
  });
}

test_host::~test_host() {
  stop();
}

void test_host::on_front(const std::function<void()>& work) {
  std::promise<void> done;
  asio::post(front_, [&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

dispatcher_metrics test_host::metrics(size_t n) {
  dispatcher_metrics now;
  cores_[n].home->call([&] { now = cores_[n].calls->metrics(); });
  return now;
}

listener_metrics test_host::connections() {
  listener_metrics now;
  on_front([&] { now = listener_->metrics(); });
  return now;
}

std::vector<size_t> test_host::connections_by_door() {
  std::vector<size_t> now;
  on_front([&] { now = listener_->connections_by_door(); });
  return now;
}

void test_host::set_serving(bool serving) {
  for (core& one : cores_) {
    one.home->call([&] { one.health->set_serving(serving); });
  }
}

void test_host::stop(std::chrono::milliseconds grace) {
  if (stopped_) return;
  stopped_ = true;
  on_front([this] { listener_->stop(); });
  front_.stop();
  front_thread_.join();
  for (core& one : cores_) one.home->call([&] { one.calls->stop(); });
  auto deadline = std::chrono::system_clock::now() + grace;
  for (core& one : cores_) one.home->wait_until([&] { return one.calls->serving() == 0; }, deadline);
  for (core& one : cores_) one.rpc->shutdown();
  for (core& one : cores_) one.home->wait_until([&] { return one.calls->live() == 0; });
  for (core& one : cores_) one.home->call([] {});
  for (core& one : cores_) one.home->stop();
}

}  // namespace weir
