#include "storage/settle.h"

#include <optional>

#include "storage/block_writer.h"
#include "storage/record.h"

namespace weir {

namespace {

constexpr uint64_t block_bytes_max = 256ull << 20;    // then a block is full whatever its messages
constexpr size_t ahead = 16;                          // records
constexpr uint64_t block_sequences_max = 1ull << 31;  // distances in a block are 32 bits

class settling {
 public:
  explicit settling(const settle_request& request) : request_(request) {}

  settle_outcome run() {
    outcome_.status = all();
    if (!outcome_.status && writer_) {
      outcome_.open_block_failed = outcome_.open_block_failed || (appending_ && writer_->sync_failed());
      give_up(writer_->base());
    }
    // Blocks that were finished before the failure are begun again next time.
    if (!outcome_.status) outcome_.blocks.clear();
    return std::move(outcome_);
  }

 private:
  result<void> all() {
    for (const auto& run : request_.runs) {
      for (size_t i = 0; i < run->nodes.size(); ++i) {
        const tail_node& node = run->nodes[i];
        if (node.owner == tail_node::none) continue;
        if (i + ahead < run->nodes.size()) expect(*run, run->nodes[i + ahead]);
        auto added = add(*run, node);
        if (!added) return added;
      }
    }
    auto finished = finish(false);
    if (!finished || !created_) return finished;
    return request_.where->sync_dir(stream_dir(request_.root, request_.stream));
  }

  // Its subject is asked for soon.
  void expect(const tail_run& run, const tail_node& node) const {
    if (node.owner != tail_node::none && node.subject != ordinal_) __builtin_prefetch(run.bytes(node).data());
  }

  // Most records have the subject of the one before: they are not even looked at, which saves a cache miss each.
  result<void> add(const tail_run& run, const tail_node& node) {
    const byte_span bytes = run.bytes(node);
    const seq_no seq = run.seq_of(node);
    if (subject_.empty() || node.subject != ordinal_) {
      subject_ = record_subject(bytes);
      ordinal_ = node.subject;
      WEIR_CHECK(!subject_.empty());
    }
    auto room = make_room(bytes.size(), seq);
    if (!room) return room;
    return writer_->add(bytes, seq, subject_, node.time);
  }

  // A block with room for the record.
  result<void> make_room(size_t size, seq_no seq) {
    if (!writer_ && request_.open_block && outcome_.blocks.empty()) {
      auto opened = block_writer::append(*request_.where, request_.root, request_.open_block);
      if (!opened) {
        outcome_.open_block_failed = opened.err().code != errc::disk_full;
        return opened.err();
      }
      writer_.emplace(std::move(*opened));
      writer_->work_in(std::move(memory_));
      appending_ = true;
    }
    bool full = writer_ && writer_->rows() > 0 &&
                (writer_->rows() >= request_.block_records || writer_->length() + size > block_bytes_max ||
                 seq.raw() - writer_->base().raw() >= block_sequences_max);
    if (full) {
      auto finished = finish(true);
      if (!finished) return finished;
    }
    if (writer_) return ok();
    block_header header{request_.stream, seq, request_.label};
    auto made = block_writer::create(*request_.where, block_path(request_.root, request_.stream, seq), header);
    if (!made) return made.err();
    writer_.emplace(std::move(*made));
    writer_->work_in(std::move(memory_));
    created_ = true;
    return ok();
  }

  result<void> finish(bool full) {
    if (!writer_) return ok();
    auto made = writer_->finish(full || writer_->rows() >= request_.block_records);
    if (!made) return made.err();
    outcome_.blocks.push_back(std::move(*made));
    memory_ = writer_->take_memory();
    writer_.reset();
    appending_ = false;
    return ok();
  }

  // A new file that failed is nobody's: removed, so that the next try begins another. An old one keeps its length.
  void give_up(seq_no base) {
    writer_->abandon();
    bool keep = appending_;
    writer_.reset();
    if (keep) return;
    [[maybe_unused]] auto removed = request_.where->remove(block_path(request_.root, request_.stream, base));
  }

  const settle_request& request_;
  settle_outcome outcome_;
  std::optional<block_writer> writer_;
  std::string_view subject_;  // of the record before, and its ordinal in the tail
  uint32_t ordinal_ = 0;
  block_writer::memory memory_;
  bool appending_ = false;  // writer_ goes on with open_block
  bool created_ = false;
};

}  // namespace

settle_outcome settle(const settle_request& request) {
  return settling(request).run();
}

}  // namespace weir
