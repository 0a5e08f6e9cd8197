// Makes the golden data directory of the format this program writes: make_golden DIRECTORY
//
// Run once for each format version, and the result is checked in (tests/golden/v1). It holds sealed and open blocks
// with removals, two snapshots, a dropped stream, and a journal tail that no snapshot has.
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "storage/posix_disk.h"
#include "storage/record.h"
#include "tests/golden/golden.h"

namespace weir::golden {
namespace {

template <class T>
T must(result<T> outcome) {
  if (!outcome) {
    std::fprintf(stderr, "make_golden: %s\n", outcome.err().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*outcome);
}

class generator {
 public:
  explicit generator(const std::string& directory) : where_(directory) {
    must(where_.make_dir(""));
    it_ = must(store::open(where_, lane_, lane_, clock_, "shard", config(), client_));
  }

  void make() {
    state("stream 1 10 orders");
    state("stream 2 100 config");
    state("stream 3 10 short-lived");
    state("note made for format v1");
    for (int i = 1; i <= 25; ++i) publish(1, i % 3 == 0 ? "orders.us" : "orders.eu", i);
    for (int i = 1; i <= 12; ++i) publish(2, "key." + std::to_string(i % 4), i);
    publish(3, "gone", 1);
    checkpoint();
    it_->log(stream_id(1))->remove({seq_no(2), seq_no(7), seq_no(24)});
    it_->log(stream_id(2))->remove_before(seq_no(5));
    state("drop 3");
    for (int i = 26; i <= 33; ++i) publish(1, "orders.asia", i);
    checkpoint();
    for (int i = 34; i <= 37; ++i) publish(1, "orders.eu", i);
    publish(2, "key.\xc3\xa9t\xc3\xa9", 13);
    it_->log(stream_id(1))->remove({seq_no(30), seq_no(35)});
    state("note the journal's tail");
    sync();
  }
  std::string shown() { return dump(*it_, client_); }

 private:
  void room(size_t bytes) { must(run(it_->log_journal().room(bytes, false))); }

  void state(const std::string& line) {
    room(line.size());
    it_->append_state(stream_id(), as_bytes(line));
    must(client_.apply(stream_id(), as_bytes(line)));
  }

  void publish(uint64_t stream, const std::string& subject, int number) {
    stream_log& log = *it_->log(stream_id(stream));
    std::string payload = number % 5 == 0 ? std::string() : "payload " + std::to_string(number * 1001);
    if (number % 9 == 0) payload += std::string(1500, '.');
    std::string headers = number % 4 == 0 ? encode_headers({{"n", std::to_string(number)}, {"n", "again"}}) : "";
    wall_ms time(number % 7 == 0 ? 0 : 1'700'000'000'000 + number);
    record_fields fields{subject, time, as_bytes(headers), as_bytes(payload)};
    room(log.append_bytes(fields));
    log.append(fields, static_cast<uint64_t>(number));
  }

  void checkpoint() { must(run(it_->checkpoint())); }

  task<void> wait_durable(result<void>& outcome) {
    auto wait = it_->log_journal().durable(it_->log_journal().appended());
    outcome = co_await wait;
  }
  void sync() {
    result<void> outcome = fail(errc::internal, "not durable");
    gate running;
    running.spawn(wait_durable(outcome));
    it_->flush();
    must(outcome);
  }

  posix_disk where_;
  inline_lane lane_;
  manual_clock clock_;
  client client_;
  std::unique_ptr<store> it_;
};

}  // namespace
}  // namespace weir::golden

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_golden DIRECTORY\n");
    return 2;
  }
  weir::golden::generator made(argv[1]);
  made.make();
  std::ofstream(std::string(argv[1]) + "/expected.txt") << made.shown();
  std::_Exit(0);  // without a clean close: the journal's tail stays a tail
}
