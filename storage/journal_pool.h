// Whole segment files that hold nothing needed: recycled ones, and new ones filled with zeros in the background. In
// place of one that a block took over a new one is only allocated: where so much is written at once, the file system's
// own notes at each sync cost less than writing everything twice.
//
// Owned by the journal; lives on the shard's thread. Files are made and removed on the commit lane, one step of
// fill_step_bytes after the other, so that commits get in between. A file is `ready` when it has its full size on disk:
// writing over it needs no space any more, so an entry that was let in never meets a full disk.
#pragma once

#include <deque>
#include <functional>

#include "storage/disk.h"
#include "storage/lane.h"
#include "storage/time.h"

namespace weir {

class segment_pool {
 public:
  static constexpr uint64_t fill_step_bytes = 1 << 20;
  static constexpr int64_t retry_ns = 500'000'000;  // after a full disk

  segment_pool(disk& where, lane& commits, clock_port& clock, std::string directory, uint64_t segment_bytes);

  size_t ready() const { return ready_.size(); }
  std::string take();
  // A whole file that holds nothing needed any more.
  void give(std::string path) { ready_.push_back(std::move(path)); }
  // Removes a file that is of no use, in the background.
  void discard(std::string path);

  // New files are named from this number on.
  void number_from(uint64_t next) { next_name_ = next; }
  // Blocking, for open(): makes a file at once. A full disk is not an error here.
  result<void> make_now();
  // Makes a file in the background, unless one is being made or the disk was full less than retry_ns ago.
  void make_more();
  // One more of the new files is allocated, not filled, if the file system can do that.
  void allocate_one() { ++to_allocate_; }
  // The next make_more() tries at once.
  void forget_full() { full_at_.reset(); }
  // No step is begun any more; what is on the lane still ends.
  void stop() { stopped_ = true; }

  bool on_lane() const { return on_lane_; }
  bool filling() const { return filling_; }
  bool disk_is_full() const { return full_; }
  const error& full_reason() const { return full_reason_; }

  // A step ended: there may be one more ready file, or the disk is full, or (the error) it failed otherwise.
  std::function<void(const result<void>&)> on_step;

 private:
  // Bytes of a new file, or the removal of one.
  struct step final : job {
    explicit step(segment_pool& pool) : owner(pool) {}
    void work() override { outcome = owner.run(*this, fill_step_bytes); }
    void done() override { owner.step_done(); }

    segment_pool& owner;
    std::string path;
    bool removes = false;
    bool allocates = false;
    std::unique_ptr<file> target;
    uint64_t filled = 0;
    result<void> outcome;
  };

  void begin_fill();
  void submit_next();
  void step_done();
  result<void> settle(const result<void>& filled);
  result<void> run(step& work, uint64_t bytes_max);
  result<void> fill_some(step& work, uint64_t bytes_max);

  disk& disk_;
  lane& lane_;
  clock_port& clock_;
  std::string directory_;
  uint64_t segment_bytes_;
  std::deque<std::string> ready_;
  std::deque<std::string> unwanted_;
  step step_{*this};
  uint64_t next_name_ = 1;
  uint64_t to_allocate_ = 0;
  bool on_lane_ = false;
  bool filling_ = false;
  bool stopped_ = false;
  bool full_ = false;
  std::optional<mono_ns> full_at_;
  error full_reason_;
};

}  // namespace weir
