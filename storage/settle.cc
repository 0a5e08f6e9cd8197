#include "storage/settle.h"

#include <optional>

#include "storage/block_writer.h"
#include "storage/journal_format.h"
#include "storage/record.h"

namespace weir {

namespace {

constexpr uint64_t block_bytes_max = 256ull << 20;    // then a block is full whatever its messages
constexpr size_t ahead = 16;                          // records
constexpr uint64_t block_sequences_max = 1ull << 31;  // distances in a block are 32 bits
// So much of a segment's data must be the log's, in hundredths, before it takes the segment over: what else is in there
// stays on the disk as long as the block does.
constexpr uint64_t taken_share = 75;

// A segment in which the log has records.
struct home {
  const filled_segment* segment = nullptr;
  uint64_t bytes = 0;  // of those records
  bool taken = false;  // the log takes it over
};

// Where the records of a log stand in the journal, as far as those segments may be taken over.
class homes {
 public:
  homes(std::span<const filled_segment> segments, const record_tail::frozen_runs& runs) {
    for (const filled_segment& each : segments) {
      if (each.bytes <= block_bytes_max) all_.push_back(home{&each});
    }
    if (all_.empty()) return;
    for (const auto& run : runs) {
      for (const tail_run::held_chunk& held : run->chunks) {
        home* in = held.live == 0 ? nullptr : find(*held.chunk);
        if (in != nullptr) in->bytes += held.bytes;
      }
    }
    for (home& each : all_) {
      const uint64_t data = each.segment->end.raw() - each.segment->base.raw() - segment_data_offset;
      each.taken = each.bytes > 0 && each.bytes >= data / 100 * taken_share;
    }
  }

  // The segment that the node's record stays in; null: it is copied.
  home* of(const tail_run& run, const tail_node& node) {
    const chunk* memory = &*run.chunks[node.owner].chunk;
    if (memory != memory_) {
      memory_ = memory;
      found_ = find(*memory);
    }
    return found_ != nullptr && found_->taken ? found_ : nullptr;
  }

 private:
  home* find(const chunk& memory) {
    for (home& each : all_) {
      const uint64_t base = each.segment->base.raw();
      if (memory.origin() >= base && memory.origin() - base < each.segment->bytes) return &each;
    }
    return nullptr;
  }

  std::vector<home> all_;
  const chunk* memory_ = nullptr;  // that was asked about last
  home* found_ = nullptr;
};

class settling {
 public:
  explicit settling(const settle_request& request) : request_(request), homes_(request.segments, request.runs) {}

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
    if (home* in = homes_.of(run, node); in != nullptr) {
      auto taken = take_over(*in, seq);
      if (!taken) return taken;
      if (in->taken) {
        const uint64_t at = run.chunks[node.owner].chunk->origin() + node.offset;
        writer_->add_taken(at - in->segment->base.raw(), bytes.size(), seq, subject_, node.time);
        return ok();
      }
    }
    auto room = make_room(bytes.size(), seq);
    if (!room) return room;
    return writer_->add(bytes, seq, subject_, node.time);
  }

  // Makes the segment the block that is written. If that cannot be done, it is no home any more.
  result<void> take_over(home& segment, seq_no seq) {
    if (taken_ == &segment) return ok();
    auto finished = finish(false);
    if (!finished) return finished;
    bool linked = false;
    auto made = block_writer::take_over(*request_.where, path_of(seq), header_of(seq), *segment.segment, linked);
    if (linked) outcome_.taken.push_back(segment.segment->base);
    if (made) {
      begin(std::move(*made));
      taken_ = &segment;
    } else {
      segment.taken = false;
      if (linked) remove_name(seq);
    }
    return ok();
  }

  // A block with room for the record.
  result<void> make_room(size_t size, seq_no seq) {
    if (!writer_ && request_.open_block && outcome_.blocks.empty()) {
      auto opened = block_writer::append(*request_.where, request_.root, request_.open_block);
      if (!opened) {
        outcome_.open_block_failed = opened.err().code != errc::disk_full;
        return opened.err();
      }
      use(std::move(*opened));
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
    auto made = block_writer::create(*request_.where, path_of(seq), header_of(seq));
    if (!made) return made.err();
    begin(std::move(*made));
    return ok();
  }

  void use(block_writer made) {
    writer_.emplace(std::move(made));
    writer_->work_in(std::move(memory_));
  }
  void begin(block_writer made) {
    use(std::move(made));
    created_ = true;
  }

  result<void> finish(bool full) {
    if (!writer_) return ok();
    auto made = writer_->finish(full || writer_->rows() >= request_.block_records);
    if (!made) return made.err();
    outcome_.blocks.push_back(std::move(*made));
    memory_ = writer_->take_memory();
    writer_.reset();
    appending_ = false;
    taken_ = nullptr;
    return ok();
  }

  // A new file that failed is nobody's: removed, so that the next try begins another. An old one keeps its length.
  void give_up(seq_no base) {
    writer_->abandon();
    bool keep = appending_;
    writer_.reset();
    if (!keep) remove_name(base);
  }

  void remove_name(seq_no base) { [[maybe_unused]] auto removed = request_.where->remove(path_of(base)); }

  std::string path_of(seq_no base) const { return block_path(request_.root, request_.stream, base); }
  block_header header_of(seq_no base) const { return {request_.stream, base, request_.label}; }

  const settle_request& request_;
  homes homes_;
  settle_outcome outcome_;
  std::optional<block_writer> writer_;
  const home* taken_ = nullptr;  // the segment that writer_ began with
  std::string_view subject_;     // of the record before, and its ordinal in the tail
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
