#include "net/front.h"

#include <pthread.h>

#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <csignal>
#include <future>

#include "net/metrics_text.h"
#include "net/socket_address.h"

namespace weir {
namespace {

std::vector<rpc_server*> doors_of(const std::vector<core*>& cores) {
  std::vector<rpc_server*> doors;
  for (core* one : cores) doors.push_back(&one->rpc());
  return doors;
}

// Asks one core for its numbers; the answer comes back to the front's context.
class metrics_letter final : public letter {
 public:
  metrics_letter(core& from, bool with_consumers, asio::io_context& to, std::function<void()> arrived)
      : from_(from), with_consumers_(with_consumers), to_(to), arrived_(std::move(arrived)) {}
  void open() override {
    numbers = from_.metrics(with_consumers_);
    asio::post(to_, arrived_);
  }
  core_metrics numbers;

 private:
  core& from_;
  const bool with_consumers_;
  asio::io_context& to_;
  std::function<void()> arrived_;
};

}  // namespace

front::front(std::vector<core*> cores, const listener_limits& limits)
    : cores_(std::move(cores)),
      work_(asio::make_work_guard(context_)),
      signals_(context_),
      listener_(context_, doors_of(cores_), limits),
      admin_(context_, [this](std::string path) { return answer(std::move(path)); }) {}

front::~front() {
  stop();
}

result<void> front::open(const asio::ip::tcp::endpoint& listen, const asio::ip::tcp::endpoint& admin) {
  result<void> opened = listener_.open(listen);
  if (!opened) return opened;
  return admin_.open(admin);
}

std::string front::listen_address() const {
  return to_string(listener_.address());
}

std::string front::admin_address() const {
  return to_string(admin_.address());
}

void front::start(std::function<void(int)> on_signal) {
  on_signal_ = std::move(on_signal);
  if (on_signal_) {
    signals_.add(SIGTERM);
    signals_.add(SIGINT);
    wait_for_signal();
  }
  thread_ = std::thread([this] { context_.run(); });
  pthread_setname_np(thread_.native_handle(), "front");
}

void front::wait_for_signal() {
  signals_.async_wait([this](asio::error_code fault, int signal) {
    if (fault) return;
    on_signal_(signal);
    wait_for_signal();
  });
}

void front::stop_listening() {
  if (!thread_.joinable()) {  // never started: a port was taken
    listener_.stop();
    return;
  }
  std::promise<void> done;
  asio::post(context_, [&] {
    listener_.stop();
    done.set_value();
  });
  done.get_future().wait();
}

void front::stop() {
  if (!thread_.joinable()) return;
  context_.stop();
  thread_.join();
}

asio::awaitable<http_answer> front::answer(std::string path) {
  http_answer out;
  if (path == "/healthz") {
    out.body = "ok\n";
  } else if (path == "/readyz") {
    std::vector<core_metrics> cores = co_await gather(false);
    out = readiness(cores);
  } else if (path == "/metrics") {
    std::vector<core_metrics> cores = co_await gather(true);
    out.content_type = "text/plain; version=0.0.4; charset=utf-8";
    out.body = metrics_text(cores, listener_.metrics());
  } else {
    out.status = 404;
    out.body = "there is /healthz, /readyz and /metrics\n";
  }
  co_return out;
}

http_answer front::readiness(const std::vector<core_metrics>& cores) const {
  http_answer out;
  out.body = "ready\n";
  if (!ready_.load()) {
    out.status = 503;
    out.body = "starting or stopping\n";
  }
  for (const core_metrics& one : cores) {
    if (!one.shard.failed) continue;
    out.status = 503;
    out.body = "shard " + std::to_string(one.index) + " is read-only after a failed write; restart the server\n";
  }
  return out;
}

asio::awaitable<std::vector<core_metrics>> front::gather(bool with_consumers) {
  asio::steady_timer all_here(context_, asio::steady_timer::time_point::max());
  size_t missing = cores_.size();
  auto arrived = [&] {
    if (--missing == 0) all_here.cancel();
  };
  std::vector<std::unique_ptr<metrics_letter>> letters;
  for (core* one : cores_) {
    letters.push_back(std::make_unique<metrics_letter>(*one, with_consumers, context_, arrived));
    one->home().post(*letters.back());
  }
  asio::error_code ignored;
  // No answer can arrive before the wait began: answers are handlers of this thread too.
  co_await all_here.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  std::vector<core_metrics> numbers;
  for (auto& one : letters) numbers.push_back(std::move(one->numbers));
  co_return numbers;
}

}  // namespace weir
