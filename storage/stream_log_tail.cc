#include "storage/stream_log_tail.h"

#include <algorithm>
#include <limits>

#include "storage/check.h"

namespace weir {

namespace {
constexpr size_t compact_chunk_bytes = 256 << 10;
}

size_t record_tail::run_at(seq_no seq) const {
  // Where no sequence is missing the place is nearly known: all runs are full but those that a checkpoint cut short.
  constexpr size_t steps_max = 8;
  if (!runs_.empty() && seq >= runs_.front()->first) {
    const size_t guess = (seq.raw() - runs_.front()->first.raw()) / run_nodes_max;
    for (size_t i = guess; i + 1 < runs_.size() && i < guess + steps_max && runs_[i]->first <= seq; ++i) {
      if (seq < runs_[i + 1]->first) return i;
    }
  }
  auto found = std::lower_bound(runs_.begin(), runs_.end(), seq,
                                [](const auto& run, seq_no wanted) { return run->last() < wanted; });
  return static_cast<size_t>(found - runs_.begin());
}

// The node of seq or the first after it.
size_t record_tail::node_at(const tail_run& run, seq_no seq) {
  if (seq <= run.first) return 0;
  uint64_t delta = seq.raw() - run.first.raw();
  if (delta < run.nodes.size() && run.nodes[delta].delta == delta) return delta;
  if (run.nodes.back().delta + size_t{1} == run.nodes.size()) return std::min<size_t>(delta, run.nodes.size());
  auto found = std::lower_bound(run.nodes.begin(), run.nodes.end(), delta,
                                [](const tail_node& node, uint64_t wanted) { return node.delta < wanted; });
  return static_cast<size_t>(found - run.nodes.begin());
}

void tail_run::let_go(tail_node& node) {
  held_chunk& held = chunks[node.owner];
  held.bytes -= node.size;
  if (--held.live == 0) held.chunk = {};
  node.owner = tail_node::none;
}

tail_node* record_tail::look_further(seq_no seq) const {
  if (runs_.empty() || seq < runs_.front()->first || seq > runs_.back()->last()) return nullptr;
  tail_run& run = *runs_[run_at(seq)];
  size_t at = node_at(run, seq);
  if (at == run.nodes.size() || run.seq_of(run.nodes[at]) != seq || run.nodes[at].removed) return nullptr;
  return &run.nodes[at];
}

void record_tail::expect(seq_no seq) const {
  if (runs_.empty() || seq < runs_.front()->first) return;
  const tail_run& run = *runs_[std::min(run_at(seq), runs_.size() - 1)];
  const uint64_t delta = seq.raw() - run.first.raw();
  if (delta >= run.nodes.size()) return;
  __builtin_prefetch(&run.nodes[delta], 1);
  __builtin_prefetch(&run.nodes[delta].removed, 1);  // a node may lie in two lines
}

tail_node& record_tail::append(seq_no seq, const chunk_ref& owner, byte_span bytes, wall_ms time) {
  WEIR_CHECK(runs_.empty() || runs_.back()->last() < seq);
  bool fits = !runs_.empty() && !runs_.back()->frozen && runs_.back()->nodes.size() < run_nodes_max &&
              seq.raw() - runs_.back()->first.raw() <= std::numeric_limits<uint32_t>::max();
  if (!fits) {
    runs_.push_back(std::make_shared<tail_run>());
    runs_.back()->first = seq;
    if (runs_.size() > 1) runs_.back()->nodes.reserve(run_nodes_max);
  }
  tail_run& run = *runs_.back();
  if (run.chunks.empty() || !(run.chunks.back().chunk == owner)) run.chunks.push_back({owner});
  ++run.chunks.back().live;
  run.chunks.back().bytes += bytes.size();
  tail_node& node = run.nodes.emplace_back();
  node.owner = static_cast<uint32_t>(run.chunks.size() - 1);
  node.time = time;
  node.offset = static_cast<uint32_t>(bytes.data() - owner->data());
  node.size = static_cast<uint32_t>(bytes.size());
  node.delta = static_cast<uint32_t>(seq.raw() - run.first.raw());
  ++run.live;
  ++nodes_;
  ++live_;
  return node;
}

void record_tail::remove(seq_no seq) {
  size_t i = run_at(seq);
  WEIR_CHECK(i < runs_.size());
  tail_run& run = *runs_[i];
  tail_node& node = run.nodes[node_at(run, seq)];
  WEIR_CHECK(!node.removed && run.seq_of(node) == seq);
  if (tail_node* before = node.before == seq_no() ? nullptr : lookup(node.before)) before->after = node.after;
  if (tail_node* after = node.after == seq_no() ? nullptr : lookup(node.after)) after->before = node.before;
  node.removed = true;
  --live_;
  --run.live;
  if (run.frozen) return;
  run.let_go(node);
  if (run.live == 0) drop_run(i);
}

void record_tail::drop_run(size_t at) {
  nodes_ -= runs_[at]->nodes.size();
  live_ -= runs_[at]->live;
  runs_.erase(runs_.begin() + static_cast<ptrdiff_t>(at));
  if (runs_.empty()) runs_ = std::vector<std::shared_ptr<tail_run>>();
}

record_tail::frozen_runs record_tail::freeze() {
  for (auto& run : runs_) run->frozen = true;
  return {runs_.begin(), runs_.end()};
}

void record_tail::thaw() {
  for (size_t i = runs_.size(); i-- > 0;) {
    tail_run& run = *runs_[i];
    if (!run.frozen) continue;
    run.frozen = false;
    for (tail_node& node : run.nodes) {
      if (node.removed && node.owner != tail_node::none) run.let_go(node);
    }
    if (run.live == 0) drop_run(i);
  }
}

void record_tail::drop_through(seq_no last) {
  size_t gone = 0;
  while (gone < runs_.size() && runs_[gone]->last() <= last) {
    nodes_ -= runs_[gone]->nodes.size();
    live_ -= runs_[gone]->live;
    ++gone;
  }
  WEIR_CHECK(gone == runs_.size() || runs_[gone]->first > last);
  runs_.erase(runs_.begin(), runs_.begin() + static_cast<ptrdiff_t>(gone));
  if (runs_.empty()) runs_ = std::vector<std::shared_ptr<tail_run>>();
}

void record_tail::drop_above(seq_no last) {
  while (!runs_.empty() && runs_.back()->last() > last) {
    tail_run& run = *runs_.back();
    tail_node& last_node = run.nodes.back();
    if (!last_node.removed) {
      --run.live;
      --live_;
    }
    if (last_node.owner != tail_node::none) run.let_go(last_node);
    run.nodes.pop_back();
    --nodes_;
    if (run.nodes.empty()) runs_.pop_back();
  }
}

void record_tail::compact() {
  std::vector<std::shared_ptr<tail_run>> old;
  old.swap(runs_);
  nodes_ = 0;
  live_ = 0;
  slice room;  // of the chunk that is being filled
  for (const auto& run : old) {
    WEIR_CHECK(!run->frozen);
    for (const tail_node& node : run->nodes) {
      if (node.removed) continue;
      if (room.size() < node.size) {
        chunk_ref fresh = chunk_ref::make(std::max<size_t>(compact_chunk_bytes, node.size));
        room = slice(fresh, fresh->data(), fresh->capacity());
      }
      std::memcpy(const_cast<uint8_t*>(room.data()), run->bytes(node).data(), node.size);
      append(run->seq_of(node), room.owner(), room.bytes().first(node.size), node.time);
      tail_node& copy = runs_.back()->nodes.back();
      copy.before = node.before;
      copy.after = node.after;
      copy.subject = node.subject;
      room = room.sub(node.size, room.size() - node.size);
    }
  }
}

}  // namespace weir
