// versus-redis: the Redis part of a comparison, by hiredis: pipelined XADD to one stream, and XREADGROUP + XACK by a
// group whose consumers are the connections.
#include <hiredis/hiredis.h>
#include <poll.h>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "tools/load/bench_report.h"
#include "tools/versus/worker.h"

namespace weir {
namespace {

constexpr int answer_s_max = 60;
constexpr uint64_t ns_per_s = 1'000'000'000;

struct reply_deleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using reply_ptr = std::unique_ptr<redisReply, reply_deleter>;

class redis_link {
 public:
  explicit redis_link(const std::string& server) {
    size_t colon = server.rfind(':');
    context_ = redisConnect(server.substr(0, colon).c_str(), std::stoi(server.substr(colon + 1)));
    if (context_ == nullptr || context_->err != 0) stop_bench("redis: cannot connect to " + server);
    timeval limit{answer_s_max, 0};
    (void)redisSetTimeout(context_, limit);
  }
  ~redis_link() { redisFree(context_); }
  redis_link(const redis_link&) = delete;

  void append(const std::vector<std::string_view>& words) {
    std::vector<const char*> starts;
    std::vector<size_t> sizes;
    for (std::string_view word : words) {
      starts.push_back(word.data());
      sizes.push_back(word.size());
    }
    must(redisAppendCommandArgv(context_, static_cast<int>(words.size()), starts.data(), sizes.data()));
  }
  void append_formatted(const std::string& command) {
    must(redisAppendFormattedCommand(context_, command.data(), command.size()));
  }
  // Sends what was appended.
  void flush() {
    for (int done = 0; done == 0;) must(redisBufferWrite(context_, &done));
  }
  // The next answer; sends and waits if it must. An error of the server ends the program.
  reply_ptr answer() {
    void* got = nullptr;
    must(redisGetReply(context_, &got));
    return checked(got);
  }
  // Waits until something came, or it is time, and takes in what came; false: nothing.
  bool wait(uint64_t until_ns) {
    pollfd watched{context_->fd, POLLIN, 0};
    uint64_t now = now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    timespec limit{static_cast<time_t>(left / ns_per_s), static_cast<long>(left % ns_per_s)};
    if (::ppoll(&watched, 1, &limit, nullptr) <= 0) return false;
    must(redisBufferRead(context_));
    return true;
  }
  // The next answer of those that are here already; none: null.
  reply_ptr answer_here() {
    void* got = nullptr;
    must(redisGetReplyFromReader(context_, &got));
    return got == nullptr ? nullptr : checked(got);
  }

 private:
  void must(int status) {
    if (status != REDIS_OK) stop_bench(std::string("redis: ") + context_->errstr);
  }
  static reply_ptr checked(void* got) {
    reply_ptr reply(static_cast<redisReply*>(got));
    if (reply->type == REDIS_REPLY_ERROR) stop_bench(std::string("redis: ") + reply->str);
    return reply;
  }

  redisContext* context_ = nullptr;
};

class redis_publisher final : public publisher_link {
 public:
  explicit redis_publisher(const versus_options& options) : link_(options.server) {
    std::string payload(options.size, '\0');
    char* text = nullptr;
    int size = redisFormatCommand(&text, "XADD %s * p %b", options.stream.c_str(), payload.data(), payload.size());
    if (size < 0) stop_bench("redis: cannot make a command");
    command_.assign(text, static_cast<size_t>(size));
    redisFreeCommand(text);
    payload_at_ = command_.size() - payload.size() - 2;  // the line end of the protocol comes last
  }

  void run(publish_share& share) override {
    send_more(share);
    while (!sent_ns_.empty() || !share.over(now_ns())) {
      uint64_t far = now_ns() + answer_s_max * ns_per_s;
      bool waits_for_answers = sent_ns_.size() >= share.window() || share.over(now_ns());
      bool came = link_.wait(waits_for_answers || !share.paced() ? far : share.next_due_ns());
      if (!came && waits_for_answers) stop_bench("redis: no answer");
      for (reply_ptr reply = link_.answer_here(); reply; reply = link_.answer_here()) {
        share.acked(sent_ns_.front(), now_ns());
        sent_ns_.pop_front();
      }
      send_more(share);
    }
  }

