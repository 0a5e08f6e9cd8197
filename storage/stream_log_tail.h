// The records of a log that are in memory: for a durable log those that no block file has yet, for an ephemeral one all
// of them.
//
// Owned by the log. Bytes stay where the journal (or recovery, or an arena) put them; a node is a place in them, its
// subject's ordinal and its neighbours at the same subject. Nodes lie in runs of bounded length, which hold the chunks
// of their live nodes, a reference for all nodes in a chunk; a run without live nodes goes. A checkpoint freezes the
// runs and hands them to the pool lane, which reads them while the shard goes on: of a frozen run the shard changes
// only links and `removed`.
#pragma once

#include <memory>
#include <vector>

#include "storage/bytes.h"
#include "storage/ids.h"
#include "storage/time.h"

namespace weir {

struct tail_node {
  static constexpr uint32_t none = ~uint32_t{0};

  seq_no before;  // neighbours at the same subject in the tail; 0, or one that has left the tail, if none
  seq_no after;
  wall_ms time;
  uint32_t owner = none;  // which chunk of the run; none: removed before the run was frozen
  uint32_t offset = 0;    // in the owner's buffer
  uint32_t size = 0;
  uint32_t delta = 0;  // seq - first of the run
  uint32_t subject = 0;
  bool removed = false;
};

struct tail_run {
  struct held_chunk {
    chunk_ref chunk;     // null: no node needs it any more
    uint32_t live = 0;   // nodes that do
    uint64_t bytes = 0;  // of their records
  };

  seq_no first;
  std::vector<tail_node> nodes;
  std::vector<held_chunk> chunks;
  uint32_t live = 0;
  bool frozen = false;

  seq_no seq_of(const tail_node& node) const { return seq_no(first.raw() + node.delta); }
  seq_no last() const { return seq_of(nodes.back()); }
  byte_span bytes(const tail_node& node) const { return {chunks[node.owner].chunk->data() + node.offset, node.size}; }
  slice share(const tail_node& node) const { return slice(chunks[node.owner].chunk, bytes(node).data(), node.size); }
  void let_go(tail_node& node);
};

class record_tail {
 public:
  using frozen_runs = std::vector<std::shared_ptr<const tail_run>>;

  record_tail() = default;
  record_tail(const record_tail&) = delete;
  record_tail& operator=(const record_tail&) = delete;

  // Above every sequence in the tail. The bytes lie in the owner's buffer.
  tail_node& append(seq_no seq, const chunk_ref& owner, byte_span bytes, wall_ms time);
  // Says that `before` is the live node before this one at its subject (one that is not in the tail: none).
  void link(seq_no seq, tail_node& node, seq_no before) {
    tail_node* neighbour = lookup(before);
    if (neighbour == nullptr) return;
    node.before = before;
    neighbour->after = seq;
  }
  // The node is asked for soon: fetches it into the cache.
  void expect(seq_no seq) const;
  // The node of a live sequence; null if it is not here.
  const tail_node* find(seq_no seq) const { return lookup(seq); }
  tail_node* find(seq_no seq) { return lookup(seq); }
  // Takes a live node out of its subject's chain and lets go of its bytes.
  void remove(seq_no seq);

  // Calls each(run, node) for the live nodes in [from, to], in order, until it returns false.
  template <class Each>
  void for_each(seq_no from, seq_no to, Each each) const {
    for (size_t i = run_at(from); i < runs_.size() && runs_[i]->first <= to; ++i) {
      const tail_run& run = *runs_[i];
      for (size_t n = node_at(run, from); n < run.nodes.size(); ++n) {
        const tail_node& node = run.nodes[n];
        if (run.seq_of(node) > to) return;
        if (!node.removed && !each(run, node)) return;
      }
    }
  }

  // Everything that is here now, for the pool lane; later appends begin a new run.
  frozen_runs freeze();
  // The pool lane reads nothing any more.
  void thaw();
  // Forgets what lies up to `last`: it is in block files now. / What lies above: it never became durable.
  void drop_through(seq_no last);
  void drop_above(seq_no last);

  // Nodes that take memory, and how many of them are live.
  size_t nodes() const { return nodes_; }
  size_t live() const { return live_; }
  // Copies the live records close together: for an ephemeral log most of whose messages are gone. Not while frozen.
  void compact();

 private:
  static constexpr size_t run_nodes_max = 1024;

  size_t run_at(seq_no seq) const;  // the run that may hold seq, else the first after it (or the one before)
  static size_t node_at(const tail_run& run, seq_no seq);
  tail_node* lookup(seq_no seq) const {
    if (runs_.empty() || seq < runs_.back()->first) return look_further(seq);
    tail_run& run = *runs_.back();
    const uint64_t delta = seq.raw() - run.first.raw();
    const bool dense = run.nodes.back().delta + size_t{1} == run.nodes.size();
    if (!dense) return look_further(seq);
    return delta < run.nodes.size() && !run.nodes[delta].removed ? &run.nodes[delta] : nullptr;
  }
  tail_node* look_further(seq_no seq) const;
  void drop_run(size_t at);

  std::vector<std::shared_ptr<tail_run>> runs_;
  size_t nodes_ = 0;
  size_t live_ = 0;
};

}  // namespace weir
