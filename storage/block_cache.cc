#include "storage/block_cache.h"

#include <algorithm>

namespace weir {

size_t block_cache::key_hash::operator()(const key& of) const noexcept {
  uint64_t mixed = (of.part * 0x9e3779b97f4a7c15ull) ^ (uint64_t{of.group} << 32 | of.piece);
  return std::hash<uint64_t>()(mixed * 0xff51afd7ed558ccdull);
}

const block_cache::entry* block_cache::find(const key& wanted) {
  auto found = index_.find(wanted);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &*found->second;
}

void block_cache::put(entry made) {
  auto old = index_.find(made.where);
  if (old != index_.end()) {
    bytes_ -= old->second->bytes;
    entries_.erase(old->second);
    index_.erase(old);
  }
  bytes_ += made.bytes;
  entries_.push_front(std::move(made));
  index_[entries_.front().where] = entries_.begin();
  while (bytes_ > bytes_max_ && !entries_.empty()) {
    bytes_ -= entries_.back().bytes;
    index_.erase(entries_.back().where);
    entries_.pop_back();
  }
}

std::shared_ptr<const row_group> block_cache::find_group(uint64_t part, uint32_t group, bool with_names) {
  const entry* found = find(key{part, group, no_piece});
  if (found == nullptr || (with_names && !found->group->with_names)) return nullptr;
  return found->group;
}

void block_cache::put_group(uint64_t part, uint32_t group, std::shared_ptr<const row_group> loaded) {
  size_t bytes = loaded->bytes();
  put(entry{key{part, group, no_piece}, std::move(loaded), nullptr, bytes});
}

std::shared_ptr<const data_piece> block_cache::find_piece(uint64_t part, uint32_t group, uint32_t piece) {
  const entry* found = find(key{part, group, piece});
  return found == nullptr ? nullptr : found->piece;
}

void block_cache::put_piece(uint64_t part, uint32_t group, uint32_t piece, std::shared_ptr<const data_piece> loaded) {
  size_t bytes = loaded->bytes();
  put(entry{key{part, group, piece}, nullptr, std::move(loaded), bytes});
}

std::unique_ptr<file> block_cache::take_file(uint64_t uid) {
  auto found = std::find_if(files_.begin(), files_.end(), [&](const auto& each) { return each.first == uid; });
  if (found == files_.end()) return nullptr;
  std::unique_ptr<file> taken = std::move(found->second);
  files_.erase(found);
  return taken;
}

void block_cache::give_file(uint64_t uid, std::unique_ptr<file> back) {
  if (!back) return;
  files_.emplace_front(uid, std::move(back));
  if (files_.size() > files_max) files_.pop_back();
}

void block_cache::forget_file(uint64_t uid) {
  files_.remove_if([&](const auto& each) { return each.first == uid; });
}

}  // namespace weir
