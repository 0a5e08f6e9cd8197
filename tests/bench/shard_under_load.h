// A shard on a real disk with threads of its own for commits and cold work, driven from the calling thread as a reactor
// drives it: for benchmarks of what a shard can take when nothing of gRPC is in the way.
//
// One thread calls everything. Errors end the program (stop_bench).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/shard.h"
#include "net/system_clock.h"
#include "storage/posix_disk.h"
#include "tests/sim/manual_timers.h"

namespace weir {

// Jobs whose work is done, on their way back to the shard's thread.
class ended_jobs {
 public:
  void began() { ++under_way_; }
  void give(job& ended);
  // Completes what has ended; with `wait`, waits until something has. False: nothing is under way.
  bool run(bool wait);

 private:
  std::mutex lock_;
  std::condition_variable bell_;
  std::deque<job*> ended_;
  size_t under_way_ = 0;  // shard's thread only
};

class worker_lane final : public lane {
 public:
  worker_lane(ended_jobs& to, unsigned threads);
  ~worker_lane() override;
  void submit(job& next) override;

 private:
  void serve();

  ended_jobs& to_;
  std::mutex lock_;
  std::condition_variable bell_;
  std::deque<job*> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class shard_under_load {
 public:
  explicit shard_under_load(const std::string& directory);
  ~shard_under_load();
  shard_under_load(const shard_under_load&) = delete;

  void create_stream(const std::string& name);

  // Frames of `records` records each are placed until `messages` were, at most `frames_max` of them not durable at a
  // time. Returns when all are durable and whatever they left to do (settling) is done.
  struct work {
    uint64_t messages = 0;
    size_t records = 256;
    size_t payload_bytes = 128;
    size_t frames_max = 64;
    std::function<const std::string&(uint64_t frame)> stream;  // of a frame
    std::function<void(uint64_t message, std::string& subject)> subject;
  };
  struct cost {
    double seconds = 0;
    double cpu_seconds = 0;    // of all threads
    double shard_seconds = 0;  // of that, of the calling one: the shard's
  };
  cost publish(const work& wanted);
  // Until nothing is under way.
  void drain();
  // Puts everything into block files, as a stop does; nothing may be published afterwards.
  void stop();

 private:
  class no_events final : public event_sink {
   public:
    void on_event(const watch_event&) override {}
  };
  struct frame {
    std::vector<std::string> subjects;
    std::vector<publish_request> records;
    bool free = true;
  };

  task<void> place(frame& one);
  void fill(frame& one, const work& wanted, uint64_t number, uint64_t first);

  posix_disk where_;
  ended_jobs ended_;
  worker_lane commits_{ended_, 1};
  worker_lane pool_{ended_, 2};
  system_clock clock_;
  manual_timers deadlines_;
  no_events events_;
  gate running_;
  std::unique_ptr<shard> shard_;
  std::vector<std::unique_ptr<frame>> frames_;
  std::string payload_;
};

}  // namespace weir