 private:
  // Fills the window and sends it.
  void send_more(publish_share& share) {
    for (;;) {
      uint64_t now = now_ns();
      if (sent_ns_.size() >= share.window() || share.over(now) || share.due(now) == 0) break;
      sent_ns_.push_back(share.next(reinterpret_cast<uint8_t*>(command_.data()) + payload_at_, now));
      link_.append_formatted(command_);
    }
    link_.flush();
  }

  redis_link link_;
  std::string command_;
  size_t payload_at_ = 0;
  std::deque<uint64_t> sent_ns_;
};

class redis_consumer final : public consumer_link {
 public:
  redis_consumer(const versus_options& options, unsigned connection)
      : link_(options.server),
        stream_(options.stream),
        group_(options.consumer),
        name_("c" + std::to_string(connection)),
        pull_(std::to_string(options.pull)),
        wait_(std::to_string(wait_ms_max)) {}

  // The XACK of a batch travels with the next XREADGROUP.
  void run(consume_share& share) override {
    ask();
    for (bool asked = true; asked;) {
      reply_ptr batch = link_.answer();
      take(*batch, share);
      share.tell();
      bool acks = !ids_.empty();
      if (acks) acknowledge();
      asked = !share.over();
      if (asked) ask();
      if (!acks) continue;
      reply_ptr acked = link_.answer();
      if (acked->type != REDIS_REPLY_INTEGER || acked->integer != static_cast<long long>(ids_.size())) {
        stop_bench("redis: XACK did not take all");
      }
      share.acked(now_ns());
    }
  }

 private:
  void ask() {
    link_.append({"XREADGROUP", "GROUP", group_, name_, "COUNT", pull_, "BLOCK", wait_, "STREAMS", stream_, ">"});
  }

  void acknowledge() {
    std::vector<std::string_view> words = {"XACK", stream_, group_};
    words.insert(words.end(), ids_.begin(), ids_.end());
    link_.append(words);
  }

  // [[stream, [[id, [field, value]], ...]]], or nil when nothing came in time.
  void take(const redisReply& reply, consume_share& share) {
    ids_.clear();
    if (reply.type == REDIS_REPLY_NIL) return;
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 1 || reply.element[0]->elements != 2) malformed();
    uint64_t now = now_ns();
    const redisReply& entries = *reply.element[0]->element[1];
    for (size_t n = 0; n < entries.elements; ++n) {
      const redisReply& entry = *entries.element[n];
      if (entry.elements != 2 || entry.element[1]->elements != 2) malformed();
      const redisReply& payload = *entry.element[1]->element[1];
      share.take({reinterpret_cast<const uint8_t*>(payload.str), payload.len}, now);
      ids_.emplace_back(entry.element[0]->str, entry.element[0]->len);
    }
  }

  [[noreturn]] static void malformed() { stop_bench("redis: XREADGROUP answered something else than expected"); }

  redis_link link_;
  std::string stream_;
  std::string group_;
  std::string name_;
  std::string pull_;
  std::string wait_;
  std::vector<std::string> ids_;
};

class redis_system final : public versus_system {
 public:
  explicit redis_system(const versus_options& options) : options_(options) {}

  // A stream is there with its first message.
  void create_stream() override {}
  void create_consumer() override {
    redis_link link(options_.server);
    link.append({"XGROUP", "CREATE", options_.stream, options_.consumer, "0", "MKSTREAM"});
    (void)link.answer();
  }
  std::unique_ptr<publisher_link> publisher() override { return std::make_unique<redis_publisher>(options_); }
  std::unique_ptr<consumer_link> consumer(unsigned connection) override {
    return std::make_unique<redis_consumer>(options_, connection);
  }
  // Every XACK is answered.
  bool settle() override { return false; }

 private:
  const versus_options& options_;
};

std::unique_ptr<versus_system> make(const versus_options& options) {
  return std::make_unique<redis_system>(options);
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  return weir::versus_main(argc, argv, weir::make);
}
