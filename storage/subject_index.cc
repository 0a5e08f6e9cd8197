#include "storage/subject_index.h"

#include <algorithm>

namespace weir {

namespace {
constexpr size_t leaf_max = 256;
constexpr size_t slots_min = 8;
constexpr size_t side_by_side = 32;  // look-ups
}  // namespace

uint32_t subject_index::hash_of(std::string_view name) {
  size_t hash = std::hash<std::string_view>()(name);
  return static_cast<uint32_t>(hash ^ (hash >> 32));
}

// The slot that holds the name, or the free one where it belongs.
size_t subject_index::slot_of(std::string_view name, uint32_t hash) const {
  size_t slot = home_of(hash);
  while (slots_[slot] != 0) {
    bool same_hash = static_cast<uint32_t>(slots_[slot] >> 32) == hash;
    if (same_hash && at(static_cast<ordinal>(slots_[slot]) - 1).name == name) break;
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

subject_index::ordinal subject_index::find(std::string_view name) const {
  if (size_ == 0) return none;
  size_t slot = slot_of(name, hash_of(name));
  return slots_[slot] == 0 ? none : static_cast<ordinal>(slots_[slot]) - 1;
}

subject_index::ordinal subject_index::find_or_add(std::string_view name, uint32_t hash) {
  if (size_ * 4 >= slots_.size() * 3) grow();
  size_t slot = slot_of(name, hash);
  if (slots_[slot] != 0) return static_cast<ordinal>(slots_[slot]) - 1;
  ordinal taken = take_line(name);
  slots_[slot] = static_cast<uint64_t>(hash) << 32 | (taken + 1);
  ++size_;
  insert_ordered(taken);
  return taken;
}

subject_index::ordinal subject_index::likely(uint32_t hash) const {
  constexpr size_t steps_max = 4;
  size_t at_slot = home_of(hash);
  for (size_t step = 0; step < steps_max && slots_[at_slot] != 0; ++step) {
    if (static_cast<uint32_t>(slots_[at_slot] >> 32) == hash) return static_cast<ordinal>(slots_[at_slot]) - 1;
    at_slot = (at_slot + 1) & (slots_.size() - 1);
  }
  return none;
}

void subject_index::find_or_add(const std::vector<record_fields>& run, std::vector<ordinal>& to) {
  to.resize(run.size());
  const std::string_view first_name = run.empty() ? std::string_view() : run.front().subject;
  const auto is_first = [&](const record_fields& each) {
    return each.subject.data() == first_name.data() && each.subject.size() == first_name.size();
  };
  if (std::all_of(run.begin(), run.end(), is_first)) {
    if (!run.empty()) std::fill(to.begin(), to.end(), find_or_add(first_name));
    return;
  }
  if (slots_.empty()) grow();
  // Of those that are not at the subject of the one before: where they stand in the run, and their hashes.
  size_t fresh[side_by_side];
  uint32_t hashes[side_by_side];
  ordinal known[side_by_side];
  for (size_t first = 0; first < run.size(); first += side_by_side) {
    const size_t end = std::min(run.size(), first + side_by_side);
    size_t count = 0;
    for (size_t i = first; i < end; ++i) {
      if (i > 0 && run[i].subject == run[i - 1].subject) continue;
      fresh[count] = i;
      const uint32_t hash = hashes[count++] = hash_of(run[i].subject);
      __builtin_prefetch(&slots_[home_of(hash)]);
    }
    for (size_t n = 0; n < count; ++n) {
      const ordinal found = known[n] = likely(hashes[n]);
      if (found != none) __builtin_prefetch(&at(found), 1);
    }
    for (size_t n = 0; n < count; ++n) {
      if (known[n] == none) continue;
      const std::string_view name = at(known[n]).name;
      __builtin_prefetch(name.data());
      __builtin_prefetch(name.data() + name.size() - 1);
    }
    size_t i = first;
    for (size_t n = 0; n < count; ++n) {
      for (; i < fresh[n]; ++i) to[i] = to[i - 1];
      to[i++] = find_or_add(run[fresh[n]].subject, hashes[n]);
    }
    for (; i < end; ++i) to[i] = to[i - 1];
  }
}

void subject_index::grow() {
  slot_table old(std::max(slots_min, slots_.size() * 2));
  old.swap(slots_);
  for (uint64_t each : old) {
    if (each == 0) continue;
    size_t slot = home_of(static_cast<uint32_t>(each >> 32));
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = each;
  }
}

subject_index::ordinal subject_index::take_line(std::string_view name) {
  ordinal taken;
  if (free_.empty()) {
    taken = lines_++;
    if (taken >= lines_in_chunks) {
      if ((taken - lines_in_chunks) % large_chunk_lines == 0) large_chunks_.emplace_back(large_chunk_lines);
    } else if (taken % chunk_lines == 0) {
      chunks_.push_back(std::make_unique<line[]>(chunk_lines));
    }
    names_.emplace_back();
  } else {
    taken = free_.back();
    free_.pop_back();
  }
  names_[taken] = std::make_unique<char[]>(name.size());
  std::copy(name.begin(), name.end(), names_[taken].get());
  at(taken) = line{};
  at(taken).name = std::string_view(names_[taken].get(), name.size());
  return taken;
}

void subject_index::erase(ordinal which) {
  erase_ordered(which);
  size_t hole = slot_of(at(which).name, hash_of(at(which).name));
  // Close the gap: what comes behind and may move up to it does.
  for (size_t next = hole;;) {
    next = (next + 1) & (slots_.size() - 1);
    if (slots_[next] == 0) break;
    size_t home = home_of(static_cast<uint32_t>(slots_[next] >> 32));
    size_t distance = (next - home) & (slots_.size() - 1);
    if (distance < ((next - hole) & (slots_.size() - 1))) continue;
    slots_[hole] = slots_[next];
    hole = next;
  }
  slots_[hole] = 0;
  at(which) = line{};
  names_[which].reset();
  free_.push_back(which);
  if (--size_ == 0) clear();
}

void subject_index::clear() {
  slots_ = slot_table();
  large_chunks_ = std::vector<large_chunk>();
  chunks_ = std::vector<std::unique_ptr<line[]>>();
  free_ = std::vector<ordinal>();
  leaves_ = std::vector<std::vector<ordinal>>();
  names_ = std::vector<std::unique_ptr<char[]>>();
  size_ = 0;
  lines_ = 0;
}

size_t subject_index::leaf_of(std::string_view name) const {
  auto after = std::upper_bound(
      leaves_.begin(), leaves_.end(), name,
      [this](std::string_view wanted, const std::vector<ordinal>& leaf) { return wanted < at(leaf.front()).name; });
  return after == leaves_.begin() ? 0 : static_cast<size_t>(after - leaves_.begin()) - 1;
}

size_t subject_index::place_in(const std::vector<ordinal>& leaf, std::string_view name) const {
  auto found = std::lower_bound(leaf.begin(), leaf.end(), name,
                                [this](ordinal each, std::string_view wanted) { return at(each).name < wanted; });
  return static_cast<size_t>(found - leaf.begin());
}

void subject_index::insert_ordered(ordinal which) {
  if (leaves_.empty()) leaves_.emplace_back();
  if (leaves_.front().empty()) {
    leaves_.front().push_back(which);
    return;
  }
  size_t i = leaf_of(at(which).name);
  auto& leaf = leaves_[i];
  leaf.insert(leaf.begin() + static_cast<ptrdiff_t>(place_in(leaf, at(which).name)), which);
  if (leaf.size() <= leaf_max) return;
  // Names often come in order: then the full leaf stays full and the new one begins with the last.
  auto cut = leaf.back() == which && i + 1 == leaves_.size() ? leaf.end() - 1 : leaf.begin() + leaf_max / 2;
  std::vector<ordinal> upper(cut, leaf.end());
  leaf.erase(cut, leaf.end());
  leaves_.insert(leaves_.begin() + static_cast<ptrdiff_t>(i) + 1, std::move(upper));
}

void subject_index::erase_ordered(ordinal which) {
  size_t i = leaf_of(at(which).name);
  auto& leaf = leaves_[i];
  leaf.erase(leaf.begin() + static_cast<ptrdiff_t>(place_in(leaf, at(which).name)));
  bool joins = i + 1 < leaves_.size() && leaf.size() + leaves_[i + 1].size() <= leaf_max / 2;
  if (joins) {
    auto& next = leaves_[i + 1];
    next.insert(next.begin(), leaf.begin(), leaf.end());
  }
  if (joins || leaf.empty()) leaves_.erase(leaves_.begin() + static_cast<ptrdiff_t>(i));
}

void subject_index::for_each(std::string_view prefix, const std::function<bool(const line&)>& each) const {
  if (leaves_.empty()) return;
  size_t i = leaf_of(prefix);
  size_t place = place_in(leaves_[i], prefix);
  for (; i < leaves_.size(); ++i, place = 0) {
    for (; place < leaves_[i].size(); ++place) {
      const line& found = at(leaves_[i][place]);
      if (!found.name.starts_with(prefix)) return;
      if (!each(found)) return;
    }
  }
}

}  // namespace weir
